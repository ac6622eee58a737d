package agent_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"flotilla.io/flotilla/agent/rendering"
	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/bundle/render/worker"
	crd "flotilla.io/flotilla/charts/flotilla-crd"
	"flotilla.io/flotilla/localfleet"
)

// The tests run against two real API servers, a hub and a cluster. They play the hub: they write BundleDeployments and
// Contents as it would. Each test has its own cluster namespace there and its own agent, under its own account.

var (
	theHub, theEdge *localfleet.Cluster
	binary          string
	scheme          = runtime.NewScheme()
	secret          = layer.HubSecret(bytes.Repeat([]byte{7}, 32))
)

// atOnce is how many tests run at once: they wait for most of their time, whatever the machine.
const atOnce = "8"

// TestMain also plays the child in which the agent renders.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == rendering.Command {
		if err := worker.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	ctrllog.SetLogger(logr.Discard())
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, fleet.AddToScheme, flotilla.AddToScheme, apiextensionsv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "fla")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	f, err := localfleet.New(localfleet.Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests need real API servers:", err)
		return 1
	}
	defer f.Close()
	binary = f.Binary()
	ctx := context.Background()
	if theHub, err = f.Start(ctx, "hub", localfleet.ClusterOptions{AuditLog: true}); err == nil {
		theEdge, err = f.Start(ctx, "edge", localfleet.ClusterOptions{AuditLog: true, Nodes: 1})
	}
	if err == nil {
		err = furnishHub(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the API servers:", err)
		return 1
	}
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	return m.Run()
}

func furnishHub(ctx context.Context) error {
	c := admin(theHub)
	crds, err := crd.All()
	if err != nil {
		return err
	}
	for _, d := range crds {
		if err := c.Create(ctx, d); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := c.List(ctx, &fleet.ContentList{})
		if err == nil {
			err = c.List(ctx, &flotilla.AgentList{})
		}
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return err
		}
	}
	return makeAll(ctx, c,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fleet.RegistrationNamespace}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Rules: []rbacv1.PolicyRule{
			rule("fleet.cattle.io", "bundledeployments", "get", "list", "watch"),
			rule("fleet.cattle.io", "bundledeployments/status", "patch"),
			named(rule("", "secrets", "get"), fleet.ClusterKeySecret),
			named(rule("flotilla.io", "agents", "get"), fleet.AgentName),
			named(rule("flotilla.io", "agents/status", "patch"), fleet.AgentName),
			named(rule("coordination.k8s.io", "leases", "get", "patch"), fleet.AgentName),
		}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "content"}, Rules: []rbacv1.PolicyRule{rule("fleet.cattle.io", "contents", "get")}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "content"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "content"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:serviceaccounts:" + fleet.RegistrationNamespace}},
		})
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func named(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}

func makeAll(ctx context.Context, c client.Client, objects ...client.Object) error {
	for _, o := range objects {
		if err := c.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

func config(c *localfleet.Cluster) *rest.Config {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		panic(err)
	}
	cfg.QPS = -1
	return cfg
}

func admin(c *localfleet.Cluster) client.Client {
	cl, err := client.New(config(c), client.Options{Scheme: scheme})
	if err != nil {
		panic(err)
	}
	return cl
}
