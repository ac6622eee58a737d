// Package webhook hears of pushes, so that a commit is fetched at once and not at the next poll.
//
// A push is believed only if its sender proves to know a secret that its GitRepo, or the hub, shares with it; without a
// secret the hook is deaf. What it says is never used but to look at the repository sooner: the commit still comes from
// the source itself.
package webhook

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/status"
)

const (
	// GlobalSecret in the system namespace is for GitRepos that name no secret of their own.
	GlobalSecret = "gitjob-webhook"
	maxBody      = 1 << 20
)

// Server answers pushes. Close Done of the context that Start got to end it.
type Server struct {
	Client          client.Client
	Reader          client.Reader // live reads, for Secrets
	Log             logr.Logger
	Addr            string
	SystemNamespace string

	pushed chan event.TypedGenericEvent[*fleet.GitRepo]
}

// Pushed is what controller/gitrepo wakes up from.
func (s *Server) Pushed() <-chan event.TypedGenericEvent[*fleet.GitRepo] {
	if s.pushed == nil {
		s.pushed = make(chan event.TypedGenericEvent[*fleet.GitRepo], 1024)
	}
	return s.pushed
}

// Start serves until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	s.Log.Info("hearing pushes", "address", listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP takes one push.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(w, "send a push with POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	p, err := senderOf(req.Header).read(body)
	if err != nil {
		http.Error(w, "the body is no push in JSON", http.StatusBadRequest)
		return
	}
	woken, err := s.wake(req.Context(), p, sent{header: req.Header, body: body})
	switch {
	case err != nil:
		s.Log.Error(err, "taking a push")
		http.Error(w, "the hub cannot look now", http.StatusServiceUnavailable)
	case woken == 0:
		// One answer for "unknown" and "not signed": who cannot sign learns nothing about what is there.
		http.Error(w, "no GitRepo of this repository takes this signature", http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// wake has every GitRepo of the pushed repository and branch looked at whose secret the push proves to know.
func (s *Server) wake(ctx context.Context, p push, m sent) (int, error) {
	repos := &fleet.GitRepoList{}
	if err := s.Client.List(ctx, repos); err != nil {
		return 0, err
	}
	urls := map[string]bool{}
	for _, u := range p.urls {
		if u != "" {
			urls[normal(u)] = true
		}
	}
	woken := 0
	for i := range repos.Items {
		repo := &repos.Items[i]
		if !urls[normal(repo.Spec.Repo)] || repo.Spec.Revision != "" {
			continue
		}
		commit, concerns := p.to(repo)
		if !concerns {
			continue
		}
		secret, err := s.secret(ctx, repo)
		if err != nil {
			return woken, err
		}
		if !senderOf(m.header).knows(secret, m) {
			continue
		}
		woken++
		if err := s.record(ctx, repo, commit); err != nil && !apierrors.IsConflict(err) {
			return woken, err
		}
		s.pushed <- event.TypedGenericEvent[*fleet.GitRepo]{Object: repo}
	}
	return woken, nil
}

// record notes the push; a commit that is deployed already is no news.
func (s *Server) record(ctx context.Context, repo *fleet.GitRepo, commit string) error {
	if commit == "" || commit == repo.Status.WebhookCommit {
		return nil
	}
	now := repo.DeepCopy()
	return status.Patch(ctx, s.Client, now, func() {
		now.Status.WebhookCommit = commit
		now.Status.LastWebhookTime = metav1.Now()
	})
}

// secret is what a GitRepo shares with its Git server, by keys that tell which kind of server that is.
func (s *Server) secret(ctx context.Context, repo *fleet.GitRepo) (map[string][]byte, error) {
	key := client.ObjectKey{Namespace: s.SystemNamespace, Name: GlobalSecret}
	if repo.Spec.WebhookSecret != "" {
		key = client.ObjectKey{Namespace: repo.Namespace, Name: repo.Spec.WebhookSecret}
	}
	secret := &corev1.Secret{}
	if err := s.Reader.Get(ctx, key, secret); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return secret.Data, nil
}

// normal brings the forms of a repository's address together: host and path, lower case, without .git.
func normal(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		raw = u.Host + "/" + strings.Trim(u.Path, "/")
	} else if user, rest, ok := strings.Cut(raw, "@"); ok && !strings.Contains(user, "/") {
		raw = strings.Replace(rest, ":", "/", 1)
	}
	return strings.ToLower(strings.TrimSuffix(raw, ".git"))
}
