package status

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite golden files from the current output")

// alive is the Liveness of a fleet in which one cluster is lost.
type alive struct{ Liveness }

func (alive) Lost(namespace string) bool { return namespace == "cluster-lost" }
func (alive) LastSeen(string) time.Time  { return time.Unix(1790000000, 0) }
func (alive) Show(*fleet.Cluster)        {}
func (alive) Turned(_, _ *fleet.Cluster) {}

// inState makes a deployment's report be of one state.
var inState = map[fleet.BundleState]func(*fleet.BundleDeployment){
	fleet.Ready: func(*fleet.BundleDeployment) {},
	fleet.NotReady: func(bd *fleet.BundleDeployment) {
		bd.Status.Ready = false
		bd.Status.ResourceCounts = fleet.ResourceCounts{DesiredReady: 2, Ready: 1, NotReady: 1}
		bd.Status.NonReadyStatus = []fleet.NonReadyStatus{{
			UID: "u", Kind: "Deployment", APIVersion: "apps/v1", Namespace: "app", Name: "web",
			Summary: fleet.Summary{State: "progressing", Transitioning: true, Message: []string{"1 of 3"}},
		}}
	},
	fleet.Modified: func(bd *fleet.BundleDeployment) {
		bd.Status.NonModified, bd.Status.IncompleteState = false, true
		bd.Status.ResourceCounts = fleet.ResourceCounts{DesiredReady: 2, Modified: 1, Missing: 1}
		bd.Status.ModifiedStatus = []fleet.ModifiedStatus{
			{Kind: "ConfigMap", APIVersion: "v1", Namespace: "app", Name: "settings", Create: true, Exist: true},
			{Kind: "Deployment", APIVersion: "apps/v1", Namespace: "app", Name: "web", Patch: "/spec/replicas 3 → 5 by kubectl"},
		}
	},
	fleet.WaitApplied: func(bd *fleet.BundleDeployment) { bd.Status = fleet.BundleDeploymentStatus{} },
	fleet.ErrApplied: func(bd *fleet.BundleDeployment) {
		bd.Status.AppliedDeploymentID = "before"
		fleet.SetCondition(&bd.Status.Conditions, fleet.ConditionDeployed, "False", fleet.ReasonError, "it is denied")
	},
	fleet.OutOfSync: func(bd *fleet.BundleDeployment) { bd.Spec.StagedDeploymentID = "next" },
	fleet.Pending:   func(*fleet.BundleDeployment) {},
	fleet.Unknown:   func(bd *fleet.BundleDeployment) { bd.Status.Health = fleet.HealthUnknown },
}

// inEachState is a fleet with one bundle in each state: "web-<state>" of GitRepo apps, on cluster edge; that which nobody knows
// of is on a cluster that is lost, and of a HelmOp.
func inEachState() (all []client.Object, plans *Plans) {
	plans = NewPlans()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ws", Name: name} }
	repo := &fleet.GitRepo{ObjectMeta: meta("apps")}
	repo.Status.GitJobStatus = fleet.GitJobCurrent
	all = append(all, repo, &fleet.HelmOp{ObjectMeta: meta("charts")})
	for _, name := range []string{"edge", "lost"} {
		c := &fleet.Cluster{ObjectMeta: meta(name)}
		c.Status.Namespace = "cluster-" + name
		all = append(all, c)
	}
	for _, state := range slices.Sorted(maps.Keys(inState)) {
		label, source, cluster := fleet.RepoLabel, "apps", "edge"
		if state == fleet.Unknown {
			label, source, cluster = fleet.HelmOpLabel, "charts", "lost"
		}
		b := &fleet.Bundle{ObjectMeta: meta("web-" + string(state))}
		b.Labels = map[string]string{label: source}
		plan := Plan{}
		bd := &fleet.BundleDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: "cluster-" + cluster, Name: b.Name, Labels: map[string]string{
			label: source, fleet.BundleLabel: b.Name, fleet.BundleNamespaceLabel: "ws", fleet.ClusterLabel: cluster, fleet.ClusterNamespaceLabel: "ws"}}}
		bd.Spec.DeploymentID, bd.Spec.StagedDeploymentID = "now", "now"
		bd.Status = fleet.BundleDeploymentStatus{
			AppliedDeploymentID: "now", ObservedSequence: 7, Ready: true, NonModified: true,
			ResourceCounts: fleet.ResourceCounts{DesiredReady: 2, Ready: 2},
			Resources: []fleet.BundleDeploymentResource{
				{Kind: "ConfigMap", APIVersion: "v1", Namespace: "app", Name: "settings"}, {Kind: "Deployment", APIVersion: "apps/v1", Namespace: "app", Name: "web"}},
		}
		inState[state](bd)
		all = append(all, b)
		if state == fleet.Pending {
			plan.Pending, plan.Waiting = []string{"ws/edge"}, map[string]string{"ws/edge": "waits for bundle base"}
		} else {
			all = append(all, bd)
		}
		plans.Set(client.ObjectKeyFromObject(b), plan)
	}
	return all, plans
}

// hubWith is a hub in memory.
func hubWith(t *testing.T, all []client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := fleet.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	build := fake.NewClientBuilder().WithScheme(scheme).WithObjects(all...).WithStatusSubresource(all...)
	for field, labels := range indexes {
		build = build.WithIndex(&fleet.BundleDeployment{}, field, joined(labels))
	}
	return build.Build()
}

// woken keeps what was put into a queue.
type woken struct {
	workqueue.TypedRateLimitingInterface[ctrl.Request]
	keys []string
}

func (q *woken) AddAfter(req ctrl.Request, _ time.Duration) { q.keys = append(q.keys, req.String()) }

func TestAClusterThatTurnsWakesWhatItCountsIn(t *testing.T) {
	all, _ := inEachState()
	r := &Reconciler{Client: hubWith(t, all)}
	lost := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "ws", Name: "lost"}}
	for _, row := range []struct {
		rule, label string
		want        []string
	}{
		{"its Bundles", fleet.BundleLabel, []string{"ws/web-Unknown"}},
		{"their HelmOps", fleet.HelmOpLabel, []string{"ws/charts"}},
		{"and no GitRepo that it has nothing of", fleet.RepoLabel, nil},
	} {
		t.Run(row.rule, func(t *testing.T) {
			q := &woken{}
			r.turned(keyFrom(fleet.BundleNamespaceLabel, row.label)).Generic(t.Context(), event.GenericEvent{Object: lost}, q)
			if !slices.Equal(q.keys, row.want) {
				t.Errorf("woken: %s, want %s", q.keys, row.want)
			}
		})
	}
}

// TestAFleetWithABundleInEachState shows what each kind's status says of it, whole: see testdata/fleet.golden.yaml.
func TestAFleetWithABundleInEachState(t *testing.T) {
	all, plans := inEachState()
	r := &Reconciler{Client: hubWith(t, all), Plans: plans, Liveness: alive{}}
	got := map[string]any{}
	for _, obj := range all {
		key := client.ObjectKeyFromObject(obj)
		var err error
		switch o := obj.(type) {
		case *fleet.Bundle:
			_, err = r.bundle(t.Context(), ctrl.Request{NamespacedName: key})
			got["Bundle "+key.Name] = show(t, r, o, &o.Status, err)
		case *fleet.GitRepo:
			_, err = r.gitRepo(t.Context(), ctrl.Request{NamespacedName: key})
			got["GitRepo "+key.Name] = show(t, r, o, &o.Status, err)
		case *fleet.HelmOp:
			_, err = r.helmOp(t.Context(), ctrl.Request{NamespacedName: key})
			got["HelmOp "+key.Name] = show(t, r, o, &o.Status, err)
		case *fleet.Cluster:
			_, err = r.cluster(t.Context(), ctrl.Request{NamespacedName: key})
			got["Cluster "+key.Name] = show(t, r, o, &o.Status, err)
		}
	}
	text, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "fleet.golden.yaml")
	if *update {
		if err := os.WriteFile(golden, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(text)); d != "" {
		t.Errorf("%s is stale; rerun this package with -update and read the diff\n%s", golden, d)
	}
}

// show reads what a roll-up wrote, without times.
func show(t *testing.T, r *Reconciler, obj client.Object, status any, err error) map[string]any {
	t.Helper()
	if err == nil {
		err = r.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(status)
	var plain map[string]any
	if err == nil {
		err = json.Unmarshal(data, &plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	conditions, _ := plain["conditions"].([]any)
	for _, c := range conditions {
		maps.DeleteFunc(c.(map[string]any), func(key string, _ any) bool { return key == "lastUpdateTime" || key == "lastTransitionTime" })
	}
	return plain
}
