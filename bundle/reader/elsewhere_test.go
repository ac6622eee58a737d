package reader

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/source/charts"
)

// chartServer is a Helm repository with charts "name version".
func chartServer(t *testing.T, all ...string) string {
	t.Helper()
	mux, entries := http.NewServeMux(), map[string]string{}
	for _, chart := range all {
		name, version, _ := strings.Cut(chart, " ")
		file := name + "-" + version + ".tgz"
		entries[name] += fmt.Sprintf("  - {name: %s, version: %s, urls: [%s]}\n", name, version, file)
		mux.HandleFunc("/"+file, func(w http.ResponseWriter, _ *http.Request) {
			var out bytes.Buffer
			zipped := gzip.NewWriter(&out)
			archive := tar.NewWriter(zipped)
			yaml := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)
			_ = archive.WriteHeader(&tar.Header{Name: name + "/Chart.yaml", Mode: 0o644, Size: int64(len(yaml)), Typeflag: tar.TypeReg})
			_, _ = archive.Write([]byte(yaml))
			_ = archive.Close()
			_ = zipped.Close()
			_, _ = w.Write(out.Bytes())
		})
	}
	mux.HandleFunc("/index.yaml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "apiVersion: v1\nentries:\n")
		for name, versions := range entries {
			fmt.Fprintf(w, "  %s:\n%s", name, versions)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func fetched(t *testing.T, files ...string) map[string]Found {
	t.Helper()
	found, err := Read(treeOf(files...), repo())
	if err != nil {
		t.Fatal(err)
	}
	session := charts.New(charts.Options{Local: true}).Begin((&charts.Credentials{}).For(""))
	Fetch(t.Context(), found, func(string) ChartFetcher { return session })
	out := map[string]Found{}
	for _, f := range found {
		out[f.Path] = f
	}
	return out
}

func TestChartsFromElsewhere(t *testing.T) {
	url := chartServer(t, "web 1.0.0", "web 1.4.0", "web 2.0.0", "api 1.0.0")
	for _, c := range []struct {
		rule, yaml string
		want       []string // "chart:repo:version = version", with URL for the repository
	}{
		{"the bundle's own chart", "helm: {repo: URL, chart: web, version: 1.x}\n", []string{"web:URL:1.x = 1.4.0"}},
		{"one chart for each version that targets ask for, and none that nobody is told to deploy",
			"helm: {repo: URL, chart: web, version: 1.x}\ntargets: [{clusterGroup: a, helm: {version: 2.x}}, {clusterGroup: b, helm: {chart: api, version: \"*\"}}]\noverrideTargets: []\n",
			[]string{"web:URL:2.x = 2.0.0", "api:URL:* = 1.0.0"}},
		{"a customization's chart besides that of the targets", "helm: {repo: URL, chart: web, version: 1.0.0}\ntargetCustomizations: [{clusterName: a, helm: {version: 2.0.0}}]\n",
			[]string{"web:URL:1.0.0 = 1.0.0", "web:URL:2.0.0 = 2.0.0"}},
		{"where all customizations count, what several make of it together",
			"targetCustomizationMode: AllMatches\nhelm: {repo: URL, chart: web, version: 1.0.0}\ntargetCustomizations: [{clusterName: a, helm: {version: 2.x}}, {clusterName: b, helm: {chart: api, version: 1.x}}]\n",
			[]string{"web:URL:1.0.0 = 1.0.0", "web:URL:2.x = 2.0.0", "api:URL:1.x = 1.0.0"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f := fetched(t, "app/fleet.yaml: "+strings.ReplaceAll(c.yaml, "URL", url))["app"]
			if f.Err != nil {
				t.Fatal(f.Err)
			}
			want := map[string]string{}
			for _, w := range c.want {
				asked, version, _ := strings.Cut(strings.ReplaceAll(w, "URL", url), " = ")
				chart, rest, _ := strings.Cut(asked, ":")
				at := strings.LastIndex(rest, ":")
				want[ChartDir(&v1alpha1.HelmOptions{Chart: chart, Repo: rest[:at], Version: rest[at+1:]})+"/Chart.yaml"] = version
			}
			if got := slices.Sorted(maps.Keys(f.Files)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				t.Fatalf("got %v, want %v", got, want)
			}
			for file, version := range want {
				if !strings.Contains(string(f.Files[file]), "version: "+version) {
					t.Errorf("%s is not version %s: %s", file, version, f.Files[file])
				}
			}
		})
	}
}

func TestChartsThatCannotBeFetched(t *testing.T) {
	url := chartServer(t, "web 1.0.0")
	found := fetched(t,
		"sound/fleet.yaml: helm: {repo: "+url+", chart: web}\n",
		"chart/fleet.yaml: helm:\n  repo: "+url+"\n  chart: wep\n",
		"version/fleet.yaml: helm:\n  repo: "+url+"\n  chart: web\n  version: 2.x\n",
		"target/fleet.yaml: helm: {repo: "+url+", chart: web}\ntargetCustomizations:\n- clusterName: a\n  helm:\n    version: 3.x\n",
		"address/fleet.yaml: helm:\n  chart: git::https://example.com/charts\n",
		"dependency/fleet.yaml: {}\n", "dependency/Chart.yaml: apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- {name: redis, repository: \""+url+"\"}\n")
	if found["sound"].Err != nil {
		t.Errorf("one error stops one bundle: %v", found["sound"].Err)
	}
	for path, want := range map[string][]string{
		"chart":      {charts.ChartNotFound, "chart/fleet.yaml:3:10: helm.chart: chart " + url + "/wep: ", `did you mean "web"?`},
		"version":    {charts.VersionNotFound, "version/fleet.yaml:4:12: helm.version: ", "there are 1.0.0"},
		"target":     {charts.VersionNotFound, "target/fleet.yaml:5:14: targetCustomizations[0].helm.version: "},
		"address":    {source.InvalidURL, "address/fleet.yaml:2:10: helm.chart: ", "not by Git, S3, GCS or Mercurial"},
		"dependency": {charts.ChartNotFound, "dependency/Chart.yaml:5:10: dependency redis: "},
	} {
		err := found[path].Err
		var known *source.Error
		if !errors.As(err, &known) || known.Reason != want[0] {
			t.Errorf("%s: got %v, want %s", path, err, want[0])
			continue
		}
		for _, words := range want[1:] {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %q lacks %q", path, err, words)
			}
		}
		var place fleetyaml.Error
		if !errors.As(err, &place) && path != "dependency" {
			t.Errorf("%s: its place is not known: %v", path, err)
		}
	}
}

func TestDependenciesFromElsewhere(t *testing.T) {
	url := chartServer(t, "redis 1.0.0", "redis 1.4.0")
	chart := "app/Chart.yaml: apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- {name: redis, version: 1.x, repository: \"" + url + "\"}\n"
	lock := func(version string) string {
		return "app/Chart.lock: dependencies: [{name: redis, repository: \"" + url + "\", version: " + version + "}]\n"
	}
	for _, c := range []struct {
		rule  string
		files []string
		want  string
	}{
		{"the newest that fits", nil, "charts/redis-1.4.0/Chart.yaml"},
		{"the one that the lock names", []string{lock("1.0.0")}, "charts/redis-1.0.0/Chart.yaml"},
		{"not the one of a lock that does not fit any more", []string{lock("0.9.0")}, "charts/redis-1.4.0/Chart.yaml"},
		{"none where it lies in charts/", []string{"app/charts/redis-1.0.0.tgz: x"}, "charts/redis-1.0.0.tgz"},
		{"none where it is not wanted", []string{"app/fleet.yaml: helm: {disableDependencyUpdate: true}\n"}, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f := fetched(t, append([]string{"app/fleet.yaml: {}\n", chart}, c.files...)...)["app"]
			if f.Err != nil {
				t.Fatal(f.Err)
			}
			var got []string
			for name := range f.Files {
				if strings.HasPrefix(name, "charts/") {
					got = append(got, name)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}
