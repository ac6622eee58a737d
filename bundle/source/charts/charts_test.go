package charts

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flotilla.io/flotilla/bundle/source"
)

func TestVersionsAreFoundAsHelmDoes(t *testing.T) {
	repo := &repository{}
	for _, version := range []string{"1.2.0", "1.10.0", "2.0.0-rc.1", "1.9.3", "v3.1.0", "1.10.1+build.5"} {
		repo.add(t, "web", version)
	}
	repoURL, registryURL := serve(t, repo)+"/charts", newRegistry(t)
	for _, version := range []string{"1.2.0", "1.10.0", "2.0.0-rc.1", "1.9.3", "v3.1.0", "1.10.1+build.5"} {
		push(t, registryURL+"/team/web", version, chartOf(t, "web", version))
	}
	oci := strings.Replace(registryURL, "http://", "oci://", 1) + "/team/web"
	f := local(t)
	for _, c := range []struct{ rule, asked, want, reason string }{
		{"a version is taken as it is", "1.2.0", "1.2.0", ""},
		{"no version is the newest that is no pre-release", "", "v3.1.0", ""},
		{"a star is the same", "*", "v3.1.0", ""},
		{"a range takes the newest in it, by number and not by letter", "1.x", "1.10.1+build.5", ""},
		{"a tilde keeps the minor version", "~1.9", "1.9.3", ""},
		{"bounds may be written out", ">=1.2 <1.10", "1.9.3", ""},
		{"a pre-release has to be asked for", ">=2.0.0-0 <3", "2.0.0-rc.1", ""},
		{"a version with a v is the version", "3.1.0", "v3.1.0", ""},
		{"a version that is not there is told with those that are", "1.2.1", "there are v3.1.0, 2.0.0-rc.1, 1.10", VersionNotFound},
		{"a range that nothing fits is told too", ">9", `no version of the chart fits ">9"`, VersionNotFound},
		{"what is no version is refused", "latest!", `"latest!" is neither a version nor a range`, VersionInvalid},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for kind, ref := range map[string]Ref{"index": {repoURL, "web", c.asked}, "registry": {oci, "", c.asked}, "chart in registry": {"", oci, c.asked}} {
				got, err := f.Begin(nobody).Fetch(t.Context(), ref)
				if c.reason != "" {
					fails(t, err, c.reason, c.want)
					continue
				}
				must(t, err)
				if got.Version != c.want || !strings.Contains(string(got.Files["templates/cm.yaml"]), c.want) || got.Files["Chart.yaml"] == nil {
					t.Errorf("%s: got %s with %d files, want %s", kind, got.Version, len(got.Files), c.want)
				}
			}
		})
	}
}

func TestWhereAChartMayBe(t *testing.T) {
	repo := &repository{}
	repo.add(t, "web", "1.0.0")
	repo.put("/nested.tar.gz", string(packed(t, "charts-main/README", "x", "charts-main/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 7.0.0\n")))
	url, registryURL := serve(t, repo), newRegistry(t)
	sum := push(t, registryURL+"/team/web", "1.0.0", chartOf(t, "web", "1.0.0"))
	oci := strings.Replace(registryURL, "http://", "oci://", 1)
	f := local(t)
	for _, c := range []struct {
		rule   string
		ref    Ref
		want   string // version
		reason string
	}{
		{"in a repository, with or without a slash behind it", Ref{url + "/charts/", "web", ""}, "1.0.0", ""},
		{"an archive at an address", Ref{"", url + "/charts/web-1.0.0.tgz", ""}, "1.0.0", ""},
		{"a directory of an archive", Ref{"", url + "/nested.tar.gz//charts-main/web", ""}, "7.0.0", ""},
		{"below a registry's repository", Ref{oci + "/team", "web", "1.0.0"}, "1.0.0", ""},
		{"a registry's repository that is the chart", Ref{oci + "/team/web", "web", "1.0.0"}, "1.0.0", ""},
		{"by the tag in the address", Ref{"", oci + "/team/web:1.0.0", ""}, "1.0.0", ""},
		{"by digest", Ref{"", oci + "/team/web@" + sum.String(), ""}, "1.0.0", ""},
		{"not in Git by go-getter", Ref{"", "git::https://example.com/charts//web", ""}, "", source.InvalidURL},
		{"not in a bucket", Ref{"", "s3::https://example.com/web.tgz", ""}, "", source.InvalidURL},
		{"not on GitHub by its name", Ref{"", "github.com/acme/charts//web", ""}, "", source.InvalidURL},
		{"not in a file", Ref{"file:///srv/charts", "web", ""}, "", source.InvalidURL},
		{"not in a repository without index", Ref{url + "/elsewhere", "web", ""}, "", source.RepoNotFound},
		{"not under another name", Ref{url + "/charts", "wep", ""}, "", ChartNotFound},
		{"not in an empty place of a registry", Ref{oci + "/team", "nothing", ""}, "", ChartNotFound},
		{"not at an address with nothing", Ref{"", url + "/gone.tgz", ""}, "", ChartNotFound},
		{"not in a repository alone", Ref{url + "/charts", "", ""}, "", ChartNotFound},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := f.Begin(nobody).Fetch(t.Context(), c.ref)
			if c.reason != "" {
				fails(t, err, c.reason)
				return
			}
			must(t, err)
			if got.Version != c.want {
				t.Errorf("got %s", got.Version)
			}
		})
	}
	_, err := f.Begin(nobody).Fetch(t.Context(), Ref{url + "/charts", "wep", ""})
	fails(t, err, ChartNotFound, `did you mean "web"?`)
}

func TestOnlyWhatChangedIsFetched(t *testing.T) {
	repo := &repository{}
	repo.add(t, "web", "1.0.0")
	url := serve(t, repo)
	f := local(t)
	fetch := func(ref Ref) string {
		t.Helper()
		_, err := f.Begin(nobody).Fetch(t.Context(), ref)
		must(t, err)
		return repo.requests()
	}
	ref := Ref{url + "/charts", "web", "1.x"}
	if got := fetch(ref); got != "index.yaml 200, web-1.0.0.tgz 200" {
		t.Errorf("first: %s", got)
	}
	if got := fetch(ref); got != "index.yaml 304" {
		t.Errorf("again: %s", got)
	}
	repo.add(t, "web", "1.1.0")
	if got := fetch(ref); got != "index.yaml 200, web-1.1.0.tgz 200" {
		t.Errorf("a new version: %s", got)
	}
	archive := Ref{"", url + "/charts/web-1.0.0.tgz", ""}
	if first, again := fetch(archive), fetch(archive); first != "web-1.0.0.tgz 200" || again != "web-1.0.0.tgz 304" {
		t.Errorf("an archive: %s; %s", first, again)
	}
	s := f.Begin(nobody)
	for range 3 {
		_, err := s.Fetch(t.Context(), ref)
		must(t, err)
	}
	if got := repo.requests(); got != "index.yaml 304" {
		t.Errorf("three charts of one reading: %s", got)
	}
	kept, err := filepath.Glob(filepath.Join(f.blobs.dir, "*.tgz"))
	must(t, err)
	for _, file := range kept {
		must(t, os.WriteFile(file, []byte("damaged"), 0o600))
	}
	if got := fetch(ref); got != "index.yaml 304, web-1.1.0.tgz 200" {
		t.Errorf("an archive that is kept and damaged: %s", got)
	}
}

func TestDependenciesAreFetched(t *testing.T) {
	other := &repository{}
	other.add(t, "redis", "17.0.0")
	other.add(t, "redis", "17.2.0")
	other.add(t, "redis", "18.0.0")
	at := serve(t, other) + "/charts"
	depends := func(on string) string {
		return "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies:\n- " + on + "\n"
	}
	repo := &repository{}
	for name, chart := range map[string][]byte{
		"remote": packed(t, "web/Chart.yaml", depends("{name: redis, version: 17.x, repository: \""+at+"\"}")),
		"packed": packed(t, "web/Chart.yaml", depends("{name: redis, version: 17.x, repository: \""+at+"\"}"), "web/charts/redis-17.0.0.tgz", "x"),
		"alias":  packed(t, "web/Chart.yaml", depends("{name: redis, version: 17.x, repository: \"@stable\"}")),
		"itself": packed(t, "web/Chart.yaml", depends("{name: loop, version: 1.x, repository: \""+at+"\"}")),
	} {
		repo.put("/"+name+".tgz", string(chart))
	}
	loop := "apiVersion: v2\nname: loop\nversion: 1.0.0\ndependencies: [{name: loop, version: 1.x, repository: \"" + at + "\"}]\n"
	other.add(t, "loop", "1.0.0")
	other.put("/charts/index.yaml", string(other.files["/charts/index.yaml"])+"")
	looped := packed(t, "loop/Chart.yaml", loop)
	other.put("/charts/loop-1.0.0.tgz", string(looped))
	other.put("/charts/index.yaml", strings.ReplaceAll(string(other.files["/charts/index.yaml"]), digest(chartOf(t, "loop", "1.0.0")), digest(looped)))
	url := serve(t, repo)
	s := local(t).Begin(nobody)
	got, err := s.Fetch(t.Context(), Ref{"", url + "/remote.tgz", ""})
	must(t, err)
	if got.Files["charts/redis-17.2.0/Chart.yaml"] == nil {
		t.Errorf("the dependency is not there: %d files", len(got.Files))
	}
	if got, err := s.Fetch(t.Context(), Ref{"", url + "/packed.tgz", ""}); err != nil || len(got.Files) != 2 {
		t.Errorf("a dependency that is packed along was fetched: %v", err)
	}
	_, err = s.Fetch(t.Context(), Ref{"", url + "/alias.tgz", ""})
	fails(t, err, ChartInvalid, "dependency redis")
	_, err = s.Fetch(t.Context(), Ref{"", url + "/itself.tgz", ""})
	fails(t, err, ChartInvalid, "more than 5 deep")
}

func TestBrokenRepositories(t *testing.T) {
	repo := &repository{}
	repo.put("/yaml/index.yaml", "{{{ no YAML")
	repo.put("/page/index.yaml", "<html>please sign in</html>")
	repo.put("/huge/index.yaml", "apiVersion: v1\n#"+strings.Repeat("x", MaxIndexBytes))
	repo.put("/scheme/index.yaml", "apiVersion: v1\nentries: {web: [{version: 1.0.0, urls: [\"ftp://example.com/web.tgz\"]}]}")
	repo.put("/nowhere/index.yaml", "apiVersion: v1\nentries: {web: [{version: 1.0.0}, null, {version: \"no version\"}]}")
	repo.put("/changed/index.yaml", "apiVersion: v1\nentries: {web: [{version: 1.0.0, urls: [web.tgz], digest: "+strings.Repeat("a", 64)+"}]}")
	repo.put("/changed/web.tgz", string(chartOf(t, "web", "1.0.0")))
	url := serve(t, repo)
	for dir, want := range map[string][]string{
		"yaml": {IndexInvalid, "is no index of charts"}, "page": {IndexInvalid}, "huge": {source.TooLarge, "larger than 32 MiB"},
		"scheme": {IndexInvalid, "an address that is none"}, "nowhere": {IndexInvalid, "no address"}, "changed": {DigestMismatch},
	} {
		t.Run(dir, func(t *testing.T) {
			_, err := local(t).Begin(nobody).Fetch(t.Context(), Ref{url + "/" + dir, "web", ""})
			fails(t, err, want[0], want[1:]...)
		})
	}
	broken := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	_, err := local(t).Begin(nobody).Fetch(t.Context(), Ref{broken, "web", ""})
	fails(t, err, source.FetchFailed, "502")
	_, err = local(t).Begin(nobody).Fetch(t.Context(), Ref{"http://127.0.0.1:1/charts", "web", ""})
	fails(t, err, source.Unreachable)
}
