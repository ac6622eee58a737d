package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Sections of the page.
const (
	prepare        = ""
	writeDown      = "1. Write down what there is"
	controllersOff = "2. Turn Fleet's controllers off"
	agentsOff      = "3. Turn Fleet's agents off"
	kinds          = "4. Install Flotilla's kinds"
	hub            = "5. Install Flotilla's hub"
	join           = "6. Join the clusters"
	compare        = "7. Compare"
	tidyUp         = "8. Tidy up"
	backToFleet    = "Back to Fleet"
)

// TestTheWayFromFleet goes the whole way on one hub and one cluster: there, back, there again, and then what only Fleet needed
// is deleted. Each stage stands on the one before.
func TestTheWayFromFleet(t *testing.T) {
	p := newPlace(t)
	g := p.page()
	if want := []string{prepare, writeDown, controllersOff, agentsOff, kinds, hub, join, compare, tidyUp, backToFleet}; !slices.Equal(g.order, want) {
		t.Fatalf("the page has the sections %q, and the test follows %q", g.order, want)
	}
	p.installFleet()
	p.follow(g, prepare)
	p.sh("kubectl --context edge-1 -n web rollout status deploy/web --timeout=2m; kubectl --context edge-1 -n shop rollout status deploy/shop --timeout=2m")
	deployed, kept := p.deployed(), p.kept()
	object := p.writeWhole()
	p.runPods()

	p.stage("every field of every kind of Fleet's is kept, served and written back", func(p *place) {
		p.follow(g, writeDown)
		p.follow(g, controllersOff)
		p.follow(g, agentsOff)
		p.follow(g, kinds)
		p.keptWhole(object)
		p.same("under Flotilla's kinds", kept, p.kept())
	})
	p.stage("nothing is done while Fleet's controllers run, and why is said", func(p *place) {
		p.sh("kubectl --context hub -n cattle-fleet-system scale deployment gitjob --replicas=1")
		p.follow(g, hub)
		p.logs(p.T, "flotilla-controller", "Rancher Fleet's controllers run on this hub (gitjob)")
		p.eventually("an event says so", func() error {
			return p.says("kubectl --context hub -n cattle-fleet-system get events", fleet.ReasonFleetRuns)
		})
		p.same("beside Fleet's controllers", kept, p.kept())
		p.sh("kubectl --context hub -n cattle-fleet-system scale deployment gitjob --replicas=0")
	})
	p.stage("what Fleet had deployed is taken over where it stands", func(p *place) {
		p.follow(g, join)
		p.follow(g, compare)
		p.settled("apps-web", "apps-shop", "legacy-tool")
		p.same("on the cluster", deployed, p.deployed())
	})
	p.stage("Fleet's objects on the hub keep their names and UIDs", func(p *place) { p.same("on the hub", kept, p.kept()) })
	p.stage("a fleet.yaml that Fleet never minded is named, and its Bundle stays as Fleet wrote it", func(p *place) {
		p.eventually("the GitRepo names it", func() error {
			return p.says("kubectl --context hub -n fleet-default get gitrepo apps -o yaml", "anUnknownKey")
		})
		if spec := p.object(p.hub, "fleet.cattle.io/v1alpha1", "Bundle", workspace, "legacy-tool").Object["spec"].(map[string]any); spec["resources"] == nil {
			p.Errorf("the Bundle is %v", spec)
		}
	})
	p.stage("the cluster stays the Cluster that it was", func(p *place) { p.oneCluster() })
	p.stage("Fleet's finalizers and marks are off", func(p *place) { p.unmarked() })
	p.stage("what Fleet needs for the way back is left", func(p *place) { p.left() })
	p.stage("Fleet's own agent is not deployed", func(p *place) {
		p.eventually("the Bundle says what it is", func() error {
			return p.says("kubectl --context hub -n fleet-default get bundle fleet-agent-edge-1 -o yaml", "this is Rancher Fleet's own agent")
		})
		if bd := p.deployment("fleet-agent-edge-1"); bd.Spec.Sequence != 0 || bd.Spec.Deletion != nil {
			p.Errorf("its BundleDeployment was written: %+v", bd.Spec)
		}
	})
	p.stage("when Fleet's controllers are started again, Flotilla's end, and wait", func(p *place) {
		p.sh("kubectl --context hub -n cattle-fleet-system scale deployment helmops --replicas=1")
		p.logs(p.T, "flotilla-controller", "Rancher Fleet's controllers run on this hub (helmops)")
		p.sh("kubectl --context hub -n cattle-fleet-system scale deployment helmops --replicas=0")
	})
	p.stage("on the way back nothing is deleted, and Fleet's releases are upgraded where they stand", func(p *place) {
		if said := p.sh("if flotilla back-to-fleet --context edge-1 2>&1; then exit 1; fi"); !strings.Contains(said, "Flotilla's agent runs on this cluster") {
			p.Errorf("beside the agent it says %q", said)
		}
		p.follow(g, backToFleet)
		p.same("before Fleet's agent acts", uids(deployed), uids(p.deployed()))
		p.handedBack()
		p.fleetActs("upgrade", "--take-ownership")
		p.same("after Fleet's agent has acted", uids(deployed), uids(p.deployed()))
		p.fleetWrites()
	})
	p.stage("and the way there again is the same one", func(p *place) {
		again := p.deployed()
		p.follow(g, controllersOff)
		p.follow(g, agentsOff)
		p.follow(g, kinds)
		p.sh("helm --kube-context hub -n cattle-fleet-system uninstall flotilla") // as after the way back: the page installs it again
		p.follow(g, hub)
		p.follow(g, join)
		p.follow(g, compare)
		p.settled("apps-web", "apps-shop", "legacy-tool")
		p.same("on the cluster", again, p.deployed())
		p.same("on the hub", kept, p.kept())
	})
	p.stage("tidying up deletes what is Fleet's and nothing else", func(p *place) {
		before := p.deployed()
		p.follow(g, tidyUp)
		p.tidy()
		p.settled("apps-web", "apps-shop", "legacy-tool")
		p.same("on the cluster", before, p.deployed())
	})
	p.stage("a push deploys what it changes and prunes what it drops", func(p *place) {
		before := p.deployed()
		p.push()
		p.eventually("the push arrives", func() error {
			return p.says("kubectl --context edge-1 -n web get configmap,cronjob -o yaml", "colour: green")
		})
		p.eventually("what it drops is gone", func() error {
			if p.object(p.edge, "batch/v1", "CronJob", "web", "nightly") != nil {
				return os.ErrExist
			}
			return nil
		})
		p.settled("apps-web", "apps-shop", "legacy-tool")
		maps.DeleteFunc(before, func(name, _ string) bool {
			return strings.HasPrefix(name, "CronJob") || name == "ConfigMap web/settings"
		})
		p.same("what the push does not change", before, p.deployed())
	})
	p.stage("a directory that cannot be read takes no Bundle of Fleet's away", func(p *place) {
		p.sh("cd work && echo 'name: [' > legacy/fleet.yaml && git -c user.name=t -c user.email=t@example.com commit -qam broken && git push -q origin HEAD")
		head := strings.TrimSpace(p.sh("cd work && git rev-parse HEAD"))
		p.eventually("the push is read", func() error {
			return p.says("kubectl --context hub -n fleet-default get gitrepo apps -o jsonpath={.status.commit}", head)
		})
		if b := p.object(p.hub, "fleet.cattle.io/v1alpha1", "Bundle", workspace, "legacy-tool"); b == nil || b.GetDeletionTimestamp() != nil {
			p.Error("it is gone")
		}
	})
	p.stage("and Fleet can be installed anew, with ownership", func(p *place) {
		p.sh("kubectl --context edge-1 -n cattle-fleet-system scale deployment flotilla-agent --replicas=0")
		p.sh("kubectl --context edge-1 -n cattle-fleet-system wait --for=delete pod -l app.kubernetes.io/name=flotilla-agent --timeout=2m; flotilla back-to-fleet --context edge-1")
		before := p.deployed()
		p.fleetActs("install", "--take-ownership")
		p.same("after Fleet's agent has acted", uids(before), uids(p.deployed()))
	})
}

// stage is a subtest; when it fails, what would come after it is not tried.
func (p *place) stage(rule string, do func(*place)) {
	p.Helper()
	if !p.Run(rule, func(t *testing.T) {
		there := *p
		there.T = t
		do(&there)
		p.env = there.env
	}) {
		p.FailNow()
	}
}

func (p *place) says(command, text string) error {
	if out := p.sh(command); !strings.Contains(out, text) {
		return &missing{text, out}
	}
	return nil
}

type missing struct{ text, in string }

func (m *missing) Error() string { return m.text + " is not in\n" + m.in }

func (p *place) deployment(name string) *fleet.BundleDeployment {
	p.Helper()
	bd := &fleet.BundleDeployment{}
	must(p.T, p.hub.client.Get(context.Background(), client.ObjectKey{Namespace: namespace(), Name: name}, bd))
	return bd
}

// oneCluster: no other Cluster came, and no other cluster namespace.
func (p *place) oneCluster() {
	p.Helper()
	ctx := context.Background()
	clusters, namespaces := &fleet.ClusterList{}, &corev1.NamespaceList{}
	must(p.T, p.hub.client.List(ctx, clusters))
	must(p.T, p.hub.client.List(ctx, namespaces, client.HasLabels{fleet.ManagedLabel}))
	if len(clusters.Items) != 1 || len(namespaces.Items) != 1 || namespaces.Items[0].Name != namespace() {
		p.Fatalf("there are %d Clusters and %d cluster namespaces", len(clusters.Items), len(namespaces.Items))
	}
	p.eventually("the Cluster does not tell any more when Fleet's agent was seen last", func() error {
		c := &fleet.Cluster{}
		must(p.T, p.hub.client.Get(ctx, client.ObjectKeyFromObject(&clusters.Items[0]), c))
		if c.Status.Agent.LastSeen.UTC().Format(time.RFC3339) == "2026-11-23T09:00:00Z" {
			return errors.New("it still does")
		}
		return nil
	})
	if c := clusters.Items[0]; c.Spec.ClientID != "a-random-id-that-fleet-gave" || c.Labels["env"] != "production" || c.Status.Namespace != namespace() {
		p.Errorf("the Cluster is %+v", c)
	}
	if imported := fleet.Condition(clusters.Items[0].Status.Conditions, fleet.ConditionImported); imported != nil {
		p.Errorf("the hub went about dialling a cluster that Fleet had imported: %+v", imported)
	}
}

// unmarked: no finalizer and no label of Fleet's on a BundleDeployment, nothing of Helm's on an object.
func (p *place) unmarked() {
	p.Helper()
	for _, name := range []string{"apps-web", "apps-shop"} {
		if bd := p.deployment(name); len(bd.Finalizers) > 0 || bd.Labels[fleet.ContentNameLabel] != "" {
			p.Errorf("BundleDeployment %s has finalizers %v, labels %v", name, bd.Finalizers, bd.Labels)
		}
	}
	for _, of := range [][4]string{
		{"apps/v1", "Deployment", "web", "web"}, {"v1", "Service", "web", "web"}, {"v1", "PersistentVolume", "", "data"}, {"apps/v1", "Deployment", "shop", "shop"},
	} {
		u := p.object(p.edge, of[0], of[1], of[2], of[3])
		if u.GetAnnotations()["meta.helm.sh/release-name"] != "" || u.GetLabels()[fleet.OwnedLabel] != "true" {
			p.Errorf("%v has labels %v and annotations %v", of, u.GetLabels(), u.GetAnnotations())
		}
		for _, e := range u.GetManagedFields() {
			if e.Manager == fleet.FleetFieldManager {
				p.Errorf("%v: Fleet's agent still manages fields", of)
			}
		}
	}
}

// left: Fleet's releases, credential and account.
func (p *place) left() {
	p.Helper()
	p.eventually("a token of Fleet's has values of ours", func() error {
		values := p.object(p.hub, "v1", "Secret", workspace, "old")
		if values == nil || !metav1.IsControlledBy(values, p.object(p.hub, "fleet.cattle.io/v1alpha1", "ClusterRegistrationToken", workspace, "old")) {
			return fmt.Errorf("the Secret is %v", values)
		}
		return nil
	})
	for _, secret := range [][2]string{{"web", "sh.helm.release.v1.apps-web.v1"}, {"shop", "sh.helm.release.v1.shop.v1"}} {
		if p.object(p.edge, "v1", "Secret", secret[0], secret[1]) == nil {
			p.Errorf("release Secret %v is gone", secret)
		}
	}
	identity := p.object(p.edge, "v1", "Secret", "cattle-fleet-system", "fleet-agent")
	if key, _, _ := unstructured.NestedString(identity.Object, "data", "kubeconfig"); key == "" {
		p.Error("Fleet's agent finds its hub no more")
	}
	for _, of := range [][4]string{
		{"v1", "ServiceAccount", namespace(), "request-abcde-uid"}, {"fleet.cattle.io/v1alpha1", "ClusterRegistration", workspace, "request-abcde"},
		{"fleet.cattle.io/v1alpha1", "Content", "", "s-1111111111111111111111111111111111111111111111111111111111111"},
	} {
		if p.object(p.hub, of[0], of[1], of[2], of[3]) == nil {
			p.Errorf("%v is gone", of)
		}
	}
}

// handedBack: no mark of ours is left on what was deployed, and no field is in our hands.
func (p *place) handedBack() {
	p.Helper()
	for _, of := range [][4]string{{"apps/v1", "Deployment", "web", "web"}, {"v1", "ConfigMap", "web", "settings"}, {"v1", "Secret", "shop", "shop-config"}} {
		u := p.object(p.edge, of[0], of[1], of[2], of[3])
		if u.GetLabels()[fleet.OwnedLabel] != "" || u.GetAnnotations()[fleet.OwnerAnnotation] != "" {
			p.Errorf("%v has labels %v and annotations %v", of, u.GetLabels(), u.GetAnnotations())
		}
		theirs := false
		for _, e := range u.GetManagedFields() {
			theirs = theirs || e.Manager == fleet.FleetFieldManager
			if e.Manager == fleet.AgentFieldManager {
				p.Errorf("%v: Flotilla's agent still manages fields", of)
			}
		}
		if !theirs {
			p.Errorf("%v: nobody manages its fields: %v", of, u.GetManagedFields())
		}
	}
	p.same("the memory of the agent is gone", seen{"1": "", "2": "", "3": "", "4": "", "5": p.sh("kubectl --context edge-1 -n cattle-fleet-system get secrets -l flotilla.io/agent -o name")}, seen{"5": ""})
}

// fleetActs is Fleet's agent deploying each bundle.
func (p *place) fleetActs(how ...string) {
	p.Helper()
	p.sh("fleetagent --kube-context edge-1 " + strings.Join(how, " ") + " apps-web ./release-apps-web -n web")
	p.sh("fleetagent --kube-context edge-1 " + strings.Join(how, " ") + " shop ./release-shop -n shop")
	p.sh("fleetagent --kube-context edge-1 " + strings.Join(how, " ") + " legacy-tool ./release-legacy-tool -n legacy")
}

// fleetWrites is Fleet's controller writing its Bundles and BundleDeployments over ours: what it does not know is gone.
func (p *place) fleetWrites() {
	p.Helper()
	ctx := context.Background()
	data, err := os.ReadFile(filepath.Join(p.dir, "fleet-backup.yaml"))
	must(p.T, err)
	list := &unstructured.UnstructuredList{}
	must(p.T, yaml.Unmarshal(data, list))
	for _, was := range list.Items {
		if kind := was.GetKind(); kind != "Bundle" && kind != "BundleDeployment" || was.GetNamespace() == "whole" {
			continue
		}
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(was.GroupVersionKind())
		must(p.T, p.hub.client.Get(ctx, client.ObjectKeyFromObject(&was), now))
		now.Object["spec"] = was.Object["spec"]
		now.SetLabels(was.GetLabels())
		now.SetFinalizers(was.GetFinalizers())
		must(p.T, p.hub.client.Update(ctx, now))
	}
}

// uids leaves out generations: Fleet's Helm writes annotations, for which a Deployment counts one.
func uids(s seen) seen {
	out := seen{}
	for name, about := range s {
		if i := strings.Index(about, `"uid":"`); i >= 0 {
			about = about[i:]
		}
		out[name] = about
	}
	return out
}

// tidy: what the page names is gone, and what looks like it is not.
func (p *place) tidy() {
	p.Helper()
	for where, commands := range map[*side][]string{
		p.edge: {
			"kubectl --context edge-1 get secrets -A -l owner=helm,name!=mine -o name", "kubectl --context edge-1 -n cattle-fleet-system get deploy,cm,sa -o name | grep fleet-agent || true",
			"kubectl --context edge-1 get clusterroles,clusterrolebindings -o name | grep fleet-agent || true",
		},
		p.hub: {
			"kubectl --context hub get clusterrolebindings -l fleet.cattle.io/managed=true -o name", "kubectl --context hub get contents -o name | grep /s- || true",
			"kubectl --context hub get secrets -A -l owner=helm -o name | grep v1.fleet || true", "kubectl --context hub -n " + namespace() + " get sa -l fleet.cattle.io/managed=true -o name",
			"kubectl --context hub get deployments -A -o name | grep -e gitjob -e fleet-controller -e helmops || true",
			"kubectl --context hub get secrets -A --field-selector type=fleet.cattle.io/bundle-deployment/v1alpha1 -o name",
			"kubectl --context hub get clusterregistrations -A -o name | grep request-abcde || true",
		},
	} {
		for _, command := range commands {
			if out := strings.TrimSpace(p.sh(command)); out != "" && out != "No resources found" && !strings.HasPrefix(out, "No resources found in") {
				p.Errorf("%s: %s still finds %s", where.Name(), command, out)
			}
		}
	}
	if p.object(p.edge, "v1", "Secret", "web", "sh.helm.release.v1.mine.v1") == nil {
		p.Error("a release that is not Fleet's is gone")
	}
	p.eventually("Fleet's Bundle of its agent is gone", func() error {
		if p.object(p.hub, "fleet.cattle.io/v1alpha1", "Bundle", workspace, "fleet-agent-edge-1") != nil {
			return os.ErrExist
		}
		return nil
	})
	if p.object(p.edge, "v1", "ConfigMap", "cattle-fleet-system", "the-agent-of-fleet") == nil {
		p.Error("deleting Fleet's Bundle deleted on the cluster")
	}
}

// push changes a ConfigMap and drops a CronJob.
func (p *place) push() {
	p.Helper()
	text := strings.Replace(p.read("testdata/repo/web/app.yaml"), "colour: blue", "colour: green", 1)
	text, _, _ = strings.Cut(text, "---\napiVersion: batch/v1")
	dir := filepath.Join(p.dir, "work")
	p.sh("git clone -q " + p.git.URL("apps") + " " + dir)
	must(p.T, os.WriteFile(filepath.Join(dir, "web", "app.yaml"), []byte(text), 0o644))
	p.sh("cd " + dir + " && git -c user.name=t -c user.email=t@example.com commit -qam change && git push -q origin HEAD")
}
