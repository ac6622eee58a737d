package probes

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/dial"
)

func TestWhatAServerAnswers(t *testing.T) {
	stuck := make(chan struct{})
	var credentials atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			credentials.Store(true)
		}
		switch r.URL.Path {
		case "/health":
		case "/teapot":
			w.WriteHeader(http.StatusTeapot)
		case "/away":
			http.Redirect(w, r, "/health", http.StatusFound)
		case "/stuck":
			<-stuck
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	defer close(stuck)
	secured := httptest.NewTLSServer(server.Config.Handler)
	defer secured.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	_ = free.Close()
	get := func(path string, status int) v1alpha1.HealthProbe {
		return v1alpha1.HealthProbe{HTTP: &v1alpha1.HTTPProbe{URL: path, Status: status}, Timeout: &metav1.Duration{Duration: 300 * time.Millisecond}}
	}
	connect := func(address string) v1alpha1.HealthProbe {
		return v1alpha1.HealthProbe{TCP: &v1alpha1.TCPProbe{Address: address}}
	}
	for _, row := range []struct {
		rule  string
		probe v1alpha1.HealthProbe
		local bool
		want  string // "" is well
	}{
		{"200 is well", get(server.URL+"/health", 0), true, ""},
		{"another status may be asked for", get(server.URL+"/teapot", 418), true, ""},
		{"another status is told", get(server.URL+"/teapot", 0), true, "GET " + server.URL + "/teapot: 418, want 200"},
		{"a redirect is not followed", get(server.URL+"/away", 0), true, "GET " + server.URL + "/away: 302, want 200"},
		{"no answer in time", get(server.URL+"/stuck", 0), true, "GET " + server.URL + "/stuck: no answer within 300ms"},
		{"nobody listens", get("http://"+nobody+"/", 0), true, "GET http://" + nobody + "/: connect: connection refused"},
		{"a certificate that nobody vouches for", get(secured.URL+"/health", 0), true, "GET " + secured.URL + "/health: x509: certificate signed by unknown authority"},
		{"a query is not shown, nor are credentials sent", get(strings.Replace(server.URL, "http://", "http://ann:canary@", 1)+"/no?token=canary", 0), true, "GET " + server.URL + "/no: 404, want 200"},
		{"what is no URL", get("web/health", 0), true, "GET web/health: want a URL such as http://web.shop.svc/health"},
		{"this machine is not asked", get(server.URL+"/health", 0), false, "GET " + server.URL + "/health: 127.0.0.1 is this machine itself: nothing is fetched from there"},
		{"nor is a metadata service, ever", get("http://169.254.169.254/latest", 0), true,
			"GET http://169.254.169.254/latest: 169.254.169.254 is an address of this machine's own link, such as a cloud's metadata service: nothing is fetched from there"},
		{"a connection is well", connect(address), true, ""},
		{"a connection that nobody takes", connect(nobody), true, "connecting to " + nobody + ": connect: connection refused"},
		{"a connection to this machine", connect(address), false, "connecting to " + address + ": 127.0.0.1 is this machine itself: nothing is fetched from there"},
		{"a probe of nothing", v1alpha1.HealthProbe{}, true, "it has none of http, tcp, job and object; give it one"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			r := NewRunner(t.Context(), dial.Guard{Local: row.local}, func(string) {})
			for range 2 { // the same words each time
				got := ""
				if err := r.check(t.Context(), nil, row.probe); err != nil {
					got = err.Error()
				}
				if got != row.want {
					t.Errorf("it says\n%q, want\n%q", got, row.want)
				}
			}
		})
	}
	if credentials.Load() {
		t.Error("credentials were sent")
	}
}
