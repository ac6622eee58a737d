// Package webhook hears of pushes, so that a commit is fetched at once and not at the next poll.
//
// A push is believed only with a signature by a secret that its GitRepo, or the hub, shares with the sender; without a
// secret the hook is deaf. What it says is never used but to look at the repository sooner: the commit still comes from
// the source itself.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	// GlobalSecret in the system namespace holds the key `github` for GitRepos that name no secret of their own.
	GlobalSecret = "gitjob-webhook"
	secretKey    = "github"
	signature    = "X-Hub-Signature-256"
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

// push is what is used of a GitHub-shaped payload.
type push struct {
	Ref        string `json:"ref"`
	After      string `json:"after"`
	Repository struct {
		CloneURL string `json:"clone_url"`
		HTMLURL  string `json:"html_url"`
		SSHURL   string `json:"ssh_url"`
		GitURL   string `json:"git_url"`
		URL      string `json:"url"`
	} `json:"repository"`
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
	var p push
	if err := json.Unmarshal(body, &p); err != nil {
		http.Error(w, "the body is no push in JSON", http.StatusBadRequest)
		return
	}
	woken, err := s.wake(req.Context(), p, body, req.Header.Get(signature))
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

// wake has every GitRepo of the pushed repository and branch looked at whose secret signed the body.
func (s *Server) wake(ctx context.Context, p push, body []byte, sign string) (int, error) {
	repos := &fleet.GitRepoList{}
	if err := s.Client.List(ctx, repos); err != nil {
		return 0, err
	}
	urls := map[string]bool{}
	for _, u := range []string{p.Repository.CloneURL, p.Repository.HTMLURL, p.Repository.SSHURL, p.Repository.GitURL, p.Repository.URL} {
		if u != "" {
			urls[normal(u)] = true
		}
	}
	woken := 0
	for i := range repos.Items {
		repo := &repos.Items[i]
		if !urls[normal(repo.Spec.Repo)] || repo.Spec.Revision != "" || !branchMatches(repo, p.Ref) {
			continue
		}
		secret, err := s.secret(ctx, repo)
		if err != nil {
			return woken, err
		}
		if len(secret) == 0 || !signed(secret, body, sign) {
			continue
		}
		woken++
		if err := s.record(ctx, repo, p.After); err != nil && !apierrors.IsConflict(err) {
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

func (s *Server) secret(ctx context.Context, repo *fleet.GitRepo) ([]byte, error) {
	key := client.ObjectKey{Namespace: s.SystemNamespace, Name: GlobalSecret}
	if repo.Spec.WebhookSecret != "" {
		key = client.ObjectKey{Namespace: repo.Namespace, Name: repo.Spec.WebhookSecret}
	}
	secret := &corev1.Secret{}
	if err := s.Reader.Get(ctx, key, secret); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return secret.Data[secretKey], nil
}

func signed(secret, body []byte, sign string) bool {
	got, err := hex.DecodeString(strings.TrimPrefix(sign, "sha256="))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// branchMatches: a GitRepo without a branch looks at every push, as in Fleet.
func branchMatches(repo *fleet.GitRepo, ref string) bool {
	return repo.Spec.Branch == "" || ref == "refs/heads/"+repo.Spec.Branch
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
