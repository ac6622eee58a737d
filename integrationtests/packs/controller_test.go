//go:build packs

package packs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/install"
)

// Controller says how a real controller runs as a plain process.
type Controller struct {
	Name    string // the folder in controllers
	Program string // one of the folder's programs; "" is the one called Name
	On      string // the cluster; "" is none
	// As is the service account, NAMESPACE/NAME, that the controller acts as on its cluster; "" is one of the test's that may all.
	As string
	// Args and Env may say $KUBECONFIG, and $DIR for the folder that the process runs in.
	Args []string
	Env  []string
	// Serves is a URL that answers 200 once it works; "" has nobody wait.
	Serves string
}

// Process is a running controller.
type Process struct {
	*embedded.Process
	Dir string // its folder
	Log string
	as  string
	on  string
}

// Controller builds a controller, unless that was done before, starts it and waits until it serves. It ends with the run, or
// by Stop.
func (w *World) Controller(c Controller) *Process {
	w.T.Helper()
	bin := build(w.T, c.Name)
	program := c.Program
	if program == "" {
		program = c.Name
	}
	dir := filepath.Join(w.Dir, "controllers", strings.Trim(c.On+"-"+program, "-"))
	w.Check(os.MkdirAll(dir, 0o700))
	p := &Process{Dir: dir, Log: filepath.Join(dir, program+".log"), on: c.On}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if c.On != "" {
		p.as = c.As
		if p.as == "" {
			p.as = testNamespace + "/" + controllers
		}
		w.actAs(c.On, p.as, kubeconfig)
	}
	fill := func(in []string) (out []string) {
		for _, s := range in {
			out = append(out, strings.NewReplacer("$KUBECONFIG", kubeconfig, "$DIR", dir).Replace(s))
		}
		return out
	}
	env := append([]string{"HOME=" + dir, "KUBECONFIG=" + kubeconfig}, fill(c.Env)...)
	var err error
	p.Process, err = embedded.Command{Program: filepath.Join(bin, program), Log: p.Log, Dir: dir, Args: fill(c.Args), Env: env}.Start()
	w.Check(err)
	w.mu.Lock()
	w.running = append(w.running, p)
	w.mu.Unlock()
	if c.Serves != "" {
		w.Serves(p, c.Serves)
	}
	return p
}

// Run builds a controller's module, unless that was done before, runs one of its programs to its end, and returns what it printed.
func (w *World) Run(controller, program string, args ...string) ([]byte, error) {
	w.T.Helper()
	cmd := exec.Command(filepath.Join(build(w.T, controller), program), args...)
	cmd.Dir, cmd.Env = w.Dir, append(os.Environ(), "HOME="+w.Dir)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, failed.Stderr)
	}
	return out, err
}

// actAs writes a kubeconfig of a service account, as its kubelet would for a Pod. The pack may make the account yet.
func (w *World) actAs(cluster, account, kubeconfig string) {
	w.T.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	w.Eventually("waiting for service account "+account+" on "+cluster, func() error {
		return install.WriteAccount(context.Background(), w.account(cluster, standIn).config, namespace, name, kubeconfig)
	})
}

// Serves waits until a controller answers a URL with 200.
func (w *World) Serves(p *Process, url string) {
	w.T.Helper()
	browser := &http.Client{Timeout: 5 * time.Second}
	deadline := time.Now().Add(3 * time.Minute)
	for {
		resp, err := browser.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-p.Done():
			w.T.Fatal(p.Err())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			w.T.Fatalf("%s serves nothing at %s: %v; its log is %s", filepath.Base(p.Log), url, err, p.Log)
		}
	}
}

// Stop ends a controller and what it started.
func (p *Process) Stop() {
	p.Process.Stop()
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // its plugins; most times nothing is left
}

// Memory is what a controller has resident, in MB; 0 where the system does not tell.
func (p *Process) Memory() int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0
	}
	var kb int
	if _, rest, ok := strings.Cut(string(data), "VmRSS:"); ok {
		_, _ = fmt.Sscan(rest, &kb)
	}
	return kb >> 10
}

// stopControllers ends all of them, the last one first, and tells what memory they took.
func (w *World) stopControllers() {
	for i := len(w.running) - 1; i >= 0; i-- {
		p := w.running[i]
		select {
		case <-p.Done():
		default:
			w.T.Logf("%s: %d MB resident", strings.TrimSuffix(p.Log[len(w.Dir)+1:], ".log"), p.Memory())
		}
		p.Stop()
	}
}

// Port picks an address of this machine that nobody listens on.
func (w *World) Port() string {
	w.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.Check(err)
	defer l.Close()
	return l.Addr().String()
}
