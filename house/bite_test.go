package house

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A rule that never bites looks like a rule that is kept: each row breaks the house in one place, in a copy of the graph.
func TestEachRuleBites(t *testing.T) {
	if len(everything(t, modules(t))) > 0 {
		t.Fatal("the house is broken as it stands, as the other tests tell; mend that first")
	}
	const client = "sigs.k8s.io/controller-runtime/pkg/client"
	for _, row := range []struct {
		name, in, imports, want string
	}{
		{"api imports bundle", "api/v1alpha1", module + "/bundle/layer", "of ours, api imports only api; broken by\n\tapi/v1alpha1 → bundle/layer"},
		{"api imports client-go", "api/v1alpha1", "k8s.io/client-go/rest", "types only, for anyone to import; broken by\n\tapi/v1alpha1 → k8s.io/client-go/rest"},
		{"bundle imports the controller", "bundle/layer", module + "/controller/rollout", "bundle imports only bundle, api; broken by\n\tbundle/layer → controller/rollout"},
		{"bundle imports the agent", "bundle/layer", module + "/agent/health", "broken by\n\tbundle/layer → agent/health"},
		{"bundle imports a command's world", "bundle/layer", module + "/demo", "broken by\n\tbundle/layer → demo"},
		{"bundle imports the pipeline", "bundle/lint", module + "/pipeline", "broken by\n\tbundle/lint → pipeline"},
		{"the controller imports what looks into it", "controller/status", module + "/support/snapshot", "broken by\n\tcontroller/status → support/snapshot"},
		{"bundle connects to a cluster", "bundle/layer", "k8s.io/client-go/rest", "broken by\n\tbundle/layer → k8s.io/client-go/rest"},
		{"bundle takes a client through a library", "bundle/layer", "k8s.io/client-go/kubernetes", "broken by\n\tbundle/layer → k8s.io/client-go/kubernetes → k8s.io/client-go/"},
		{"bundle takes controller-runtime's client", "bundle/target", client, "broken by\n\tbundle/target → " + client},
		{"bundle takes dynamic elsewhere than for Helm's type", "bundle/target", "k8s.io/client-go/dynamic", "broken by\n\tbundle/target → k8s.io/client-go/dynamic"},
		{"rendering installs with Helm's actions", "bundle/render", "helm.sh/helm/v3/pkg/action", "broken by\n\tbundle/render → helm.sh/helm/v3/pkg/action"},
		{"the controller imports the agent", "controller/status", module + "/agent/health", "controller imports only controller, api, bundle; broken by\n\tcontroller/status → agent/health"},
		{"the agent imports the controller", "agent/pull", module + "/controller/status", "agent imports only agent, api, bundle; broken by\n\tagent/pull → controller/status"},
		{"the controller imports a command", "controller/status", module + "/cmd/flotilla", "broken by\n\tcontroller/status → cmd/flotilla"},
		{"the agent caches whole kinds", "agent/pull", "sigs.k8s.io/controller-runtime", "broken by\n\tagent/pull → sigs.k8s.io/controller-runtime → "},
		{"the agent fetches sources", "agent/pull", module + "/bundle/source", "broken by\n\tagent/pull → bundle/source"},
		{"the agent serves profiles", "agent/pull", "net/http/pprof", "broken by\n\tagent/pull → net/http/pprof"},
		{"go-git leaves home", "controller/status", "github.com/go-git/go-git/v5/plumbing", "only flotilla.io/flotilla/bundle/source import it; broken by\n\tcontroller/status → github.com/go-git/go-git/v5"},
		{"Helm leaves home", "bundle/reader", "helm.sh/helm/v3/pkg/chartutil", "broken by\n\tbundle/reader → helm.sh/helm/v3"},
		{"kustomize leaves home", "bundle/reader", "sigs.k8s.io/kustomize/api/types", "broken by\n\tbundle/reader → sigs.k8s.io/kustomize/api"},
		{"ssa leaves home", "controller/status", "github.com/fluxcd/pkg/ssa", "broken by\n\tcontroller/status → github.com/fluxcd/pkg/ssa"},
		{"a registry client leaves home", "agent/pull", "github.com/google/go-containerregistry/pkg/v1/remote", "broken by\n\tagent/pull → github.com/google/go-containerregistry"},
		{"rendering starts a program", "bundle/render", "os/exec", "rendering starts no program; only the worker starts itself; broken by\n\tbundle/render → os/exec"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := modules(t)
			room := our(row.in)[0]
			p, ok := g[room]
			if !ok {
				t.Fatalf("there is no %s to break", row.in)
			}
			p.Imports = append(slices.Clone(p.Imports), row.imports)
			g[room] = p
			sees(t, everything(t, g), row.want)
		})
	}
	for _, row := range []struct{ name, in, file, want string }{
		{"the agent listens", "agent/pull", `import "net/http"; var _ = http.ListenAndServe(":80", nil)`, "agents only dial out; broken by\n\tagent/pull: broken.go:1 uses net/http.ListenAndServe"},
		{"the agent listens under another name", "agent/pull", `import web "net"; var _, _ = web.Listen("tcp", ":80")`, "agent/pull: broken.go:1 uses net.Listen"},
		{"what the agent imports listens", "bundle/layer", `import "net/http"; var _ http.Server`, "→ bundle/layer: broken.go:1 uses net/http.Server"},
		{"rendering forks", "bundle/render", `import "os"; var _, _ = os.StartProcess("sh", nil, nil)`, "bundle/render: broken.go:1 uses os.StartProcess"},
		{"rendering makes a client", "bundle/render", `import "k8s.io/client-go/dynamic"; var _ = dynamic.NewForConfig`, "broken by\n\tbundle/render → k8s.io/client-go/dynamic"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := modules(t)
			room := our(row.in)[0]
			p := g[room]
			p.Dir, p.GoFiles = t.TempDir(), []string{"broken.go"}
			if err := os.WriteFile(filepath.Join(p.Dir, "broken.go"), []byte("package broken; "+row.file), 0o600); err != nil {
				t.Fatal(err)
			}
			g[room] = p
			sees(t, everything(t, g), row.want)
		})
	}
	t.Run("nobody carries the load", func(t *testing.T) {
		g := modules(t)
		for _, p := range g.below(module) {
			bare := g[p]
			bare.Imports, bare.GoFiles = nil, nil
			g[p] = bare
			if appliesWithSSA(t, bare) {
				t.Errorf("%s applies with no file", p)
			}
		}
		for _, h := range homes {
			if h.at != "" {
				sees(t, h.breaches(g), h.at+" does not import "+h.carries)
			}
		}
	})
	t.Run("an empty house", func(t *testing.T) {
		for _, r := range rooms {
			sees(t, r.breaches(graph{}), "there is no room "+r.name)
		}
	})
}

func everything(t *testing.T, g graph) (all []string) {
	t.Helper()
	for _, r := range rooms {
		all = append(all, r.breaches(g)...)
	}
	for _, r := range reaches {
		all = append(all, r.breaches(t, g)...)
	}
	for _, h := range homes {
		all = append(all, h.breaches(g)...)
	}
	for _, a := range abstentions {
		all = append(all, a.breaches(t, g)...)
	}
	return all
}

func sees(t *testing.T, breaches []string, want string) {
	t.Helper()
	if !slices.ContainsFunc(breaches, func(b string) bool { return strings.Contains(b, want) }) {
		t.Errorf("not seen: %s\nseen: %s", want, strings.Join(breaches, "\n"))
	}
}
