//go:build packs

package packs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/install"
	"flotilla.io/flotilla/integrationtests/world"
)

// clusters are the members, with what a platform team would write on them.
var clusters = map[string]map[string]string{
	"cluster-aws":   {"provider": "aws", "region": "eu-west-1", "data-region": "eu"},
	"cluster-gcp":   {"provider": "gcp", "region": "europe-west1", "data-region": "eu"},
	"cluster-azure": {"provider": "azure", "region": "westus2", "data-region": "us"},
	"cluster-edge":  {"provider": "edge", "region": "eu-central-1", "data-region": "eu"},
}

// testNamespace is where the test's own accounts are on each member.
const testNamespace = "packs-test"

// The accounts that a test has on a member.
const (
	reader      = "reader"
	standIn     = "stand-in"
	person      = "person"
	controllers = "controllers"
)

// World is the fleet that the packs are pushed to. Its Clients are of the hub's members before they joined: use Reads, Lists,
// StandIn and Person.
type World struct {
	*world.World
	*shared
}

// shared is what subtests have in common.
type shared struct {
	test     *testing.T // the whole test
	charts   *chartRepository
	joined   map[string]time.Time
	accounts map[string]map[string]account // by cluster and name
	pushed   map[string][]string           // files of a pack, as last pushed
	repos    map[string]bool               // packs whose GitRepo is there
	standIns []func()                      // end its programs

	mu      sync.Mutex
	running []*Process
	table   []proof
}

// account is a test's way to a member.
type account struct {
	kubeconfig string
	config     *rest.Config
	client     client.Client
}

// root is the folder of the repository.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func newWorld(t *testing.T) *World {
	w := &World{World: world.New(t, world.Options{}), shared: &shared{
		test: t, joined: map[string]time.Time{}, accounts: map[string]map[string]account{}, pushed: map[string][]string{}, repos: map[string]bool{},
	}}
	t.Cleanup(w.stopControllers)
	w.charts = serveCharts(t)
	w.Repo("fleet", map[string]string{"README.md": "What runs on our clusters.\n"})
	for name, labels := range clusters {
		w.StartCluster(name)
		w.makeAccounts(name)
		w.Join(name, labels)
	}
	for name := range clusters {
		w.awaitCluster(name)
		w.joined[name] = time.Now()
	}
	return w
}

// with is the world for a subtest.
func (w *World) with(t *testing.T) *World {
	inner := *w.World
	inner.T = t
	return &World{World: &inner, shared: w.shared}
}

// makeAccounts makes the test's accounts on a member, as its administrator and before it joins.
func (w *World) makeAccounts(cluster string) {
	w.T.Helper()
	ctx, admin := context.Background(), w.Clients[cluster]
	everything := []rbacv1.PolicyRule{
		{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}},
		{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}},
	}
	w.Check(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: testNamespace}}))
	w.Check(admin.Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "packs-test:" + reader}, Rules: everything}))
	w.accounts[cluster] = map[string]account{}
	for name, role := range map[string]string{reader: "packs-test:" + reader, standIn: "cluster-admin", person: "cluster-admin", controllers: "cluster-admin"} {
		w.Check(admin.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name}}))
		w.Check(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "packs-test:" + name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: testNamespace, Name: name}},
		}))
		path := filepath.Join(w.Dir, "accounts", cluster, name+".kubeconfig")
		w.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		w.Check(install.WriteAccount(ctx, w.Configs[cluster], testNamespace, name, path))
		a := account{kubeconfig: path}
		var err error
		a.config, a.client, err = embedded.Connect(path, "")
		w.Check(err)
		w.accounts[cluster][name] = a
	}
}

func (w *World) awaitCluster(name string) {
	w.T.Helper()
	w.Eventually("waiting for "+name+" to report", func() error {
		c := &fleet.Cluster{}
		if err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: name}, c); err != nil {
			return err
		}
		if c.Status.Agent.LastSeen.IsZero() {
			return fmt.Errorf("cluster %s has not been seen", name)
		}
		return nil
	})
}

// Label puts a label on a Cluster on the hub; "" takes it off.
func (w *World) Label(cluster, key, value string) {
	w.T.Helper()
	c := &fleet.Cluster{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: cluster}, c))
	before := c.DeepCopy()
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if c.Labels[key] = value; value == "" {
		delete(c.Labels, key)
	}
	w.Check(w.Hub.Client.Patch(context.Background(), c, client.MergeFrom(before)))
}

// Annotate puts an annotation on a Cluster on the hub.
func (w *World) Annotate(cluster, key, value string) {
	w.T.Helper()
	c := &fleet.Cluster{}
	w.Check(w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: cluster}, c))
	before := c.DeepCopy()
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[key] = value
	w.Check(w.Hub.Client.Patch(context.Background(), c, client.MergeFrom(before)))
}

// Reads reads an object of a member by its name.
func (w *World) Reads(cluster string, o client.Object) error {
	return w.account(cluster, reader).client.Get(context.Background(), client.ObjectKeyFromObject(o), o)
}

// Lists lists objects of a member.
func (w *World) Lists(cluster string, l client.ObjectList, opts ...client.ListOption) error {
	return w.account(cluster, reader).client.List(context.Background(), l, opts...)
}

// StandIn is a client that does on a member what pods, kubelets and clouds would.
func (w *World) StandIn(cluster string) client.Client { return w.account(cluster, standIn).client }

// Person is a client of somebody who does on a member what must be survived.
func (w *World) Person(cluster string) client.Client { return w.account(cluster, person).client }

// Kubeconfig is the file of one of the test's accounts on a member.
func (w *World) Kubeconfig(cluster, name string) string { return w.account(cluster, name).kubeconfig }

func (w *World) account(cluster, name string) account {
	a, ok := w.accounts[cluster][name]
	if !ok {
		w.T.Fatalf("there is no account %s on %s", name, cluster)
	}
	return a
}

// Kubectl runs kubectl as the administrator of the hub ("hub"), or as the reader of a member.
func (w *World) Kubectl(cluster string, args ...string) string {
	w.T.Helper()
	out, err := w.TryKubectl(cluster, args...)
	if err != nil {
		w.T.Fatalf("kubectl %s on %s: %v\n%s", strings.Join(args, " "), cluster, err, out)
	}
	return out
}

// TryKubectl is Kubectl for commands that may fail.
func (w *World) TryKubectl(cluster string, args ...string) (string, error) {
	w.T.Helper()
	if cluster != "hub" { // of two equal flags the last holds
		args = slices.Concat(args, []string{"--kubeconfig", w.Kubeconfig(cluster, reader)})
		if i := slices.Index(args, "--"); i >= 0 {
			w.T.Fatal("kubectl exec has nothing to run in here")
		}
	}
	return w.World.TryKubectl(cluster, args...)
}
