package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// TestOnTwoClusters shares one fleet: each has a repository and a namespace of its own, and none may disturb the last.
func TestOnTwoClusters(t *testing.T) {
	t.Parallel()
	w := twoClusters(t)
	t.Run("a Fleet user's GitRepo works as it stands", func(t *testing.T) { aFleetUsersGitRepoWorks(in(t, w)) })
	t.Run("a push reaches every cluster and the removed is pruned", func(t *testing.T) { aPushReachesEveryCluster(in(t, w)) })
	t.Run("a renamed path hands its objects over", func(t *testing.T) { aRenamedPathHandsItsObjectsOver(in(t, w)) })
	t.Run("namespaces, CRDs and claims stay", func(t *testing.T) { namespacesCRDsAndClaimsStay(in(t, w)) })
	t.Run("a settled fleet is silent", func(t *testing.T) { aSettledFleetIsSilent(in(t, w)) })
}

// twoClusters is the fleet of most tests.
func twoClusters(t *testing.T) *world.World {
	return world.New(t, world.Options{Clusters: map[string]map[string]string{
		"production":  {"env": "production"},
		"development": {"env": "development"},
	}})
}

// companyApps is a GitRepo as a Fleet user has it, with overrides on its targets.
const companyApps = `
apiVersion: fleet.cattle.io/v1alpha1
kind: GitRepo
metadata:
  name: company-apps
  namespace: fleet-default
spec:
  repo: %s
  branch: main
  paths:
  - apps/
  targets:
  - name: production
    clusterSelector:
      matchLabels:
        env: production
    helm:
      values:
        replicaCount: 3
        resources:
          requests:
            cpu: 250m
  - name: development
    clusterSelector:
      matchLabels:
        env: development
    helm:
      values:
        replicaCount: 1
`

// webChart is a Helm chart with its fleet.yaml, and apiService a Kustomize bundle.
var webChart = map[string]string{
	"apps/web/Chart.yaml":  "apiVersion: v2\nname: web\nversion: 1.0.0\n",
	"apps/web/values.yaml": "replicaCount: 2\nresources: {}\ngreeting: hello\n",
	"apps/web/fleet.yaml":  "defaultNamespace: web\nhelm:\n  releaseName: web\n",
	"apps/web/templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: {{ .Values.replicaCount }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.29
        resources: {{- toYaml .Values.resources | nindent 10 }}
`,
	"apps/web/templates/page.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data:
  greeting: {{ .Values.greeting | quote }}
`,
}

var apiService = map[string]string{
	"apps/api-service/production/fleet.yaml":         "defaultNamespace: api\n",
	"apps/api-service/production/kustomization.yaml": "resources: [service.yaml]\nnamePrefix: prod-\n",
	"apps/api-service/production/service.yaml":       "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec:\n  selector: {app: api}\n  ports: [{port: 80}]\n",
}

func merged(maps ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func applyCompanyApps(w *world.World) {
	url := w.Repo("company-apps", merged(webChart, apiService))
	repo := &fleet.GitRepo{}
	w.Check(yaml.UnmarshalStrict([]byte(fmt.Sprintf(companyApps, url)), repo))
	w.Check(w.Hub.Client.Create(context.Background(), repo))
}

func aFleetUsersGitRepoWorks(w *world.World) {
	applyCompanyApps(w)
	w.Settled("company-apps-apps-web", "company-apps-apps-api-service-production")

	bundles := &fleet.BundleList{}
	w.Check(w.Hub.Client.List(context.Background(), bundles, client.InNamespace(world.Workspace)))
	if len(bundles.Items) != 2 {
		w.T.Errorf("there are %d bundles, want the two", len(bundles.Items))
	}
	for cluster, want := range map[string]struct {
		replicas int32
		cpu      string
	}{"production": {3, "250m"}, "development": {1, "0"}} {
		d := &appsv1.Deployment{}
		w.Check(w.Clients[cluster].Get(context.Background(), client.ObjectKey{Namespace: "web", Name: "web"}, d))
		cpu := d.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu()
		if *d.Spec.Replicas != want.replicas || cpu.String() != want.cpu {
			w.T.Errorf("%s: web has %d replicas and requests cpu %s, want %d and %s", cluster, *d.Spec.Replicas, cpu, want.replicas, want.cpu)
		}
		services := w.Kubectl(cluster, "-n", "api", "get", "services", "-o", "name")
		if strings.TrimSpace(services) != "service/prod-api" {
			w.T.Errorf("%s: the Kustomize bundle gave %q", cluster, services)
		}
	}
	if got := renderings(w); got > 3 {
		w.T.Errorf("%d renderings; want web twice, api-service once", got)
	}
	whoSetWhat(w)
}

// whoSetWhat: the BundleDeployment tells for each value which target set it.
func whoSetWhat(w *world.World) {
	c := &fleet.Cluster{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "production"}, c))
	bd := &fleet.BundleDeployment{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: c.Status.Namespace, Name: "company-apps-apps-web"}, bd))
	from := map[string]string{}
	for _, o := range bd.Spec.ValueOrigins {
		from[o.Path] = o.From
	}
	if got := from["helm.values.replicaCount"]; got != "target production" {
		w.T.Errorf("helm.values.replicaCount is said to be from %q; all origins: %v", got, from)
	}
	if got := from["helm.releaseName"]; got != "bundle" {
		w.T.Errorf("helm.releaseName is said to be from %q", got)
	}
}

func everyone() []fleet.GitTarget {
	return []fleet.GitTarget{{Name: "all", ClusterSelector: &metav1.LabelSelector{}}}
}
