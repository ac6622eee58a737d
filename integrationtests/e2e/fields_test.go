package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// withStatus are the kinds that have a status and are served.
var withStatus = []struct {
	kind   string
	list   client.ObjectList
	status any
}{
	{"GitRepo", &fleet.GitRepoList{}, fleet.GitRepoStatus{}},
	{"Bundle", &fleet.BundleList{}, fleet.BundleStatus{}},
	{"BundleDeployment", &fleet.BundleDeploymentList{}, fleet.BundleDeploymentStatus{}},
	{"Cluster", &fleet.ClusterList{}, fleet.ClusterStatus{}},
	{"ClusterGroup", &fleet.ClusterGroupList{}, fleet.ClusterGroupStatus{}},
	{"ClusterRegistration", &fleet.ClusterRegistrationList{}, fleet.ClusterRegistrationStatus{}},
	{"ClusterRegistrationToken", &fleet.ClusterRegistrationTokenList{}, fleet.ClusterRegistrationTokenStatus{}},
	{"Content", &fleet.ContentList{}, fleet.ContentStatus{}},
}

// whole are the parts that many kinds share. What is in them is compared by controller/status and agent/report.
var whole = []any{fleet.BundleSummary{}, fleet.ResourceCounts{}, fleet.NonReadyStatus{}, fleet.ModifiedStatus{}, fleet.PerClusterState{}, fleet.GenericCondition{}}

// emptyOnPurpose are the fields that stay empty, and why.
var emptyOnPurpose = map[string]string{
	"GitRepo.lastSyncedImageScanTime":   "image scans are not served yet",
	"Bundle.maxUnavailablePartitions":   "Fleet's default is 0, and rolloutStrategy has no effect yet",
	"Bundle.unavailablePartitions":      "all clusters of the one partition may be unavailable at once, until rolloutStrategy has its effect",
	"Bundle.ociReference":               "files lie in Content; registries are not served yet",
	"Bundle.resourceKey[].kind":         "Fleet empties resourceKey, too",
	"Bundle.resourceKey[].apiVersion":   "Fleet empties resourceKey, too",
	"Bundle.resourceKey[].namespace":    "Fleet empties resourceKey, too",
	"Bundle.resourceKey[].name":         "Fleet empties resourceKey, too",
	"BundleDeployment.release":          "no Helm release is made",
	"Cluster.agentConfigChanged":        "what changed is seen by comparing the Cluster with what was installed",
	"Cluster.garbageCollectionInterval": "agents have no garbage to collect: an order to delete is kept until it is carried out",
	"Content.referenceCount":            "it would take a write for each deployment with a layer of its own; the sweep finds what nothing refers to",
}

// filledElsewhere are the fields that this fleet does not bring about, and the test that does.
var filledElsewhere = map[string]string{
	"GitRepo.resources[].incompleteState":      "controller/status.TestAStatusStaysSmallAndTheSame",
	"GitRepo.resources[].error":                "controller/status.TestResourcesAreCalledAsRancherCallsThem",
	"GitRepo.resources[].transitioning":        "controller/status.TestResourcesAreCalledAsRancherCallsThem",
	"Bundle.unTarget.count":                    "integrationtests/badinput.TestBadInput",
	"Bundle.unTarget.total":                    "integrationtests/badinput.TestBadInput",
	"Bundle.unTarget.plan":                     "integrationtests/badinput.TestBadInput",
	"BundleDeployment.nonReadyStatus[]":        "agent.TestReadinessIsThatOfTheObjects",
	"BundleDeployment.incompleteState":         "agent/report.TestListsAreCutAndCountsAreExact",
	"BundleDeployment.hold.reason":             "agent.TestAbsenceIsNeverDeletion",
	"BundleDeployment.hold.message":            "agent.TestAbsenceIsNeverDeletion",
	"BundleDeployment.once[].kind":             "agent.TestAKilledAgentMakesNoSecondRestore",
	"BundleDeployment.once[].apiVersion":       "agent.TestAKilledAgentMakesNoSecondRestore",
	"BundleDeployment.once[].namespace":        "agent.TestAKilledAgentMakesNoSecondRestore",
	"BundleDeployment.once[].name":             "agent.TestAKilledAgentMakesNoSecondRestore",
	"BundleDeployment.once[].spec":             "agent.TestAKilledAgentMakesNoSecondRestore",
	"BundleDeployment.once[].result":           "agent.TestAKilledAgentMakesNoSecondRestore",
	"BundleDeployment.outputs[].name":          "integrationtests/e2e.TestValuesCrossClusters",
	"BundleDeployment.outputs[].each":          "integrationtests/e2e.TestValuesCrossClusters",
	"BundleDeployment.outputs[].value":         "integrationtests/e2e.TestValuesCrossClusters",
	"BundleDeployment.outputs[].sealed":        "integrationtests/e2e.TestValuesCrossClusters",
	"BundleDeployment.outputs[].error":         "integrationtests/waiting.TestWaiting",
	"BundleDeployment.deletion":                "agent.TestAnOrderToDeleteIsCarriedOutByTheRules",
	"BundleDeployment.kept":                    "agent.TestWhatHoldsDataStaysWhenItLeavesTheBundle",
	"Cluster.readyHelmOps":                     "controller/status.TestAFleetWithABundleInEachState",
	"Cluster.desiredReadyHelmOps":              "controller/status.TestAFleetWithABundleInEachState",
	"Cluster.agentEnvVarsHash":                 imported,
	"Cluster.agentPrivateRepoURL":              imported,
	"Cluster.agentHostNetwork":                 imported,
	"Cluster.agentDeployedGeneration":          imported,
	"Cluster.agentMigrated":                    imported,
	"Cluster.agentNamespaceMigrated":           imported,
	"Cluster.cattleNamespaceMigrated":          imported,
	"Cluster.agentAffinityHash":                imported,
	"Cluster.agentResourcesHash":               imported,
	"Cluster.agentTolerationsHash":             imported,
	"Cluster.apiServerURL":                     imported,
	"Cluster.apiServerCAHash":                  imported,
	"Cluster.agentTLSMode":                     imported,
	"Cluster.agentSchedulingCustomizationHash": imported,
	"Cluster.agentPullSecretsHash":             imported,
	"Cluster.scheduled":                        "integrationtests/waiting.TestWaiting",
	"Cluster.activeSchedule":                   "integrationtests/waiting.TestWaiting",
}

const imported = "controller/cluster/importer.TestTheStatusSaysWhatWasInstalled"

// filled are the fields that some object of a fleet had at some moment: "Kind.status.field".
type filled map[string]bool

// look notes what is filled now.
func (f filled) look(w *world.World) {
	w.T.Helper()
	for _, k := range withStatus {
		list := k.list.DeepCopyObject().(client.ObjectList)
		w.Check(w.Hub.Client.List(context.Background(), list))
		w.Check(meta.EachListItem(list, f.note(k.kind)))
	}
}

// everyField wants each status field of each kind to have been filled, but for those that stay empty on purpose.
func everyField(w *world.World, f filled) {
	inline(w)
	w.Eventually("all fields being filled", func() error {
		f.look(w)
		return f.never()
	})
	known := map[string]bool{}
	for _, path := range allPaths() {
		known[path] = true
		if why, empty := emptyOnPurpose[path]; empty && f[path] {
			w.T.Errorf("%s is filled, and said to be empty: %s", path, why)
		}
	}
	for path := range maps.Keys(emptyOnPurpose) {
		if !known[path] {
			w.T.Errorf("there is no field %s", path)
		}
	}
	for path, test := range filledElsewhere {
		dir, name, _ := strings.Cut(test, ".")
		if !known[path] || !tests(w, dir, name) {
			w.T.Errorf("there is no field %s, or no test %s", path, test)
		}
	}
}

func allPaths() (paths []string) {
	for _, k := range withStatus {
		paths = append(paths, pathsOf(reflect.TypeOf(k.status), k.kind)...)
	}
	return paths
}

// never names the fields that should have been filled, and were not yet.
func (f filled) never() error {
	var missing []string
	for _, path := range allPaths() {
		_, empty := emptyOnPurpose[path]
		_, elsewhere := filledElsewhere[path]
		if !f[path] && !empty && !elsewhere {
			missing = append(missing, path)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("never filled: %s", strings.Join(missing, ", "))
	}
	return nil
}

// tests tells whether a package has a test.
func tests(w *world.World, dir, name string) bool {
	files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
	w.Check(err)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		w.Check(err)
		return strings.Contains(string(text), "func "+name+"(t *testing.T)")
	})
}

// inline deploys a Bundle that a person wrote, with a copy of what lies in the workspace.
func inline(w *world.World) {
	w.T.Helper()
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "settings"}, Data: map[string]string{"mode": "fast"}}
	b := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "inline"}}
	b.Spec.DefaultNamespace = "inline"
	b.Spec.Resources = []fleet.BundleResource{{Name: "motd.yaml", Content: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: motd}\n"}}
	b.Spec.DownstreamResources = []fleet.DownstreamResource{{Kind: "ConfigMap", Name: "settings"}}
	b.Spec.Targets = []fleet.BundleTarget{{ClusterSelector: &metav1.LabelSelector{}}}
	w.Check(w.Hub.Client.Create(context.Background(), settings))
	w.Check(w.Hub.Client.Create(context.Background(), b))
	w.Settled("inline")
}

// note is called with each object of a kind.
func (f filled) note(kind string) func(obj runtime.Object) error {
	return func(obj runtime.Object) error {
		data, err := json.Marshal(obj)
		var plain struct{ Status map[string]any }
		if err == nil {
			err = json.Unmarshal(data, &plain)
		}
		f.walk(kind, plain.Status)
		return err
	}
}

// walk notes value, and what leads to it, unless it is zero.
func (f filled) walk(path string, value any) (is bool) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			is = f.walk(path+"."+name, inner) || is
		}
	case []any:
		for _, inner := range v {
			is = f.walk(path+"[]", inner) || is
		}
	default:
		is = v != nil && !reflect.ValueOf(v).IsZero()
	}
	f[path] = f[path] || is
	return is
}

// pathsOf are the fields of a type, as walk calls them.
func pathsOf(t reflect.Type, path string) (out []string) {
	switch t.Kind() {
	case reflect.Pointer:
		return pathsOf(t.Elem(), path)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return pathsOf(t.Elem(), path+"[]")
		}
		return []string{path}
	}
	isWhole := slices.ContainsFunc(whole, func(part any) bool { return reflect.TypeOf(part) == t })
	if t.Kind() != reflect.Struct || isWhole || t.PkgPath() != reflect.TypeFor[fleet.Bundle]().PkgPath() {
		return []string{path}
	}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		inner := path
		if name != "" || options != "inline" {
			inner += "." + name
		}
		out = append(out, pathsOf(t.Field(i).Type, inner)...)
	}
	return out
}
