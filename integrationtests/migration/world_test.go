package migration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/demo/gitserver"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/integrationtests/world"
	"flotilla.io/flotilla/localfleet"
)

const (
	workspace = "fleet-default"
	cluster   = "edge-1"
	patience  = 90 * time.Second
)

// place is one hub, one cluster, and a person with a kubeconfig of both.
type place struct {
	*testing.T
	dir, root string // the person's folder, and the repository's
	bin       string // the only folder on the person's PATH besides the system's
	hub, edge *side
	git       *gitserver.Server
	env       []string
}

// side is a cluster and how it is reached.
type side struct {
	*localfleet.Cluster
	config *rest.Config
	client client.Client
}

func newPlace(t *testing.T) *place {
	t.Helper()
	log.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "flm") // short: a socket's path has a limit
	must(t, err)
	programs := world.Bin(t)
	p := &place{T: t, dir: dir, root: filepath.Dir(programs), bin: filepath.Join(dir, "bin")}
	f, err := localfleet.New(localfleet.Options{Dir: filepath.Join(dir, "clusters"), Binary: filepath.Join(programs, "localfleet")})
	must(t, err)
	t.Cleanup(func() {
		must(t, f.Close())
		if t.Failed() {
			t.Logf("what there was is kept in %s", dir)
			return
		}
		must(t, os.RemoveAll(dir))
	})
	p.hub, p.edge = p.start(f, "hub"), p.start(f, cluster)
	must(t, f.WriteKubeconfig(filepath.Join(dir, "kubeconfig"), "hub", cluster))
	p.tools(programs)
	p.git, err = gitserver.New(gitserver.Options{Dir: filepath.Join(dir, "git")})
	must(t, err)
	must(t, p.git.Start(context.Background()))
	t.Cleanup(func() { must(t, p.git.Close()) })
	return p
}

func (p *place) start(f *localfleet.Fleet, name string) *side {
	p.Helper()
	c, err := f.Start(context.Background(), name, localfleet.ClusterOptions{Nodes: 1, AuditLog: true})
	must(p.T, err)
	config, client, err := embedded.Connect(c.Kubeconfig(), "")
	must(p.T, err)
	return &side{c, config, client}
}

// kubectlScript is kubectl. A Pod goes after its program has ended, and so has to do what stands in for it here: who waits for the
// end of our Pods waits for that, too.
const kubectlScript = `#!/bin/sh
'%s' "$@" || exit
case "$*" in
*--for=delete*name=flotilla-agent*) runs='%s' ;;
*--for=delete*name=flotilla*) runs='%s' ;;
*) exit 0 ;;
esac
while [ -e "$runs" ]; do sleep 0.1; done
`

// tools puts kubectl, flotilla, helm, and helm under the name of Fleet's agent, on the person's PATH.
func (p *place) tools(programs string) {
	p.Helper()
	helm, err := exec.Command("go", "tool", "-n", "helm").Output()
	must(p.T, err)
	must(p.T, os.Mkdir(p.bin, 0o755))
	for name, from := range map[string]string{
		"flotilla": filepath.Join(programs, "flotilla"),
		"helm":     strings.TrimSpace(string(helm)), "fleetagent": strings.TrimSpace(string(helm)),
	} {
		must(p.T, os.Symlink(from, filepath.Join(p.bin, name)))
	}
	kubectl := fmt.Sprintf(kubectlScript, filepath.Join(programs, "kubectl"), p.runs("flotilla-agent"), p.runs("flotilla-controller"))
	must(p.T, os.WriteFile(filepath.Join(p.bin, "kubectl"), []byte(kubectl), 0o755))
	must(p.T, os.Symlink(filepath.Join(p.root, "charts"), filepath.Join(p.dir, "charts")))
	p.env = []string{"PATH=" + p.bin + ":/usr/bin:/bin", "HOME=" + p.dir, "KUBECONFIG=" + filepath.Join(p.dir, "kubeconfig"), "TMPDIR=" + os.TempDir()}
}

// sh runs a script in the person's folder and returns what it prints; one that fails ends the test.
func (p *place) sh(script string) string {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-e", "-c", script)
	cmd.Dir, cmd.Env, cmd.WaitDelay = p.dir, p.env, 5*time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("%s\n%v:\n%s\n%s", script, err, out, p.overview())
	}
	return string(out)
}

// apply gives manifests to kubectl, their status too.
func (p *place) apply(context, text string, flags ...string) {
	p.Helper()
	file := filepath.Join(p.dir, "manifests.yaml")
	must(p.T, os.WriteFile(file, []byte(text), 0o600))
	p.sh("kubectl --context " + context + " apply --server-side --field-manager=fleetcontroller -f " + file + " " + strings.Join(flags, " "))
}

func (p *place) eventually(what string, check func() error) {
	p.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s: %v\n%s", what, err, p.overview())
		}
	}
}

func (p *place) overview() string {
	cmd := exec.Command("/bin/sh", "-c", "for k in gitrepos bundles bundledeployments clusters.fleet.cattle.io clusterregistrations; do kubectl --context hub get $k -A; done; kubectl --context edge-1 get deployments,pods -A")
	cmd.Dir, cmd.Env = p.dir, p.env
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// settled waits until the bundles run as they should, as Flotilla says.
func (p *place) settled(bundles ...string) {
	p.Helper()
	for _, name := range bundles {
		p.eventually("waiting for "+name, func() error {
			bd := &fleet.BundleDeployment{}
			if err := p.hub.client.Get(context.Background(), client.ObjectKey{Namespace: namespace(), Name: name}, bd); err != nil {
				return err
			}
			if bd.Status.Health != fleet.HealthHealthy || bd.Status.ObservedSequence != bd.Spec.Sequence || bd.Status.AppliedDeploymentID != bd.Spec.DeploymentID {
				return fmt.Errorf("health %q at sequence %d of %d: %+v", bd.Status.Health, bd.Status.ObservedSequence, bd.Spec.Sequence, bd.Status.Conditions)
			}
			return nil
		})
	}
}

func namespace() string { return fleet.ClusterNamespace(workspace, cluster) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
