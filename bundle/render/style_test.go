package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
)

func TestDetect(t *testing.T) {
	downloaded := fmt.Sprintf(".chart/%x", sha256.Sum256([]byte("redis:https://charts.example.com:1.2.3")))
	remote := v1alpha1.HelmOptions{Chart: "redis", Repo: "https://charts.example.com", Version: "1.2.3"}
	type options = v1alpha1.BundleDeploymentOptions
	helm := func(o v1alpha1.HelmOptions) options { return options{Helm: &o} }
	kustomizeIn := func(dir string) options { return options{Kustomize: &v1alpha1.KustomizeOptions{Dir: dir}} }
	for _, row := range []struct {
		rule    string
		files   string
		options options
		want    style
	}{
		{"a Chart.yaml at the root is a chart", "Chart.yaml a.yaml", options{}, style{chart: ".", templated: true}},
		{"helm options without a chart mean the root", "Chart.yaml", helm(v1alpha1.HelmOptions{ReleaseName: "x"}), style{chart: ".", templated: true}},
		{"helm options alone make no chart", "a.yaml", helm(v1alpha1.HelmOptions{ReleaseName: "x"}), style{}},
		{"helm.chart is a directory of the bundle", "Chart.yaml sub/Chart.yaml", helm(v1alpha1.HelmOptions{Chart: "./sub/"}), style{chart: "sub", templated: true}},
		{"helm.chart may stand beside the bundle", "../charts/web/Chart.yaml", helm(v1alpha1.HelmOptions{Chart: "../charts/web"}), style{chart: "../charts/web", templated: true}},
		{"helm.chart may be an archive", "web-1.0.0.tgz", helm(v1alpha1.HelmOptions{Chart: "web-1.0.0.tgz"}), style{chart: "web-1.0.0.tgz", templated: true}},
		{"helm.repo counts when there is no helm.chart", "sub/Chart.yaml", helm(v1alpha1.HelmOptions{Repo: "sub"}), style{chart: "sub", templated: true}},
		{"a chart put in for what was asked is found", downloaded + "/Chart.yaml", helm(remote), style{chart: downloaded, templated: true}},
		{"also one directory down", downloaded + "/redis/Chart.yaml " + downloaded + "/redis/charts/x/Chart.yaml", helm(remote), style{chart: downloaded + "/redis", templated: true}},
		{"a kustomization at the root", "kustomization.yaml", options{}, style{kustomization: "."}},
		{"by any of its names", "Kustomization", options{}, style{kustomization: "."}},
		{"kustomize.dir names another", "kustomization.yaml overlays/eu/kustomization.yaml", kustomizeIn("/overlays/eu/"), style{kustomization: "overlays/eu"}},
		{"kustomize.dir may stand beside the bundle", "../eu/kustomization.yml", kustomizeIn("../eu"), style{kustomization: "../eu"}},
		{"one below the root does not count by itself", "sub/kustomization.yaml", options{}, style{}},
		{"kustomize.dir is ignored where no kustomization is", "a.yaml", kustomizeIn("overlays/eu"), style{}},
		{"a chart with a kustomization is both", "Chart.yaml kustomization.yaml", options{}, style{chart: ".", kustomization: ".", templated: true}},
		{"anything else is plain", "a.yaml sub/Chart.yaml", options{}, style{}},
		{"plain manifests below templates/ are templates", "a.yaml templates/b.yaml", options{}, style{templated: true}},
		{"nothing is plain too", "", options{}, style{}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			in := Input{Files: map[string][]byte{}, Options: row.options}
			for _, name := range strings.Fields(row.files) {
				in.Files[name] = nil
			}
			got, err := detect(in)
			if err != nil || got != row.want {
				t.Errorf("%+v, %v, want %+v", got, err, row.want)
			}
		})
	}
}

// Charts in archives: as the bundle's chart, and as a subchart.
func TestArchives(t *testing.T) {
	const meta = "{apiVersion: v2, name: redis, version: 1.0.0}"
	const object = "{apiVersion: v1, kind: ConfigMap, metadata: {name: redis}}"
	for _, row := range []struct {
		rule    string
		archive []byte
		want    string // "" when it renders
	}{
		{"a chart", archive(t, "redis/Chart.yaml", meta, "redis/templates/a.yaml", object), ""},
		{"a path that leads out", archive(t, "redis/Chart.yaml", meta, "redis/../../etc/x", "x"), "chart illegally references parent directory"},
		{"an absolute path", archive(t, "redis/Chart.yaml", meta, "redis//etc/x", "x"), "chart illegally contains absolute paths"},
		{"a file that is too large", archive(t, "redis/Chart.yaml", meta, "redis/a", strings.Repeat("x", 6<<20)), "is larger than the maximum file size"},
		{"a bomb", bomb(t), "decompressed chart is larger than the maximum file size"},
		{"half an archive", archive(t, "redis/Chart.yaml", meta)[:40], "unexpected EOF"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			asChart := Input{Bundle: "a", Files: map[string][]byte{"redis.tgz": row.archive}}
			asChart.Options.Helm = &v1alpha1.HelmOptions{Chart: "redis.tgz"}
			asSubchart := charted()
			asSubchart.Files["charts/redis.tgz"] = row.archive
			for _, in := range []Input{asChart, asSubchart} {
				_, err := Render(t.Context(), in, nil)
				switch {
				case row.want == "" && err != nil, row.want != "" && (reason(err) != ReasonChartInvalid || !strings.Contains(err.Error(), row.want)):
					t.Errorf("%v, want %q", err, row.want)
				}
			}
		})
	}
}

func archive(t *testing.T, namesAndTexts ...string) []byte {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	files := tar.NewWriter(zipped)
	for i := 0; i < len(namesAndTexts); i += 2 {
		name, text := namesAndTexts[i], namesAndTexts[i+1]
		must(t, files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := files.Write([]byte(text))
		must(t, err)
	}
	must(t, files.Close())
	must(t, zipped.Close())
	return out.Bytes()
}

// bomb is a small archive of 120 MiB.
func bomb(t *testing.T) []byte {
	parts := []string{"redis/Chart.yaml", "{apiVersion: v2, name: redis, version: 1.0.0}"}
	for i := range 30 {
		parts = append(parts, fmt.Sprintf("redis/files/%d", i), strings.Repeat("x", 4<<20))
	}
	return archive(t, parts...)
}
