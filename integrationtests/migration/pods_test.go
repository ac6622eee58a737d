package migration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/install"
)

// pods runs our programs where their Deployments have Pods: on simulated nodes nothing else does.
type pods struct {
	*place
	running map[string]*embedded.Process
}

// runPods does so until the test ends. It is stopped before the clusters are.
func (p *place) runPods() {
	pods := &pods{p, map[string]*embedded.Process{}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			pods.sync(ctx, p.hub, "flotilla-controller")
			pods.sync(ctx, p.edge, "flotilla-agent")
			time.Sleep(100 * time.Millisecond)
		}
	}()
	p.Cleanup(func() {
		stop()
		<-done
		for _, process := range pods.running {
			process.Stop()
		}
	})
}

func (p *pods) sync(ctx context.Context, where *side, name string) {
	d := &appsv1.Deployment{}
	err := where.client.Get(ctx, client.ObjectKey{Namespace: fleet.SystemNamespace, Name: name}, d)
	wanted := err == nil && d.Status.ReadyReplicas > 0 && *d.Spec.Replicas > 0
	process := p.running[name]
	switch {
	case client.IgnoreNotFound(err) != nil:
	case wanted && (process == nil || ended(process)):
		process, err := p.run(ctx, where, d)
		if err != nil {
			p.Logf("running %s: %v", name, err)
			return
		}
		p.running[name] = process
		p.note(os.WriteFile(p.runs(name), nil, 0o600))
	case !wanted && process != nil:
		process.Stop()
		delete(p.running, name)
		p.note(os.Remove(p.runs(name)))
	}
}

// note fails the test, which may go on meanwhile.
func (p *pods) note(err error) {
	if err != nil {
		p.Error(err)
	}
}

// runs is a file that is there while a program runs, for kubectl to look at.
func (p *place) runs(name string) string { return filepath.Join(p.dir, name+".runs") }

func ended(process *embedded.Process) bool {
	select {
	case <-process.Done():
		return true
	default:
		return false
	}
}

// run starts the program of a Deployment under its account. What only a Pod has is given to it here: addresses to listen on, and
// a lease of a second instead of a minute.
func (p *pods) run(ctx context.Context, where *side, d *appsv1.Deployment) (*embedded.Process, error) {
	name := d.Name
	account := filepath.Join(p.dir, name+".kubeconfig")
	if err := install.WriteAccount(ctx, where.config, fleet.SystemNamespace, name, account); err != nil {
		return nil, err
	}
	args := []string{"--kubeconfig", account}
	if name == "flotilla-agent" {
		args = append(args, "--namespace", fleet.SystemNamespace)
	} else {
		for _, arg := range d.Spec.Template.Spec.Containers[0].Args {
			if strings.HasPrefix(arg, "--api-server-url") {
				args = append(args, arg)
			}
		}
		args = append(args, "--data-dir", filepath.Join(p.dir, "data"), "--webhook-addr", "127.0.0.1:0",
			"--metrics-addr", "127.0.0.1:0", "--leader-elect=false", "--lease-seconds", "1", "--fetch-from-this-machine")
	}
	return embedded.Start(filepath.Join(p.root, "bin", name), p.log(name), args...)
}

func (p *place) log(name string) string { return filepath.Join(p.dir, name+".log") }

// logs waits until a program has logged the text.
func (p *place) logs(t *testing.T, name, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		data, _ := os.ReadFile(p.log(name))
		if strings.Contains(string(data), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never said %q, but\n%s", name, text, data)
		}
	}
}
