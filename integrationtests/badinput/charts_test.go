package badinput

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// helmRepository is a private Helm repository: user ann, password s3cret.
type helmRepository struct {
	mu    sync.Mutex
	files map[string][]byte
	index string
}

// webChart is a chart with a ConfigMap that says its version and its value.
func webChart(version string) []byte {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, f := range [][2]string{
		{"Chart.yaml", "apiVersion: v2\nname: web\nversion: " + version + "\n"},
		{"values.yaml", "greeting: hello\n"},
		{"templates/state.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: state}\ndata: {text: \"{{ .Chart.Version }} {{ .Values.greeting }}\"}\n"},
	} {
		_ = archive.WriteHeader(&tar.Header{Name: "web/" + f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg})
		_, _ = archive.Write([]byte(f[1]))
	}
	_ = archive.Close()
	_ = zipped.Close()
	return out.Bytes()
}

func (h *helmRepository) publish(version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.files == nil {
		h.files, h.index = map[string][]byte{}, "apiVersion: v1\nentries:\n  web:\n"
	}
	h.files["/web-"+version+".tgz"] = webChart(version)
	h.index += fmt.Sprintf("  - {name: web, version: %s, urls: [web-%s.tgz]}\n", version, version)
	h.files["/index.yaml"] = []byte(h.index)
}

func (h *helmRepository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if user, password, _ := req.BasicAuth(); user != "ann" || password != "s3cret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	data, ok := h.files[req.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(data)
}

// chartsFromElsewhere: a bundle by helm.repo, one from a registry and a HelmOp reach a cluster, follow new versions, and keep what
// they have when something is wrong.
func chartsFromElsewhere(t *testing.T, w *world.World) {
	private := &helmRepository{}
	private.publish("1.0.0")
	server := httptest.NewServer(private)
	t.Cleanup(server.Close)
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(images.Close)
	host := strings.TrimPrefix(images.URL, "http://")
	push(w, host+"/team/web:2.0.0", webChart("2.0.0"))
	apply(w, "hub", "apiVersion: v1\nkind: Secret\nmetadata: {name: charts, namespace: fleet-default}\nstringData: {username: ann, password: s3cret}\n")

	elsewhere := "helm: {repo: " + server.URL + ", chart: web, version: 1.x, values: {greeting: hi}}\n"
	gitRepo(w, "elsewhere", w.Repo("elsewhere", map[string]string{
		"repo/fleet.yaml": "defaultNamespace: by-repo\n" + elsewhere,
		"oci/fleet.yaml":  "defaultNamespace: by-oci\nhelm: {chart: \"oci://" + host + "/team/web\", version: 2.0.0}\n",
	}), func(s *fleet.GitRepoSpec) {
		s.HelmSecretName, s.HelmRepoURLRegex = "charts", server.URL+".*"
		s.PollingInterval = &metav1.Duration{Duration: time.Second}
	})
	apply(w, "hub", helmOp("op", server.URL, "web", "1.x"))
	for _, ns := range []string{"by-repo", "by-op"} {
		says(w, ns, "state", "1.0.0 "+map[string]string{"by-repo": "hi", "by-op": "hey"}[ns])
	}
	says(w, "by-oci", "state", "2.0.0 hello")
	settled(w, "elsewhere-repo")
	settled(w, "op")
	tells(w, "the HelmOp", func() string { return row(w, "helmops", "op") }, "op "+server.URL+" web 1.0.0 1/1")

	private.publish("1.1.0")
	private.publish("2.0.0")
	says(w, "by-repo", "state", "1.1.0 hi")
	says(w, "by-op", "state", "1.1.0 hey")
	tells(w, "the HelmOp", func() string { return row(w, "helmops", "op") }, "web 1.1.0 1/1")
	tells(w, "Polled", func() string { return condition(w, "helmop", world.Workspace, "op", "Polled") }, "True")

	apply(w, "hub", helmOp("op", server.URL, "wep", "1.x"))
	tells(w, "a chart that is not there", func() string { return condition(w, "helmop", world.Workspace, "op", "Ready") },
		"False", "ChartNotFound: chart "+server.URL+"/wep 1.x: ", `did you mean "web"?; version 1.1.0 stays deployed`)
	still(w, "by-op", "state", "1.1.0 hey")
	apply(w, "hub", helmOp("op", server.URL, "web", "3.x"))
	tells(w, "a version that is not there", func() string { return condition(w, "helmop", world.Workspace, "op", "Accepted") },
		"False VersionNotFound: ", "there are 2.0.0, 1.1.0, 1.0.0")
	w.Push("elsewhere", map[string]string{"repo/fleet.yaml": "defaultNamespace: by-repo\nhelm: {repo: " + server.URL + ", chart: web, version: 3.x}\n"})
	tells(w, "the bundle of a version that is not there", func() string { return condition(w, "bundle", world.Workspace, "elsewhere-repo", "SourceValid") },
		"False VersionNotFound: ", "repo/fleet.yaml:2:", "helm.version")
	still(w, "by-repo", "state", "1.1.0 hi")
	apply(w, "hub", helmOp("op", server.URL, "web", "2.x"))
	says(w, "by-op", "state", "2.0.0 hey")
	settled(w, "op")

	w.Kubectl("hub", "-n", world.Workspace, "delete", "helmop", "op", "--timeout=2m")
	says(w, "by-op", "state", "")
}

func helmOp(name, repo, chart, version string) string {
	return fmt.Sprintf(`apiVersion: fleet.cattle.io/v1alpha1
kind: HelmOp
metadata: {name: %s, namespace: fleet-default}
spec:
  helmSecretName: charts
  pollingInterval: 1s
  defaultNamespace: by-op
  helm: {repo: "%s", chart: %s, version: %s, values: {greeting: hey}}
  targets: [{name: all, clusterSelector: {matchLabels: {env: production}}}]
`, name, repo, chart, version)
}

// push puts a chart into a registry, as helm push does.
func push(w *world.World, to string, archive []byte) {
	w.T.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")
	image, err := mutate.AppendLayers(image, static.NewLayer(archive, "application/vnd.cncf.helm.chart.content.v1.tar+gzip"))
	w.Check(err)
	ref, err := name.ParseReference(to)
	w.Check(err)
	w.Check(remote.Write(ref, image))
}
