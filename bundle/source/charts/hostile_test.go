package charts

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"flotilla.io/flotilla/bundle/source"
)

func TestArchivesAreRefused(t *testing.T) {
	const chart = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
	many := []string{"web/Chart.yaml", chart}
	for i := range MaxChartFiles + 1 {
		many = append(many, "web/files/"+strings.Repeat("x", i%50)+string(rune('a'+i%26))+time.Duration(i).String(), "")
	}
	for _, c := range []struct {
		rule   string
		data   []byte
		reason string
		says   string
	}{
		{"a path that leads up", packed(t, "web/Chart.yaml", chart, "web/../../etc/passwd", "x"), ChartInvalid, "leads out of the archive"},
		{"an absolute path", packed(t, "web/Chart.yaml", chart, "/etc/passwd", "x"), ChartInvalid, "leads out of the archive"},
		{"a path of another system", packed(t, "web/Chart.yaml", chart, `web\..\..\x`, "x"), ChartInvalid, "leads out of the archive"},
		{"a symbolic link", packed(t, "web/Chart.yaml", chart, "web/values.yaml", "-> /etc/passwd"), ChartInvalid, "links and devices are refused"},
		{"a name twice", packed(t, "web/Chart.yaml", chart, "web/Chart.yaml", chart), ChartInvalid, "is there twice"},
		{"a bomb", packed(t, "web/Chart.yaml", chart, "web/zeros", strings.Repeat("\x00", MaxChartBytes)), source.TooLarge, "larger than 60 MiB"},
		{"too many files", packed(t, many...), source.TooLarge, "10000 files"},
		{"no chart in it", packed(t, "web/values.yaml", ""), ChartInvalid, "has no Chart.yaml"},
		{"a Chart.yaml that is none", packed(t, "web/Chart.yaml", "- 1"), ChartInvalid, "Chart.yaml is not one"},
		{"no archive", []byte("<html>please sign in</html>"), ChartInvalid, "is no .tgz archive"},
		{"half an archive", chartOf(t, "web", "1.0.0")[:60], ChartInvalid, "damaged"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			repo := &repository{}
			repo.put("/web.tgz", string(c.data))
			_, err := local(t).Begin(nobody).Fetch(t.Context(), Ref{"", serve(t, repo) + "/web.tgz", ""})
			fails(t, err, c.reason, c.says)
		})
	}
	huge := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	_, err := local(t).Begin(nobody).Fetch(t.Context(), Ref{"", huge + "/web.tgz", ""})
	fails(t, err, source.TooLarge, "larger than 32 MiB")
}

func TestCredentialsStayHome(t *testing.T) {
	thief := &repository{}
	thief.put("/charts/index.yaml", "apiVersion: v1\nentries: {web: [{version: 1.0.0, urls: [web-1.0.0.tgz]}]}")
	thief.add(t, "web", "1.0.0")
	thiefURL := serve(t, thief)
	home := &repository{password: "s3cret"}
	home.add(t, "web", "1.0.0")
	home.put("/away/index.yaml", "apiVersion: v1\nentries: {web: [{version: 1.0.0, urls: [\""+thiefURL+"/charts/web-1.0.0.tgz\"]}]}")
	mux := http.NewServeMux()
	mux.Handle("/", home)
	mux.HandleFunc("/moved/", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, thiefURL+"/charts"+strings.TrimPrefix(req.URL.Path, "/moved"), http.StatusMovedPermanently)
	})
	url := serve(t, mux)
	fetch := func(auth func(string) Auth, at string) error {
		_, err := local(t).Begin(auth).Fetch(t.Context(), Ref{url + at, "web", ""})
		return err
	}
	must(t, fetch(ann("s3cret"), "/charts"))
	if got := home.requests(); strings.Count(got, "200 Basic ") != 2 {
		t.Errorf("index and archive of the same origin get the credentials: %s", got)
	}
	fails(t, fetch(ann("wrong"), "/charts"), source.AuthFailed, "refused the credentials", "helmSecretName")
	fails(t, fetch(nobody, "/charts"), source.AuthFailed, "none were sent", "helmRepoURLRegex must match "+url)
	must(t, fetch(ann("s3cret"), "/away"))
	must(t, fetch(ann("s3cret"), "/moved"))
	if got := thief.requests(); strings.Contains(got, "Basic") || strings.Count(got, "200") < 2 {
		t.Errorf("another host saw credentials: %s", got)
	}
	thief.password = "other"
	fails(t, fetch(ann("s3cret"), "/away"), source.AuthFailed, "sent to no other host")
	if got := thief.requests(); strings.Contains(got, "Basic") {
		t.Errorf("another host saw credentials: %s", got)
	}
}

func TestCredentialsForRegistriesStayHome(t *testing.T) {
	seen := make(chan string, 100)
	thief := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen <- req.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"token": "t"}`))
	}))
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	must(t, err)
	thief.Listener = listener
	thief.Start()
	t.Cleanup(thief.Close)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+thief.URL+`/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	_, err = local(t).Begin(ann("s3cret")).Fetch(t.Context(), Ref{"", strings.Replace(url, "http://", "oci://", 1) + "/web", "1.0.0"})
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a registry that has tokens made by another host: %v", err)
	}
	close(seen)
	for header := range seen {
		if strings.HasPrefix(header, "Basic") {
			t.Errorf("another host saw the credentials")
		}
	}
}

func TestRegistriesWithCredentials(t *testing.T) {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, password, _ := req.BasicAuth(); req.Method == http.MethodGet && (user != "ann" || password != "s3cret") || req.Method == http.MethodHead && user == "" && strings.Contains(req.URL.Path, "manifests/1") {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, req)
	}))
	direct := serve(t, inner)
	push(t, direct+"/web", "1.0.0", chartOf(t, "web", "1.0.0"))
	ref := Ref{"", strings.Replace(url, "http://", "oci://", 1) + "/web", "1.x"}
	got, err := local(t).Begin(ann("s3cret")).Fetch(t.Context(), ref)
	must(t, err)
	if got.Version != "1.0.0" {
		t.Errorf("got %s", got.Version)
	}
	_, err = local(t).Begin(ann("wrong")).Fetch(t.Context(), ref)
	fails(t, err, source.AuthFailed)
	_, err = local(t).Begin(nobody).Fetch(t.Context(), ref)
	fails(t, err, source.AuthFailed, "none were sent")
}

func TestWhomToTrust(t *testing.T) {
	repo := &repository{}
	repo.add(t, "web", "1.0.0")
	s := httptest.NewTLSServer(repo)
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for _, c := range []struct {
		rule   string
		auth   source.Auth
		reason string
	}{
		{"an unknown CA is refused", source.Auth{}, source.UnknownCA},
		{"its CA is enough", source.Auth{CABundle: ca}, ""},
		{"insecureSkipVerify takes any certificate", source.Auth{Insecure: true}, ""},
		{"a CA that is none is told", source.Auth{CABundle: []byte("none")}, source.CertificateInvalid},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := local(t).Begin(func(string) Auth { return Auth{Auth: c.auth} }).Fetch(t.Context(), Ref{s.URL + "/charts", "web", ""})
			if c.reason == "" {
				must(t, err)
				return
			}
			fails(t, err, c.reason)
		})
	}
}

func TestAddressesAreCheckedWhenTheyAreDialled(t *testing.T) {
	strict, lenient := New(Options{}), New(Options{Local: true})
	for ip, refused := range map[string][2]bool{ // by a hub, by a person's own command
		"127.0.0.1": {true, false}, "::1": {true, false}, "::ffff:127.0.0.1": {true, false}, "0.0.0.0": {true, false},
		"169.254.169.254": {true, true}, "fe80::1": {true, true}, "224.0.0.1": {true, true}, "100.100.100.200": {true, true}, "fd00:ec2::254": {true, true},
		"10.43.0.7": {false, false}, "93.184.216.34": {false, false},
	} {
		if got := strict.guard.Refuses(ip, netip.MustParseAddr(ip)) != nil; got != refused[0] {
			t.Errorf("%s: a hub refuses it: %v", ip, got)
		}
		if got := lenient.guard.Refuses(ip, netip.MustParseAddr(ip)) != nil; got != refused[1] {
			t.Errorf("%s: a command refuses it: %v", ip, got)
		}
	}
	repo := &repository{}
	repo.add(t, "web", "1.0.0")
	url := serve(t, repo)
	byName := strings.Replace(url, "127.0.0.1", "localhost", 1) // judged by what the name means when it is dialled
	for _, ref := range []Ref{{url + "/charts", "web", ""}, {byName + "/charts", "web", ""}, {"", strings.Replace(url, "http://", "oci://", 1) + "/web", "1.0.0"}} {
		_, err := New(Options{}).Begin(ann("s3cret")).Fetch(t.Context(), ref)
		fails(t, err, AddressRefused, "this machine itself")
	}
	away := serve(t, http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound))
	_, err := local(t).Begin(ann("s3cret")).Fetch(t.Context(), Ref{away, "web", ""})
	fails(t, err, AddressRefused, "metadata service")
	if got := repo.requests(); got != "" {
		t.Errorf("it was asked: %s", got)
	}
}

func TestTheCallerMayStop(t *testing.T) {
	stuck := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := local(t).Begin(nobody).Fetch(ctx, Ref{stuck, "web", ""})
	fails(t, err, source.FetchFailed)
}

func TestCredentialsAreChosen(t *testing.T) {
	all := Auth{Auth: source.Auth{Username: "all", CABundle: []byte("ca")}}
	byPath, err := ParseByPath([]byte("apps/web: {username: web, password: p, insecureSkipVerify: true, caBundle: Y2E=}\n"))
	must(t, err)
	for _, c := range []struct {
		rule, pattern, path, url string
		byPath                   map[string]Auth
		want                     string
	}{
		{"without a pattern nobody gets any", "", "apps/web", "https://a/charts", nil, ""},
		{"what the pattern matches gets them", "https://a/.*", "apps/web", "https://a/charts", nil, "all"},
		{"the pattern must match the whole", "https://a", "apps/web", "https://a.evil.example/charts", nil, ""},
		{"credentials by path are for that path", "https://a/.*", "apps/web", "https://a/charts", byPath, "web"},
		{"and other paths get none then", "https://a/.*", "apps/other", "https://a/charts", byPath, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			credentials, err := NewCredentials(all, c.byPath, c.pattern)
			must(t, err)
			got := credentials.For(c.path)(c.url)
			if got.Username != c.want || string(got.CABundle) != "ca" {
				t.Errorf("got %q, trusting %q", got.Username, got.CABundle)
			}
		})
	}
	if _, err := NewCredentials(all, nil, "("); err == nil {
		t.Error("a pattern that is none was taken")
	}
}
