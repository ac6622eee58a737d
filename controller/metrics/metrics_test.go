package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// cache holds one object of a kind.
type cache struct {
	client.Reader
	put func(client.ObjectList)
}

func (c cache) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	c.put(list)
	return nil
}

// shown is the whole text that a scrape gets, behind that of the program itself.
func shown(t testing.TB, f *Fleet, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	program := prometheus.NewRegistry()
	program.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "program", Help: "Of the program."}))
	handler, err := f.Behind(logr.Discard(), promhttp.HandlerFor(program, promhttp.HandlerOpts{}))
	if err != nil {
		t.Fatal(err)
	}
	answer, req := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	req.Header = header
	handler.ServeHTTP(answer, req)
	return answer
}

// scrape lists the fleet's series as Prometheus reads them: name{labels} value.
func scrape(t *testing.T, f *Fleet) []string {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(shown(t, f, nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for name, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%s", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			if name != "program" {
				out = append(out, fmt.Sprintf("%s{%s} %g", name, strings.Join(labels, ","), m.Gauge.GetValue()))
			}
		}
	}
	return out
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestSeries(t *testing.T) {
	bundle := func(change func(*fleet.Bundle)) func(client.ObjectList) {
		return func(list client.ObjectList) {
			if l, ok := list.(*fleet.BundleList); ok {
				b := fleet.Bundle{}
				b.Name, b.Namespace, b.Generation = "web", "ws", 3
				b.Labels = map[string]string{fleet.CommitLabel: "c0ffee", fleet.RepoLabel: "apps"}
				change(&b)
				l.Items = []fleet.Bundle{b}
			}
		}
	}
	cluster := func(state string) func(client.ObjectList) {
		return func(list client.ObjectList) {
			if l, ok := list.(*fleet.ClusterList); ok {
				c := fleet.Cluster{}
				c.Name, c.Namespace, c.Generation, c.Status.Display.State = "edge", "ws", 1, state
				c.Labels = map[string]string{fleet.ClusterDisplayNameLabel: "Edge", clusterNameLabel: "c-1"}
				c.Status.ResourceCounts.NotReady = 4
				l.Items = []fleet.Cluster{c}
			}
		}
	}
	repo := func(list client.ObjectList) {
		if l, ok := list.(*fleet.GitRepoList); ok {
			r := fleet.GitRepo{}
			r.Name, r.Namespace = "apps", "ws"
			r.Spec.Repo, r.Spec.Branch, r.Spec.Paths = "https://me:secret@git.example.com/apps", "main", []string{"a", "b"}
			r.Status.ResourceCounts.NotReady = 7
			l.Items = []fleet.GitRepo{r}
		}
	}
	for _, row := range []struct {
		rule   string
		put    func(client.ObjectList)
		want   []string
		series int
	}{
		{"a bundle counts its deployments, under the state that it is in", bundle(func(b *fleet.Bundle) {
			b.Status.Summary, b.Status.Display.State = fleet.BundleSummary{DesiredReady: 5, Ready: 3, Modified: 2}, "Modified"
		}), []string{
			"fleet_bundle_modified{commit=c0ffee,generation=3,name=web,namespace=ws,repo=apps,state=Modified} 2",
			"fleet_bundle_state{commit=c0ffee,generation=3,name=web,namespace=ws,repo=apps,state=Modified} 1",
			"fleet_bundle_state{commit=c0ffee,generation=3,name=web,namespace=ws,repo=apps,state=Ready} 0",
		}, 8 + 8},
		{"the state of a bundle that is ready is Ready, its counts have none", bundle(func(b *fleet.Bundle) { b.Status.Summary.Ready = 1 }), []string{
			"fleet_bundle_ready{commit=c0ffee,generation=3,name=web,namespace=ws,repo=apps,state=} 1",
			"fleet_bundle_state{commit=c0ffee,generation=3,name=web,namespace=ws,repo=apps,state=Ready} 1",
		}, 8 + 8},
		{"a cluster has Rancher's names", cluster("WaitCheckIn"), []string{
			"fleet_cluster_resources_count_notready{cluster_display_name=Edge,cluster_name=c-1,generation=1,name=edge,namespace=ws,state=WaitCheckIn} 4",
			"fleet_cluster_state{cluster_display_name=Edge,cluster_name=c-1,generation=1,name=edge,namespace=ws,state=WaitCheckIn} 1",
		}, 12 + 9},
		{"a lost cluster is Unknown", cluster("Unknown"), []string{
			"fleet_cluster_state{cluster_display_name=Edge,cluster_name=c-1,generation=1,name=edge,namespace=ws,state=Unknown} 1",
		}, 12 + 9},
		{"a GitRepo's paths are joined, and a password in its address is left out", repo, []string{
			"fleet_gitrepo_resources_not_ready{branch=main,name=apps,namespace=ws,paths=a;b,repo=https://git.example.com/apps} 7",
		}, 10},
		{"what a label says is written as Prometheus reads it", func(list client.ObjectList) {
			if l, ok := list.(*fleet.GitRepoList); ok {
				r := fleet.GitRepo{}
				r.Name, r.Spec.Paths = "apps", []string{`a\\b"c`, "d\ne"}
				l.Items = []fleet.GitRepo{r}
			}
		}, []string{"fleet_gitrepo_ready_clusters{branch=,name=apps,namespace=,paths=a\\\\b\"c;d\ne,repo=} 0"}, 10},
		{"an output is shown as the number that it is, and what is none or sealed is not", func(list client.ObjectList) {
			if l, ok := list.(*fleet.BundleDeploymentList); ok {
				bd := fleet.BundleDeployment{}
				bd.Labels = map[string]string{fleet.BundleLabel: "dr", fleet.BundleNamespaceLabel: "ws", fleet.ClusterLabel: "edge", fleet.ClusterNamespaceLabel: "ws"}
				for i, raw := range []string{`3`, `true`, `"2026-11-24T00:00:00Z"`, `"eu"`, `{"a":1}`} {
					bd.Status.Outputs = append(bd.Status.Outputs, fleet.OutputValue{Name: fmt.Sprintf("o%d", i), Value: &apiextensionsv1.JSON{Raw: []byte(raw)}})
				}
				bd.Status.Outputs = append(bd.Status.Outputs, fleet.OutputValue{Name: "sealed", Sealed: []byte("x")}, fleet.OutputValue{Name: "none", Error: "no object"},
					fleet.OutputValue{Name: "each", Each: "ws/member", Value: &apiextensionsv1.JSON{Raw: []byte("0.5")}})
				l.Items = []fleet.BundleDeployment{bd}
			}
		}, []string{
			"flotilla_output_value{bundle=dr,bundle_namespace=ws,cluster_name=edge,cluster_namespace=ws,each=,output=o0} 3",
			"flotilla_output_value{bundle=dr,bundle_namespace=ws,cluster_name=edge,cluster_namespace=ws,each=,output=o1} 1",
			"flotilla_output_value{bundle=dr,bundle_namespace=ws,cluster_name=edge,cluster_namespace=ws,each=,output=o2} 1.7954784e+09",
			"flotilla_output_value{bundle=dr,bundle_namespace=ws,cluster_name=edge,cluster_namespace=ws,each=ws/member,output=each} 0.5",
		}, 4 + 8},
		{"what is gone has no series", func(client.ObjectList) {}, nil, 0},
	} {
		t.Run(row.rule, func(t *testing.T) {
			got := scrape(t, &Fleet{Cache: cache{put: row.put}, Elected: closed()})
			if len(got) != row.series {
				t.Errorf("%d series, want %d:\n%s", len(got), row.series, strings.Join(got, "\n"))
			}
			for _, want := range row.want {
				if !slices.Contains(got, want) {
					t.Errorf("there is no\n%s\nin\n%s", want, strings.Join(got, "\n"))
				}
			}
			ones := 0
			for _, line := range got {
				if strings.Contains(line, "_state{") && strings.HasSuffix(line, " 1") {
					ones++
				}
			}
			if strings.Contains(strings.Join(got, ""), "_state{") && ones != 1 {
				t.Errorf("the object is in %d states", ones)
			}
		})
	}
	t.Run("a replica that does not work shows nothing", func(t *testing.T) {
		if got := scrape(t, &Fleet{Cache: cache{put: repo}, Elected: make(chan struct{})}); len(got) > 0 {
			t.Errorf("it shows %s", got)
		}
	})
}

func TestTheFleetStandsBehindTheProgram(t *testing.T) {
	f := &Fleet{Elected: closed(), Cache: cache{put: func(list client.ObjectList) {
		if l, ok := list.(*fleet.ClusterGroupList); ok {
			l.Items = make([]fleet.ClusterGroup, 1)
		}
	}}}
	const ofProgram, ofFleet = "program 0\n", "fleet_cluster_group_cluster_count{"
	t.Run("in one text", func(t *testing.T) {
		answer := shown(t, f, nil)
		text := answer.Body.String()
		if !strings.Contains(text, ofProgram) || !strings.Contains(text, ofFleet) || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
			t.Errorf("%s\n%s", answer.Header(), text)
		}
	})
	t.Run("compressed where that is asked for, whatever other formats are", func(t *testing.T) {
		answer := shown(t, f, http.Header{"Accept-Encoding": {"gzip"}, "Accept": {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"}})
		text, err := gzip.NewReader(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(text)
		if err != nil || !strings.Contains(string(data), ofProgram) || !strings.Contains(string(data), ofFleet) {
			t.Errorf("%v\n%s", err, data)
		}
	})
	t.Run("and not behind a failure", func(t *testing.T) {
		handler, err := f.Behind(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, errors.ErrUnsupported.Error(), http.StatusInternalServerError)
		}))
		if err != nil {
			t.Fatal(err)
		}
		answer, req := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
		req.Header.Set("Accept-Encoding", "gzip")
		handler.ServeHTTP(answer, req)
		if answer.Code != http.StatusInternalServerError || answer.Body.String() != errors.ErrUnsupported.Error()+"\n" {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	})
}
