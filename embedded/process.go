package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Process is a program of ours that runs beside this one and ends with it, however it ends.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// stopGrace is what a program gets to end by itself.
const stopGrace = 10 * time.Second

// program finds one of our binaries in a folder; "" is that of the running one.
func program(bin, name string) (string, error) {
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		bin = filepath.Dir(self)
	}
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not in %s; `make build` makes it", name, bin)
	}
	return path, nil
}

// keep calls renew at half of every life, and each minute when that goes wrong, as long as the program runs.
func (p *Process) keep(life time.Duration, renew func(context.Context) error) {
	for next := life / 2; ; {
		select {
		case <-p.done:
			return
		case <-time.After(next):
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if next = life / 2; renew(ctx) != nil {
			next = time.Minute
		}
		cancel()
	}
}

// proxies are the variables of our environment that tell the way to other networks.
func proxies() (env []string) {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Command is a program to start. Nothing of our environment but PATH and proxies reaches it, and what Env adds.
type Command struct {
	Program string
	Log     string // the file that its output is appended to
	Dir     string // "" is ours
	Args    []string
	Env     []string
}

// Start runs a program, its output appended to the file log.
func Start(program, log string, args ...string) (*Process, error) {
	return Command{Program: program, Log: log, Args: args}.Start()
}

// Start runs the program.
func (c Command) Start() (*Process, error) {
	out, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Process{name: filepath.Base(c.Program), log: c.Log, cmd: exec.Command(c.Program, c.Args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = c.Dir, out, out
	p.cmd.Env = slices.Concat(proxies(), []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}, c.Env)
	p.cmd.SysProcAttr = endsWithParent()
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that made it: this one lives as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		_ = out.Close()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return p, nil
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended, with the last line of its log; read it after Done.
func (p *Process) Err() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s ended (%s): %s; its log is %s", p.name, how, lastLine(p.log), p.log)
}

// lastLine is the end of a log, for a person who wants to know at once.
func lastLine(log string) string {
	data, err := os.ReadFile(log)
	if err != nil {
		return "its log cannot be read"
	}
	text := strings.TrimSpace(string(data))
	text = text[strings.LastIndex(text, "\n")+1:]
	return text[:min(len(text), 500)]
}

// PID is the program's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the program to end and, if it does not, ends it.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.Kill()
	}
}

// Kill ends the program at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Wait returns when ctx ends, or, with an error, when the program does.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.done:
		return p.Err()
	}
}
