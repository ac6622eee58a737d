package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

var yamlFence = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// What docs/sources.md shows is applied as it stands, but for addresses and credentials, and the hub reads what is there.
func TestTheSourcesOfTheDocs(t *testing.T) {
	w := world.New(t, world.Options{})
	w.Repo("shop", map[string]string{"app/fleet.yaml": "defaultNamespace: app\n", "app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"})
	commit := w.Push("shop", nil)
	w.Git.Protect("shop", "ci", "a-token")
	overSSH, err := w.Git.StartSSH(context.Background())
	w.Check(err)
	defer overSSH.Close()
	indent := func(text []byte) string {
		return "|\n    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
	}
	real := strings.NewReplacer(
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
	if len(repos) != 2 {
		t.Fatalf("the page shows the GitRepos %v", repos)
	}
	for _, name := range repos {
		w.Eventually("GitRepo "+name+" of docs/sources.md", func() error {
			repo, bundle := &fleet.GitRepo{}, &fleet.Bundle{}
			if err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, repo); err != nil {
				return err
			}
			if repo.Status.Commit != commit {
				return fmt.Errorf("it is at %q, want %s: %v", repo.Status.Commit, commit, repo.Status.Conditions)
			}
			return w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name + "-app"}, bundle)
		})
	}
}
