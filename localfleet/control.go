package localfleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
)

// Request is what one process asks of a fleet that another one runs.
type Request struct {
	// Verb is what to do: add, start, stop, pause, resume, kill, wipe, remove, status or kubeconfig.
	Verb string
	// Targets are what to do it to: clusters by name, or NAME/PART. status and kubeconfig take none for all.
	Targets []string
	// Options are those of the clusters that add makes.
	Options ClusterOptions
}

// ErrNotRunning is Ask's answer when no fleet runs in the folder.
var ErrNotRunning = errors.New("no fleet runs there")

// maxSocket is the length of a unix socket's path that every system takes.
const maxSocket = 100

// socketPath is where a fleet in dir listens for requests.
func socketPath(dir string) (string, error) {
	path := filepath.Join(dir, "control.sock")
	if len(path) > maxSocket {
		return "", fmt.Errorf("%s is too long for a socket by %d bytes; choose a shorter folder", path, len(path)-maxSocket)
	}
	return path, nil
}

// Serve answers the requests of other processes of this user, as Ask makes them, from now on until Close.
func (f *Fleet) Serve() error {
	path, err := socketPath(f.opts.Dir)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if f.server != nil {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // only this process holds the folder: what lies there is left by one that was killed
	}
	listener, err := net.Listen("unix", path) // in a folder that only this user may enter
	if err != nil {
		return err
	}
	f.server = &http.Server{Handler: http.HandlerFunc(f.handle)}
	go func() { _ = f.server.Serve(listener) }() // it ends with Close
	return nil
}

func (f *Fleet) handle(w http.ResponseWriter, r *http.Request) {
	var req Request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := f.answer(r.Context(), req)
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		answer = err.Error()
	}
	_, _ = io.WriteString(w, answer) // a client that went away needs no answer
}

// answer does what a request asks and returns what there is to print.
func (f *Fleet) answer(ctx context.Context, req Request) (string, error) {
	switch req.Verb {
	case "status":
		return f.status(req.Targets)
	case "kubeconfig":
		text, err := f.kubeconfig(req.Targets)
		return string(text), err
	}
	if len(req.Targets) == 0 {
		return "", fmt.Errorf("%s needs the name of a cluster", req.Verb)
	}
	for _, target := range req.Targets {
		if err := f.do(ctx, req, target); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (f *Fleet) do(ctx context.Context, req Request, target string) error {
	name, part, _ := strings.Cut(target, "/")
	if part != "" && (req.Verb == "add" || req.Verb == "wipe" || req.Verb == "remove") {
		return fmt.Errorf("%s is for whole clusters: %s, not %s", req.Verb, name, target)
	}
	if req.Verb == "add" {
		_, err := f.Start(ctx, name, req.Options)
		return err
	}
	c, err := f.Cluster(name)
	if err != nil {
		return err
	}
	var parts []Part
	if part != "" {
		parts = []Part{Part(part)}
	}
	switch req.Verb {
	case "start":
		return c.Start(ctx, parts...)
	case "stop":
		return c.Stop(parts...)
	case "pause":
		return c.Pause(parts...)
	case "resume":
		return c.Resume(parts...)
	case "kill":
		return c.Kill(parts...)
	case "wipe":
		return c.Wipe(ctx)
	case "remove":
		return f.Remove(ctx, name)
	}
	return fmt.Errorf("a fleet cannot %q", req.Verb)
}

// status is a table of the parts of the clusters named, or of all.
func (f *Fleet) status(names []string) (string, error) {
	clusters, err := f.named(names)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CLUSTER\tPART\tSTATE\tPID\tSERVER\tLOG")
	for _, c := range clusters {
		for _, part := range c.Parts() {
			state, pid := c.State(part)
			process, server, name := "-", "-", string(part)
			if pid != 0 {
				process = fmt.Sprint(pid)
			}
			if part == KubeAPIServer {
				server = c.Host()
			}
			if part == Etcd && !c.opts.OwnEtcd {
				name += " (shared)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", c.name, name, state, process, server, c.LogPath(part))
		}
	}
	err = table.Flush()
	return text.String(), err
}

// Ask has the fleet that another process serves in dir do something, and returns what there is to print. The error is
// ErrNotRunning when there is none.
func Ask(ctx context.Context, dir string, req Request) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path, err := socketPath(dir)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(req)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	data, err := call(ctx, client, http.MethodPost, "http://fleet/", body)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return "", fmt.Errorf("%s: %w", dir, ErrNotRunning)
	}
	var refused *statusError
	if errors.As(err, &refused) {
		return "", errors.New(refused.body)
	}
	return string(data), err
}
