package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

var yamlFence = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// github is a server with what GitHub's API gives an App: a token, here the one password of the repository.
func github(w *world.World) (url string, key []byte) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	w.Check(err)
	w.Git.Protect("shop-app", "x-access-token", "a-token")
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/api/v3/app/installations/34/access_tokens":
			rw.WriteHeader(http.StatusCreated)
			fmt.Fprintf(rw, `{"token":"a-token","expires_at":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		default:
			req.URL.Path = strings.Replace(req.URL.Path, "/shop.git", "/shop-app.git", 1)
			w.Git.Handler().ServeHTTP(rw, req)
		}
	}))
	w.T.Cleanup(server.Close)
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
}

// What docs/sources.md shows is applied as it stands, but for addresses and credentials, and the hub reads what is there.
func TestTheSourcesOfTheDocs(t *testing.T) {
	w := world.New(t, world.Options{})
	app := map[string]string{"app/fleet.yaml": "defaultNamespace: app\n", "app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"}
	w.Repo("shop", app)
	commit := w.Push("shop", nil)
	w.Repo("shop-app", app)
	commits := map[string]string{"shop-app": w.Push("shop-app", nil)}
	w.Git.Protect("shop", "ci", "a-token")
	overSSH, err := w.Git.StartSSH(context.Background())
	w.Check(err)
	defer overSSH.Close()
	indent := func(text []byte) string {
		return "|\n    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
	}
	githubs, key := github(w)
	real := strings.NewReplacer(
		"https://github.example.com/shop.git", githubs+"/shop.git", "the-key-of-the-app", indent(key),
		"https://git.example.com/shop.git", w.Git.URL("shop"),
		"ssh://git@git.example.com/shop.git", overSSH.URL("shop"),
		"a-private-key", indent(overSSH.Key()), "the-line-of-known-hosts", indent(overSSH.KnownHosts()),
	)
	page, err := os.ReadFile("../../docs/sources.md")
	w.Check(err)
	var repos []string
	for i, example := range yamlFence.FindAllStringSubmatch(string(page), -1) {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.yaml", i))
		w.Check(os.WriteFile(file, []byte(real.Replace(example[1])), 0o600))
		for _, line := range strings.Split(w.Kubectl("hub", "apply", "-f", file), "\n") {
			if name, isRepo := strings.CutPrefix(line, "gitrepo.fleet.cattle.io/"); isRepo {
				repos = append(repos, strings.Fields(name)[0])
			}
		}
	}
	if len(repos) != 3 {
		t.Fatalf("the page shows the GitRepos %v", repos)
	}
	for _, name := range repos {
		w.Eventually("GitRepo "+name+" of docs/sources.md", func() error {
			repo, bundle := &fleet.GitRepo{}, &fleet.Bundle{}
			if err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, repo); err != nil {
				return err
			}
			if want := cmp.Or(commits[name], commit); repo.Status.Commit != want {
				return fmt.Errorf("it is at %q, want %s: %v", repo.Status.Commit, want, repo.Status.Conditions)
			}
			return w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name + "-app"}, bundle)
		})
	}
}
