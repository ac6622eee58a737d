package main

import (
	"bytes"
	"crypto/x509"
	"debug/elf"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/install"
)

// The whole way: the programs of this machine are packed, pushed to a mirror, pulled from there for this machine's platform by the
// names that the charts have for them, and run out of what was pulled.
func TestPushedPulledAndRun(t *testing.T) {
	if runtime.GOOS != "linux" || platformOf(runtime.GOARCH) == nil {
		t.Skipf("images hold programs for linux on amd64 or arm64; this is %s on %s", runtime.GOOS, runtime.GOARCH)
	}
	programs := programsOfThisMachine(t)
	server := httptest.NewServer(registry.New(registry.Logger(discard())))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	var out bytes.Buffer
	must(t, run(t.Context(), []string{"-programs", programs, "-to", filepath.Join(t.TempDir(), "images"), "-push", host}, &out))

	for chart, wants := range map[string]string{"flotilla": "Run the hub of a fleet", "flotilla-agent": "the agent's own namespace"} {
		program := imageOfChart(t, chart, host)
		ref, err := name.ParseReference(program)
		must(t, err)
		image, err := remote.Image(ref, remote.WithPlatform(*platformOf(runtime.GOARCH)))
		if err != nil {
			t.Fatalf("pulling what was pushed: %v\n%s", err, out.String())
		}
		root := t.TempDir()
		files := extract(t, image, root)
		config, err := image.ConfigFile()
		must(t, err)
		if config.Config.User != "65532:65532" {
			t.Errorf("%s runs as %q", program, config.Config.User)
		}
		if config.Config.Labels["org.opencontainers.image.version"] != "0.1.0" {
			t.Errorf("%s has the labels %v", program, config.Config.Labels)
		}
		run := exec.Command(filepath.Join(root, config.Config.Entrypoint[0]), "--help")
		run.Env = config.Config.Env
		if text, _ := run.CombinedOutput(); !strings.Contains(string(text), wants) {
			t.Errorf("%s --help out of the image says\n%s", program, text)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"]) {
			t.Errorf("%s has no CA certificates", program)
		}
	}
}

// imageOfChart is the image that a chart runs where a mirror is set.
func imageOfChart(t *testing.T, chart, mirror string) string {
	t.Helper()
	values := map[string]any{"global": map[string]any{"cattle": map[string]any{"systemDefaultRegistry": mirror}}}
	objects, err := install.Chart(t.Context(), chart, "cattle-fleet-system", values, "v1.37.2")
	must(t, err)
	for _, o := range objects {
		if containers, ok, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers"); ok {
			return containers[0].(map[string]any)["image"].(string)
		}
	}
	t.Fatalf("chart %s runs nothing", chart)
	return ""
}

// The layout has both images for both platforms, all of it readable and as its digests say, under the names of the charts.
func TestTheLayoutIsWhole(t *testing.T) {
	to := filepath.Join(t.TempDir(), "images")
	for range 2 { // the second time over the first
		must(t, run(t.Context(), []string{"-programs", programsMade(t, "1"), "-to", to}, io.Discard))
	}
	index, err := layout.ImageIndexFromPath(to)
	must(t, err)
	must(t, validate.Index(index))
	manifest, err := index.IndexManifest()
	must(t, err)
	var got []string
	for _, product := range manifest.Manifests {
		its, err := index.ImageIndex(product.Digest)
		must(t, err)
		all, err := its.IndexManifest()
		must(t, err)
		for _, one := range all.Manifests {
			got = append(got, product.Annotations["io.containerd.image.name"]+" "+one.Platform.String())
		}
		for key, want := range map[string]string{"version": "0.1.0", "revision": "c0ffee", "created": "2026-01-02T03:04:05Z"} {
			if value := all.Annotations["org.opencontainers.image."+key]; value != want {
				t.Errorf("the index is annotated with %s %q, want %q", key, value, want)
			}
		}
	}
	want := "registry.flotilla.io/flotilla/flotilla-controller:0.1.0 linux/amd64, registry.flotilla.io/flotilla/flotilla-controller:0.1.0 linux/arm64, " +
		"registry.flotilla.io/flotilla/flotilla-agent:0.1.0 linux/amd64, registry.flotilla.io/flotilla/flotilla-agent:0.1.0 linux/arm64"
	if strings.Join(got, ", ") != want {
		t.Errorf("the layout has\n%s\nwant\n%s", strings.Join(got, ", "), want)
	}
}

func TestEqualProgramsMakeEqualImages(t *testing.T) {
	digests := func(programs string) (all string) {
		products, err := productsOfCharts()
		must(t, err)
		built, err := pack(programs, products)
		must(t, err)
		for _, b := range built {
			digest, err := b.Index.Digest()
			must(t, err)
			all += digest.String() + "\n"
		}
		return all
	}
	if first, again := digests(programsMade(t, "1")), digests(programsMade(t, "1")); first != again {
		t.Errorf("the same programs in two folders made\n%sand\n%s", first, again)
	}
	if digests(programsMade(t, "1")) == digests(programsMade(t, "2")) {
		t.Error("other programs made the same images")
	}
}

func TestWhatIsRefused(t *testing.T) {
	full := t.TempDir()
	must(t, os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600))
	swapped := programsMade(t, "1")
	must(t, os.Rename(filepath.Join(swapped, "linux-amd64"), filepath.Join(swapped, "x")))
	must(t, os.Rename(filepath.Join(swapped, "linux-arm64"), filepath.Join(swapped, "linux-amd64")))
	linked := programsMade(t, "1")
	must(t, os.WriteFile(filepath.Join(linked, "linux-amd64", "flotilla-controller"), program(t, "amd64", "", elf.PT_INTERP), 0o600))
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"a program that is not there", []string{"-programs", full}, "`make images` builds it"},
		{"a program for another machine", []string{"-programs", swapped}, "is a program for EM_AARCH64"},
		{"a program that needs files that the image lacks", []string{"-programs", linked}, "build it with CGO_ENABLED=0"},
		{"a folder that holds something else", []string{"-to", full}, "holds something else"},
		{"a tag that the charts do not name", []string{"-release", "v9.9.9"}, "set version and appVersion of all charts to 9.9.9 first"},
		{"a registry that does not answer", []string{"-push", "127.0.0.1:1"}, "pushing 127.0.0.1:1/flotilla/flotilla-controller:0.1.0: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{"-programs", programsMade(t, "1"), "-to", filepath.Join(t.TempDir(), "images")}, row.args...)
			if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(full, "thesis.txt")); err != nil {
		t.Errorf("a folder of somebody else was cleared: %v", err)
	}
}

func TestATagOfTheChartsIsReleased(t *testing.T) {
	must(t, run(t.Context(), []string{"-release", "v0.1.0", "-programs", programsMade(t, "1"), "-to", filepath.Join(t.TempDir(), "images")}, io.Discard))
}

// A tag publishes what the charts name: the workflow pushes to the registry of the charts' values.
func TestCIPublishesWhatTheChartsName(t *testing.T) {
	text, err := os.ReadFile("../.github/workflows/release.yaml")
	must(t, err)
	var workflow struct {
		On struct {
			Push struct{ Tags []string }
		} `json:"true"` // what YAML reads "on" as
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct{ Run string }
		}
	}
	must(t, yaml.Unmarshal(text, &workflow))
	job := workflow.Jobs["images"]
	if fmt.Sprint(workflow.On.Push.Tags) != "[v*]" || job.Env["RELEASE"] != "${{ github.ref_name }}" || !strings.Contains(fmt.Sprint(job.Steps), "{make images}") {
		t.Errorf("a tag does not run make images: %+v", workflow)
	}
	products, err := productsOfCharts()
	must(t, err)
	for _, p := range products {
		if p.Name() != p.in(job.Env["REGISTRY"]) {
			t.Errorf("chart %s runs %s, CI publishes %s", p.Chart, p.Name(), p.in(job.Env["REGISTRY"]))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func platformOf(architecture string) *v1.Platform {
	for _, p := range platforms {
		if p.Architecture == architecture {
			return &p
		}
	}
	return nil
}

// programsOfThisMachine is a folder with what `make build` made, and for the other platform with what looks like it.
func programsOfThisMachine(t *testing.T) string {
	folder := programsMade(t, "1")
	for _, name := range []string{"flotilla-controller", "flotilla-agent"} {
		to := filepath.Join(folder, "linux-"+runtime.GOARCH, name)
		must(t, os.Remove(to))
		built, err := filepath.Abs(filepath.Join("..", "bin", name))
		must(t, err)
		if _, err := os.Stat(built); err != nil {
			t.Fatalf("bin/%s is missing: run `make build` first", name)
		}
		must(t, os.Symlink(built, to))
	}
	return folder
}

// programsMade is a folder with a file for every product and platform that reads as a program built by Go.
func programsMade(t *testing.T, content string) string {
	t.Helper()
	folder := t.TempDir()
	for arch := range machines {
		must(t, os.MkdirAll(filepath.Join(folder, "linux-"+arch), 0o700))
		for _, name := range []string{"flotilla-controller", "flotilla-agent"} {
			must(t, os.WriteFile(filepath.Join(folder, "linux-"+arch, name), program(t, arch, content, elf.PT_NULL), 0o600))
		}
	}
	return folder
}
