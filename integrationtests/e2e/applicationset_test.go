package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// manifests is the repository that the ApplicationSet of Argo CD deploys from.
var manifests = map[string]string{
	"apps/api-service/production/kustomization.yaml": "resources: [api-service.yaml, old.yaml]\n",
	"apps/api-service/production/old.yaml":           configMap("old", "here"),
	"apps/api-service/production/api-service.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: api-service}
spec:
  replicas: 1
  selector: {matchLabels: {app: api-service}}
  template:
    metadata: {labels: {app: api-service}}
    spec: {containers: [{name: api-service, image: registry.example.com/api-service:1.0}]}
`,
}

// importApplicationSet turns the ApplicationSet as it stands in the importer's own test, and deploys what comes out. The one
// thing that differs is where the repository is: the test's Git server stands in for github.com.
func importApplicationSet(w *world.World) {
	archive, err := txtar.ParseFile("../../importer/argocd/testdata/issue.txtar")
	w.Check(err)
	at := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "appset.yaml" })
	file, moved := filepath.Join(w.Dir, "appset.yaml"), filepath.Join(w.Dir, "moved")
	w.Check(os.WriteFile(file, archive.Files[at].Data, 0o644))
	w.Flotilla("import", "applicationset", file, "-o", moved)

	w.Repo("k8s-manifests", manifests)
	fleetYAML, err := os.ReadFile(filepath.Join(moved, "repository/apps/api-service/production/fleet.yaml"))
	w.Check(err)
	w.Push("k8s-manifests", map[string]string{"apps/api-service/production/fleet.yaml": string(fleetYAML)})
	hub, err := os.ReadFile(filepath.Join(moved, "hub.yaml"))
	w.Check(err)
	here := strings.Replace(string(hub), "https://github.com/company/k8s-manifests", w.Git.URL("k8s-manifests"), 1)
	w.Check(os.WriteFile(file, []byte(here), 0o644))
	w.Kubectl("hub", "apply", "-f", file)
}

// replicas waits until api-service on a cluster is to have as many replicas; 0 waits until there is none.
func replicas(w *world.World, cluster string, want int32) {
	w.T.Helper()
	w.Eventually("api-service on "+cluster, func() error {
		d := &appsv1.Deployment{}
		err := w.Clients[cluster].Get(context.Background(), client.ObjectKey{Namespace: "api-service", Name: "api-service"}, d)
		got := int32(0)
		if err == nil {
			got = *d.Spec.Replicas
		}
		if client.IgnoreNotFound(err) == nil && got != want {
			err = fmt.Errorf("has %d replicas, want %d", got, want)
		}
		if want == 0 && apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func TestAnApplicationSetOfArgoCDMovesOver(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Clusters: map[string]map[string]string{
		"production-aws": {"environment": "production"}, "production-gcp": {"environment": "production"}, "production-azure": {"environment": "staging"},
	}})
	for name := range w.Agents {
		w.Eventually("joining of "+name, func() error {
			return w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, &fleet.Cluster{})
		})
	}
	w.Kubectl("hub", "-n", world.Workspace, "annotate", "clusters.fleet.cattle.io", "production-aws", "replicas=5")
	importApplicationSet(w)
	const bundle = "api-service-global-apps-api-service-production"
	w.Settled(bundle)
	replicas(w, "production-aws", 5)
	replicas(w, "production-gcp", 3)
	replicas(w, "production-azure", 0)
	on := strings.Fields(w.Kubectl("hub", "get", "bundledeployments", "-A", "-o", `jsonpath={.items[*].metadata.labels.fleet\.cattle\.io/cluster}`))
	if slices.Sort(on); !slices.Equal(on, []string{"production-aws", "production-gcp"}) {
		t.Errorf("it is deployed on %v", on)
	}

	w.Push("k8s-manifests", map[string]string{
		"apps/api-service/production/kustomization.yaml": "resources: [api-service.yaml]\n", "apps/api-service/production/old.yaml": "",
	})
	for _, cluster := range on {
		w.Eventually("the prune on "+cluster, func() error {
			if got, _, err := text(w, cluster, "api-service", "old"); err != nil || got != "" {
				return fmt.Errorf("ConfigMap old says %q, %v", got, err)
			}
			return nil
		})
	}

	w.Kubectl("production-aws", "-n", "api-service", "scale", "deployment/api-service", "--replicas=1")
	replicas(w, "production-aws", 5)

	before := commitOf(w, bundle)
	w.Kubectl("hub", "-n", world.Workspace, "label", "clusters.fleet.cattle.io", "production-azure", "environment=production", "--overwrite")
	replicas(w, "production-azure", 3)
	if after := commitOf(w, bundle); after != before {
		t.Errorf("the relabelled cluster came with commit %s after %s", after, before)
	}
}
