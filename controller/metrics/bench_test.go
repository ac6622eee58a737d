package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// BenchmarkScrape is one scrape of 100,000 deployments, as text.
func BenchmarkScrape(b *testing.B) {
	const clusters, bundles = 1000, 100
	var all []fleet.BundleDeployment
	for c := range clusters {
		for n := range bundles {
			bd := fleet.BundleDeployment{}
			bd.Name, bd.Namespace, bd.Generation = fmt.Sprintf("apps-%d", n), fmt.Sprintf("cluster-fleet-default-edge-%d-dca2cb504418", c), 3
			bd.Labels = map[string]string{fleet.ClusterLabel: fmt.Sprintf("edge-%d", c), fleet.ClusterNamespaceLabel: "fleet-default",
				fleet.RepoLabel: "apps", fleet.CommitLabel: "3f2a91c0d6a1c2f4e0b7a9d8c6b5a4f3e2d1c0b9", fleet.BundleLabel: bd.Name, fleet.BundleNamespaceLabel: "fleet-default"}
			all = append(all, bd)
		}
	}
	f := &Fleet{Elected: closed(), Cache: cache{put: func(list client.ObjectList) {
		if l, ok := list.(*fleet.BundleDeploymentList); ok {
			l.Items = all
		}
	}}}
	handler, err := f.Behind(logr.Discard(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if err != nil {
		b.Fatal(err)
	}
	for _, format := range []struct{ name, encoding string }{{"text", ""}, {"gzip", "gzip"}} {
		b.Run(format.name, func(b *testing.B) {
			for b.Loop() {
				to, req := &counted{header: http.Header{}}, httptest.NewRequest("GET", "/metrics", nil)
				req.Header.Set("Accept-Encoding", format.encoding)
				handler.ServeHTTP(to, req)
				b.ReportMetric(float64(to.bytes)/1e6, "MB")
			}
		})
	}
}

// counted is an answer of which only the size is kept.
type counted struct {
	header http.Header
	bytes  int
}

func (c *counted) Header() http.Header { return c.header }
func (c *counted) WriteHeader(int)     {}

func (c *counted) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}
