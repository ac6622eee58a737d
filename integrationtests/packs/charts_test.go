//go:build packs

package packs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"
)

// inModules are the charts that are in a controller's Go module: the folder of the controller, the module, the chart's folder
// in it. Others are stand-ins, in charts here.
var inModules = map[string]struct{ controller, module, folder string }{
	"base":         {"istiod", "istio.io/istio", "manifests/charts/base"},
	"istiod":       {"istiod", "istio.io/istio", "manifests/charts/istio-control/istio-discovery"},
	"gateway":      {"istiod", "istio.io/istio", "manifests/charts/gateway"},
	"gatekeeper":   {"gatekeeper", "github.com/open-policy-agent/gatekeeper/v3", "charts/gatekeeper"},
	"cert-manager": {"certmanager", "github.com/cert-manager/cert-manager", "deploy/charts/cert-manager"},
	"external-dns": {"externaldns", "sigs.k8s.io/external-dns", "charts/external-dns"},
}

// kindsFrom are the folders of a module whose CRDs a stand-in chart has.
var kindsFrom = map[string]struct {
	controller, module string
	folders            []string
}{
	"velero": {"velero", "github.com/vmware-tanzu/velero", []string{"config/crd/v1/bases", "config/crd/v2alpha1/bases"}},
}

// chartRepository is a Helm repository of the charts that were asked for.
type chartRepository struct {
	dir    string
	server *httptest.Server

	mu      sync.Mutex
	entries map[string][]map[string]any
}

func serveCharts(t *testing.T) *chartRepository {
	r := &chartRepository{dir: t.TempDir(), entries: map[string][]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /index.yaml", r.index)
	mux.Handle("GET /", http.FileServer(http.Dir(r.dir)))
	r.server = httptest.NewServer(mux)
	t.Cleanup(r.server.Close)
	return r
}

func (r *chartRepository) index(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "entries": r.entries}) // JSON is YAML
}

// redirect has a fleet.yaml take its charts from the repository, which then has them in the versions that it names.
func (r *chartRepository) redirect(t testing.TB, text string) string {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range chartsIn(doc) {
		if err := r.add(c.name, c.version); err != nil {
			t.Fatalf("chart %s %s: %v", c.name, c.version, err)
		}
	}
	return elsewhere.ReplaceAllString(text, "repo: "+r.server.URL)
}

type wanted struct{ name, version string }

// chartsIn finds the maps with repo and chart, however deep.
func chartsIn(doc any) (out []wanted) {
	switch doc := doc.(type) {
	case []any:
		for _, d := range doc {
			out = append(out, chartsIn(d)...)
		}
	case map[string]any:
		name, _ := doc["chart"].(string)
		version, _ := doc["version"].(string)
		if repo, ok := doc["repo"].(string); ok && elsewhere.MatchString("repo: "+repo) {
			out = append(out, wanted{name, version})
		}
		for _, d := range doc {
			out = append(out, chartsIn(d)...)
		}
	}
	return out
}

// add packs a chart under a version: those in modules have a placeholder.
func (r *chartRepository) add(name, version string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries[name] {
		if e["version"] == version {
			return nil
		}
	}
	folder, err := chartFolder(name)
	if err != nil {
		return err
	}
	c, err := loader.LoadDir(folder)
	if err != nil {
		return err
	}
	c.Metadata.Version = version
	kinds, err := kindsOf(name)
	if err != nil {
		return err
	}
	c.Files = append(c.Files, kinds...)
	archive, err := chartutil.Save(c, r.dir)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	r.entries[name] = append(r.entries[name], map[string]any{
		"apiVersion": c.Metadata.APIVersion, "name": name, "version": version, "appVersion": c.Metadata.AppVersion, "type": c.Metadata.Type,
		"urls": []string{filepath.Base(archive)}, "digest": hex.EncodeToString(sum[:]),
	})
	return nil
}

func chartFolder(name string) (string, error) {
	in, ok := inModules[name]
	if !ok {
		folder := filepath.Join(root(), "integrationtests", "packs", "charts", name)
		_, err := os.Stat(folder)
		return folder, err
	}
	dir, err := moduleFolder(in.controller, in.module)
	return filepath.Join(dir, filepath.FromSlash(in.folder)), err
}

// kindsOf are the CRDs that a stand-in chart takes from a module.
func kindsOf(name string) (out []*chart.File, err error) {
	from, ok := kindsFrom[name]
	if !ok {
		return nil, nil
	}
	dir, err := moduleFolder(from.controller, from.module)
	if err != nil {
		return nil, err
	}
	for _, folder := range from.folders {
		files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(folder), "*.yaml"))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("%s has no CRDs in %s: %w", from.module, folder, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			out = append(out, &chart.File{Name: "crds/" + filepath.Base(file), Data: data})
		}
	}
	return out, nil
}

// moduleFolder is where a module that a controller's go.mod requires is, downloaded if need be.
func moduleFolder(controller, module string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = controllerFolder(controller)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s for %s: %w: %s", module, controller, err, strings.TrimSpace(string(out)))
	}
	var found struct{ Dir string }
	err = json.Unmarshal(out, &found)
	return found.Dir, err
}
