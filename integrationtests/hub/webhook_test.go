// Package hub tests the hub's own faces and housekeeping on a real API server.
package hub

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/integrationtests/world"
)

func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func post(t *testing.T, url string, body []byte, signature string) int {
	t.Helper()
	header := map[string]string{}
	if signature != "" {
		header["X-Hub-Signature-256"] = signature
	}
	return send(t, url, body, header)
}

func send(t testing.TB, url string, body []byte, header map[string]string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestThePushHookBelievesSignedPushesOnly(t *testing.T) {
	w := world.New(t, world.Options{})
	url := w.Repo("fleet", map[string]string{"app/fleet.yaml": "defaultNamespace: app\n", "app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"})
	w.GitRepo("fleet", url, func(s *fleet.GitRepoSpec) { s.PollingInterval = &metav1.Duration{Duration: time.Hour} })
	w.Eventually("the first commit", func() error { return commitIs(w, "") })

	own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "own"}, StringData: map[string]string{
		"github": "another secret", "gitlab": "of gitlab", "gogs": "of gogs", "bitbucket": "of bitbucket", "bitbucket-server": "of the server", "azure-username": "azure", "azure-password": "of azure",
	}}
	w.Check(w.Hub.Client.Create(context.Background(), own))
	w.GitRepo("own", w.Git.URL("own"), func(s *fleet.GitRepoSpec) { s.WebhookSecret = "own" })
	w.GitRepo("fixed", w.Git.URL("fixed"), func(s *fleet.GitRepoSpec) { s.Revision = "v1.0.0" })
	for _, name := range []string{"own", "fixed"} {
		w.Eventually("the hub knowing GitRepo "+name, func() error {
			repo := &fleet.GitRepo{}
			err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, repo)
			if err == nil && len(repo.Status.Conditions) == 0 {
				err = fmt.Errorf("it says nothing of it")
			}
			return err
		})
	}
	to := func(repo string) []byte {
		return fmt.Appendf(nil, `{"ref":"refs/heads/main","repository":{"clone_url":%q}}`, w.Git.URL(repo))
	}

	push := fmt.Appendf(nil, `{"ref":"refs/heads/main","after":"x","repository":{"clone_url":%q}}`, url)
	other := fmt.Appendf(nil, `{"ref":"refs/heads/main","repository":{"clone_url":"http://127.0.0.1/.*"}}`)
	huge := []byte(`{"ref":"` + strings.Repeat("x", 2<<20) + `"}`)
	for _, c := range []struct {
		rule      string
		body      []byte
		signature string
		want      int
	}{
		{"a push without a signature is refused", push, "", http.StatusUnauthorized},
		{"a push with a wrong signature is refused", push, sign([]byte("guess"), push), http.StatusUnauthorized},
		{"a signature of another body is refused", push, sign(world.HookSecret(), other), http.StatusUnauthorized},
		{"a signature that is no hex is refused", push, "sha256=zz", http.StatusUnauthorized},
		{"a repository that no GitRepo has is refused; its address is no pattern", other, sign(world.HookSecret(), other), http.StatusUnauthorized},
		{"a body that is too large is refused", huge, sign(world.HookSecret(), huge), http.StatusRequestEntityTooLarge},
		{"a body that is no JSON is refused", []byte("{"), sign(world.HookSecret(), []byte("{")), http.StatusBadRequest},
		{"a GitRepo with a secret of its own takes no push that the hub's signed", to("own"), sign(world.HookSecret(), to("own")), http.StatusUnauthorized},
		{"a GitRepo takes a push that its own secret signed", to("own"), sign([]byte("another secret"), to("own")), http.StatusOK},
		{"a GitRepo with a revision takes none", to("fixed"), sign(world.HookSecret(), to("fixed")), http.StatusUnauthorized},
		{"a signed push is taken", push, sign(world.HookSecret(), push), http.StatusOK},
	} {
		if got := post(t, w.Hook(), c.body, c.signature); got != c.want {
			t.Errorf("%s: answer %d, want %d", c.rule, got, c.want)
		}
	}
	everyKind(w, w.Git.URL("own"))
	// The poll is an hour away: what brings the commit is the hook that the Git server calls.
	commit := w.Push("fleet", map[string]string{"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n"})
	w.Eventually("the pushed commit", func() error { return commitIs(w, commit) })
	if got := w.Kubectl("hub", "-n", world.Workspace, "get", "gitrepo", "fleet", "-o", "jsonpath={.status.webhookCommit} {.status.lastWebhookTime}"); !strings.HasPrefix(got, commit+" 20") {
		t.Errorf("webhookCommit and lastWebhookTime are %q", got)
	}
}

// everyKind: a GitRepo takes the pushes of each kind of Git server whose secret it knows, and none that was tampered with.
func everyKind(w *world.World, url string) {
	plain := fmt.Sprintf(`{"ref":"refs/heads/main","after":"x","project":{"git_http_url":%[1]q},"repository":{"clone_url":%[1]q}}`, url)
	cloud := fmt.Sprintf(`{"push":{"changes":[{"new":{"type":"branch","name":"main","target":{"hash":"x"}}}]},"repository":{"links":{"html":{"href":%q}}}}`, url)
	server := fmt.Sprintf(`{"changes":[{"ref":{"id":"refs/heads/main"},"toHash":"x"}],"repository":{"links":{"clone":[{"href":%q,"name":"http"}]}}}`, url)
	azure := fmt.Sprintf(`{"resource":{"refUpdates":[{"name":"refs/heads/main","newObjectId":"x"}],"repository":{"remoteUrl":%q}}}`, url)
	basic := &http.Request{Header: http.Header{}}
	basic.SetBasicAuth("azure", "of azure")
	for _, c := range []struct {
		kind, body string
		header     map[string]string
	}{
		{"GitLab", plain, map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": "of gitlab"}},
		{"Gogs", plain, map[string]string{"X-Gogs-Event": "push", "X-Gogs-Signature": strings.TrimPrefix(sign([]byte("of gogs"), []byte(plain)), "sha256=")}},
		{"Bitbucket", cloud, map[string]string{"X-Event-Key": "repo:push", "X-Hub-Signature": sign([]byte("of bitbucket"), []byte(cloud))}},
		{"Bitbucket Server", server, map[string]string{"X-Event-Key": "repo:refs_changed", "X-Hub-Signature": sign([]byte("of the server"), []byte(server))}},
		{"Azure DevOps", azure, map[string]string{"X-Vss-Activityid": "1", "Authorization": basic.Header.Get("Authorization")}},
	} {
		if got := send(w.T, w.Hook(), []byte(c.body), c.header); got != http.StatusOK {
			w.T.Errorf("a push of %s: answer %d", c.kind, got)
		}
		for name, value := range c.header {
			c.header[name] = value[:len(value)/2] + strings.Repeat("a", len(value)-len(value)/2)
		}
		if got := send(w.T, w.Hook(), []byte(c.body), c.header); got != http.StatusUnauthorized {
			w.T.Errorf("a push of %s that was tampered with: answer %d", c.kind, got)
		}
	}
}

// commitIs checks the commit of GitRepo fleet; "" takes any.
func commitIs(w *world.World, want string) error {
	repo := &fleet.GitRepo{}
	if err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "fleet"}, repo); err != nil {
		return err
	}
	if repo.Status.Commit == "" || want != "" && repo.Status.Commit != want {
		return fmt.Errorf("it is at %q", repo.Status.Commit)
	}
	return nil
}

func TestTheSweepTakesOnlyWhatNothingRefersTo(t *testing.T) {
	w := world.New(t, world.Options{})
	w.GitRepo("fleet", w.Repo("fleet", map[string]string{"app/fleet.yaml": "defaultNamespace: app\n", "app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"}), nil)
	w.Eventually("the bundle's files", func() error { return commitIs(w, "") })
	ctx := context.Background()
	used := names(w)
	if len(used) == 0 {
		t.Fatal("the bundle has no Content")
	}
	store := content.NewStore(w.Hub.Client, w.Hub.Client, layer.NewHubSecret())
	ref, err := store.PublishFiles(ctx, map[string][]byte{"orphan": []byte("nobody wants it")}, "")
	w.Check(err)
	foreign := &fleet.Content{ObjectMeta: metav1.ObjectMeta{Name: "s-fleets-own"}}
	w.Check(w.Hub.Client.Create(ctx, foreign))

	sweeper := &content.Sweeper{Client: w.Hub.Client, Reader: w.Hub.Client, Store: store}
	later := time.Now().Add(2 * time.Hour)
	w.Check(sweeper.Sweep(ctx, time.Now()))
	w.Check(sweeper.Sweep(ctx, time.Now()))
	if !names(w)[ref.ID] {
		t.Error("what is younger than an hour was swept")
	}
	w.Check(sweeper.Sweep(ctx, later))
	if !names(w)[ref.ID] {
		t.Error("it was swept at first sight")
	}
	w.Check(sweeper.Sweep(ctx, later))
	left := names(w)
	if left[ref.ID] {
		t.Error("it is still there after two sweeps")
	}
	for name := range used {
		if !left[name] {
			t.Errorf("Content %s is in use and was swept", name)
		}
	}
	if !left["s-fleets-own"] {
		t.Error("Fleet's own Content was swept")
	}
}

func names(w *world.World) map[string]bool {
	w.T.Helper()
	list := &fleet.ContentList{}
	w.Check(w.Hub.Client.List(context.Background(), list))
	out := map[string]bool{}
	for _, c := range list.Items {
		out[c.Name] = true
	}
	return out
}
