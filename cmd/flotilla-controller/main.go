// Command flotilla-controller is the hub: it turns sources into BundleDeployments and reports into status.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/render/worker"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/controller/besides"
	"flotilla.io/flotilla/controller/bundle"
	"flotilla.io/flotilla/controller/cluster"
	"flotilla.io/flotilla/controller/cluster/importer"
	"flotilla.io/flotilla/controller/cluster/liveness"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/gitrepo"
	"flotilla.io/flotilla/controller/helmop"
	"flotilla.io/flotilla/controller/hub"
	"flotilla.io/flotilla/controller/keys"
	fleetmetrics "flotilla.io/flotilla/controller/metrics"
	"flotilla.io/flotilla/controller/notserved"
	"flotilla.io/flotilla/controller/output"
	"flotilla.io/flotilla/controller/schedule"
	"flotilla.io/flotilla/controller/status"
	"flotilla.io/flotilla/controller/webhook"
	"flotilla.io/flotilla/install"
)

const (
	// renderWorkers is how many renderings run at once, each in a process of its own.
	renderWorkers = 2
	// renderCommand makes this program such a process.
	renderCommand = "render-worker"
	// importCommand makes it one that installs an agent and ends.
	importCommand = "import-agent"
)

// options are the flags.
type options struct {
	kubeconfig, dataDir       string
	webhookAddr, metricsAddr  string
	apiServerURL, apiServerCA string
	pullSecrets               []string
	leaseSeconds              int32
	leaderElect, dial, local  bool
	anyHostKey                bool
	ignoreLabels              bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == renderCommand {
		if err := worker.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, "flotilla-controller:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == importCommand {
		if err := importer.Serve(context.Background(), os.Stdin, importAgent); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		os.Exit(1)
	}
}

// importAgent puts the agent on a cluster.
func importAgent(ctx context.Context, cfg *rest.Config, order importer.Order) error {
	target, err := install.NewTarget(cfg)
	if err != nil {
		return err
	}
	before, err := order.Before()
	if err != nil {
		return err
	}
	return target.Import(ctx, order.Namespace, order.Values, before...)
}

func command() *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use: "flotilla-controller", Short: "Run the hub of a fleet", Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "the hub's API server; by default the cluster that this runs in")
	f.StringVar(&o.dataDir, "data-dir", filepath.Join(os.TempDir(), "flotilla-controller"), "keeps mirrors of Git repositories, and charts; may be lost")
	f.StringVar(&o.webhookAddr, "webhook-addr", ":8080", "hears pushes of Git servers")
	f.StringVar(&o.metricsAddr, "metrics-addr", ":8081", "serves /metrics; 0 turns it off")
	f.StringVar(&o.apiServerURL, "api-server-url", "", "the hub's address as agents reach it; by default that of --kubeconfig")
	f.StringVar(&o.apiServerCA, "api-server-ca", "", "file with the CA that agents check the hub with; by default that of --kubeconfig")
	f.Int32Var(&o.leaseSeconds, "lease-seconds", 60, "between two renewals of an agent's lease; three missed make its cluster Unknown")
	f.BoolVar(&o.ignoreLabels, "ignore-cluster-registration-labels", false, "make Clusters without the labels that agents ask for")
	f.BoolVar(&o.dial, "import-clusters", true, "install agents on Clusters that name a kubeconfig: the one case in which the hub dials into a cluster")
	f.StringSliceVar(&o.pullSecrets, "agent-pull-secret", nil, "Secret of "+fleet.SystemNamespace+" with credentials for a registry, copied to those Clusters; may be given more than once")
	f.BoolVar(&o.local, "fetch-from-this-machine", false, "let repositories and charts be fetched from loopback addresses: for a hub that stands beside its sources on one machine")
	f.BoolVar(&o.anyHostKey, "insecure-skip-host-key-checks", false, "take any server for the one that was meant, over SSH")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "work only while holding the leader's lease")
	return cmd
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, fleet.AddToScheme, agentapi.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // a type registered twice: found by the first start
		}
	}
	return s
}

func restConfig(o options) (*rest.Config, error) {
	if o.kubeconfig != "" {
		if err := flag.Set("kubeconfig", o.kubeconfig); err != nil {
			return nil, err
		}
	}
	cfg, err := config.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the hub's API server: %w (give --kubeconfig)", err)
	}
	cfg.QPS, cfg.Burst = -1, -1 // the API server's own priority and fairness is the limit
	cfg.UserAgent = "flotilla-controller"
	return cfg, nil
}

func run(ctx context.Context, o options) error {
	log := zap.New(zap.ConsoleEncoder())
	ctrl.SetLogger(log)
	cfg, err := restConfig(o)
	if err != nil {
		return err
	}
	shown := &fleetmetrics.Fleet{}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme(),
		Metrics: metricsserver.Options{BindAddress: o.metricsAddr, FilterProvider: func(*rest.Config, *http.Client) (metricsserver.Filter, error) {
			return shown.Behind, nil
		}},
		LeaderElection:   o.leaderElect,
		LeaderElectionID: "flotilla-controller", LeaderElectionNamespace: fleet.SystemNamespace,
		LeaderElectionReleaseOnCancel: true,
		Cache:                         cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: byObject()},
	})
	if err != nil {
		return fmt.Errorf("reaching the hub's API server %s: %w", cfg.Host, err)
	}
	shown.Cache, shown.Elected = mgr.GetCache(), mgr.Elected()
	identity, err := identity(ctx, mgr, cfg)
	if err != nil {
		return err
	}
	if err := setup(mgr, o, identity, log); err != nil {
		return err
	}
	if err := besides.Wait(ctx, mgr.GetAPIReader(), mgr.GetEventRecorder(fleet.ControllerFieldManager), log); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// byObject is how the cache keeps the kinds of which not all is needed.
func byObject() map[client.Object]cache.ByObject {
	all := cluster.ByObject()
	maps.Copy(all, besides.ByObject())
	maps.Copy(all, bundle.ByObject())
	return all
}

func identity(ctx context.Context, mgr ctrl.Manager, cfg *rest.Config) (hub.Identity, error) {
	live, err := client.New(cfg, client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return hub.Identity{}, err
	}
	return hub.Load(ctx, live, live)
}

// setup wires every reconciler by hand, in the direction in which data flows.
func setup(mgr ctrl.Manager, o options, id hub.Identity, log logr.Logger) error {
	hook := &webhook.Server{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Log: log.WithName("webhook"), Addr: o.webhookAddr, SystemNamespace: fleet.SystemNamespace}
	store := content.NewStore(mgr.GetClient(), mgr.GetAPIReader(), id.Secret)
	plans := status.NewPlans()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	pool := worker.New(worker.Options{Exe: self, Args: []string{renderCommand}, Children: renderWorkers})
	metrics.Registry.MustRegister(pool.Renderings)
	alive := liveness.New(clock.RealClock{})
	clusters := cluster.Config{Hub: id, Liveness: alive, LeaseSeconds: o.leaseSeconds, APIServerURL: o.apiServerURL, IgnoreLabels: o.ignoreLabels}
	if o.apiServerCA != "" {
		if clusters.APIServerCA, err = os.ReadFile(o.apiServerCA); err != nil {
			return fmt.Errorf("reading --api-server-ca: %w", err)
		}
	}
	if o.dial {
		clusters.Install, clusters.PullSecrets = importer.Process(self, importCommand), o.pullSecrets
	}
	if err := cluster.Setup(mgr, clusters); err != nil {
		return err
	}
	if err := status.Index(mgr); err != nil {
		return err
	}
	fetcher := charts.New(charts.Options{Dir: filepath.Join(o.dataDir, "charts"), Local: o.local})
	for _, set := range []func(ctrl.Manager) error{
		(&gitrepo.Reconciler{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Store: store, Events: mgr.GetEventRecorder("flotilla-gitrepo"),
			Mirrors: source.NewMirrors(source.Options{Dir: filepath.Join(o.dataDir, "mirrors"), Local: o.local}), Charts: fetcher,
			AnyHostKey: o.anyHostKey, Pushed: hook.Pushed(),
		}).Setup,
		(&helmop.Reconciler{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Store: store, Events: mgr.GetEventRecorder("flotilla-helmop"), Charts: fetcher,
		}).Setup,
		(&bundle.Reconciler{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Store: store, Renderer: pool, Plans: plans,
			Events: mgr.GetEventRecorder("flotilla-bundle"), SystemNamespace: fleet.SystemNamespace, Clock: clock.RealClock{},
			Outputs: &output.Giver{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Keys: &keys.Keys{}},
		}).Setup,
		(&schedule.Reconciler{Client: mgr.GetClient(), Clock: clock.RealClock{}}).Setup,
		(&status.Reconciler{Client: mgr.GetClient(), Plans: plans, Liveness: alive}).Setup,
		notserved.Setup, besides.Setup,
	} {
		if err := set(mgr); err != nil {
			return err
		}
	}
	if err := mgr.Add(&content.Sweeper{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Store: store}); err != nil {
		return err
	}
	return mgr.Add(hook)
}
