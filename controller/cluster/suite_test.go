package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster"
	"flotilla.io/flotilla/controller/cluster/liveness"
	"flotilla.io/flotilla/controller/hub"
	"flotilla.io/flotilla/install"
	"flotilla.io/flotilla/localfleet"
)

// leaseSeconds between two renewals: a lease lasts three times as long.
const leaseSeconds = 1

// patience bounds how long a test waits for what must come.
const patience = time.Minute

// theHub is a real API server with the chart's rules, on which the reconcilers run as the chart's service account. All
// tests share it, each in a workspace of its own.
var theHub struct {
	config *rest.Config // of the cluster's admin
	client client.Client
	id     hub.Identity
	denied denials
	orders orders // to install agents
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctrl.SetLogger(logr.New(funcr.New(func(prefix, args string) { theHub.denied.hear(prefix + " " + args) }, funcr.Options{}).GetSink()))
	dir, err := os.MkdirTemp("", "fljoin")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	local, err := localfleet.New(localfleet.Options{Dir: filepath.Join(dir, "fleet")})
	if err != nil {
		return 1, err
	}
	defer local.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := startHub(ctx, local, dir); err != nil {
		return 1, err
	}
	code := m.Run()
	if code == 0 && len(theHub.denied.all()) > 0 {
		return 1, fmt.Errorf("the chart's rules lack what the reconcilers need:\n%s", strings.Join(theHub.denied.all(), "\n"))
	}
	return code, nil
}

func startHub(ctx context.Context, local *localfleet.Fleet, dir string) error {
	hubCluster, err := local.Start(ctx, "hub", localfleet.ClusterOptions{})
	if err != nil {
		return err
	}
	if theHub.config, err = clientcmd.BuildConfigFromFlags("", hubCluster.Kubeconfig()); err != nil {
		return err
	}
	theHub.config.QPS, theHub.config.Burst = -1, -1
	if theHub.client, err = client.New(theHub.config, client.Options{Scheme: scheme()}); err != nil {
		return err
	}
	target, err := install.NewTarget(theHub.config)
	if err != nil {
		return err
	}
	if err := target.Hub(ctx, map[string]any{}, false); err != nil {
		return err
	}
	if err := theHub.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: fleet.SystemNamespace, Name: pullSecret}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: "{}"},
	}); err != nil {
		return err
	}
	account := filepath.Join(dir, "controller.kubeconfig")
	if err := install.WriteAccount(ctx, theHub.config, fleet.SystemNamespace, "flotilla-controller", account); err != nil {
		return err
	}
	asController, err := clientcmd.BuildConfigFromFlags("", account)
	if err != nil {
		return err
	}
	asController.QPS, asController.Burst = -1, -1
	return startManager(ctx, asController)
}

// startManager runs the reconcilers of this package, and keeps what the API server denies them.
func startManager(ctx context.Context, cfg *rest.Config) error {
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: cluster.ByObject()},
	})
	if err != nil {
		return err
	}
	if theHub.id, err = hub.Load(ctx, mgr.GetClient(), mgr.GetAPIReader()); err != nil {
		return err
	}
	err = cluster.Setup(mgr, cluster.Config{Hub: theHub.id, LeaseSeconds: leaseSeconds, Liveness: liveness.New(clock.RealClock{}), Install: theHub.orders.install, PullSecrets: []string{pullSecret}})
	if err != nil {
		return err
	}
	go func() {
		if err := mgr.Start(ctx); err != nil {
			theHub.denied.hear("forbidden: the manager ended: " + err.Error())
		}
	}()
	return nil
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, fleet.AddToScheme, flotilla.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// denials are the log lines in which the API server said no.
type denials struct {
	mu    sync.Mutex
	lines []string
}

func (d *denials) hear(line string) {
	if os.Getenv("FLOTILLA_TEST_LOG") != "" {
		fmt.Fprintln(os.Stderr, line)
	}
	if strings.Contains(line, "forbidden") && !strings.Contains(line, "being terminated") {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lines = append(d.lines, line)
	}
}

func (d *denials) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lines
}

// workspace makes a namespace for one test.
func workspace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "ws-"}}
	must(t, theHub.client.Create(t.Context(), ns))
	return ns.Name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check finds nothing wrong, and fails with what it found last.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", patience, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// get reads an object as the admin.
func get[T client.Object](t *testing.T, namespace, name string, obj T) T {
	t.Helper()
	must(t, theHub.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, obj))
	return obj
}
