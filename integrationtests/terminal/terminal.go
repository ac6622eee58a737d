// Package terminal is a person at a machine for tests: commands run in fresh shells with a bare PATH and an empty home, and
// Ctrl-C ends them as a terminal's does.
package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// coreutils are the programs that every system has. What is not here (grep, sed, awk, curl, …) a newcomer may lack.
const coreutils = `[ b2sum base32 base64 basename cat chgrp chmod chown cksum comm cp csplit cut date dd df dir dirname du echo
env expand expr factor false fmt fold groups head hostid id install join link ln logname ls md5sum mkdir mkfifo mktemp mv nice nl
nohup nproc numfmt od paste pathchk pr printenv printf pwd readlink realpath rm rmdir seq sha1sum sha256sum sha512sum shuf sleep
sort split stat stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink wc who whoami yes`

// Patience is how long a command may take to get somewhere, on a machine that is busy with other tests.
const Patience = 2 * time.Minute

// Person is somebody at a machine.
type Person struct {
	T   *testing.T
	Tmp string   // TMPDIR of the commands
	Env []string // all that the commands see
}

// New is a person with coreutils and these programs on PATH, and nothing else, and with an empty home.
func New(t *testing.T, programs ...string) Person {
	t.Helper()
	path := t.TempDir()
	for _, name := range append(strings.Fields(coreutils), programs...) {
		if found, err := exec.LookPath(name); err == nil {
			must(t, os.Symlink(found, filepath.Join(path, name)))
		}
	}
	for _, name := range append(programs, "cat", "df") {
		if _, err := os.Stat(filepath.Join(path, name)); err != nil {
			t.Fatalf("this machine has no %s", name)
		}
	}
	tmp := t.TempDir()
	return Person{t, tmp, []string{"PATH=" + path, "HOME=" + t.TempDir(), "TMPDIR=" + tmp}}
}

// In is the same person in a subtest.
func (p Person) In(t *testing.T) Person {
	p.T = t
	return p
}

// With is the same person with more in the environment.
func (p Person) With(env ...string) Person {
	p.Env = append(slices.Clone(p.Env), env...)
	return p
}

// Session is a command that runs in a terminal of its own.
type Session struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{}
	err  error // after done
}

// Write takes what the command prints.
func (s *Session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// Output is what the command has printed so far.
func (s *Session) Output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Opens starts a command in a fresh shell in dir. It is ended with the test.
func (p Person) Opens(dir, command string) *Session {
	p.T.Helper()
	s := &Session{t: p.T, cmd: exec.Command("/bin/sh", "-c", command), done: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = dir, p.Env, s, s
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.WaitDelay = 10 * time.Second
	must(p.T, s.cmd.Start())
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	p.T.Cleanup(func() {
		s.CtrlC()
		select {
		case <-s.done:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return s
}

// PID is the process ID of the shell, or of what it has been replaced with by exec.
func (s *Session) PID() int { return s.cmd.Process.Pid }

// CtrlC does what a terminal does: it signals all of the foreground's process group.
func (s *Session) CtrlC() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT) }

// Ends waits for the command and returns how it ended.
func (s *Session) Ends(within time.Duration) error {
	s.t.Helper()
	select {
	case <-s.done:
		return s.err
	case <-time.After(within):
		s.t.Fatalf("%s\nstill runs after %s; it said\n%s", s.cmd.Args[2], within, s.Output())
		return nil
	}
}

// Says waits until the command has printed text.
func (s *Session) Says(text string, within time.Duration) {
	s.t.Helper()
	for deadline := time.Now().Add(within); !strings.Contains(s.Output(), text); time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.done:
			if !strings.Contains(s.Output(), text) {
				s.t.Fatalf("%s\nended (%v) and never said %q, but\n%s", s.cmd.Args[2], s.err, text, s.Output())
			}
			return
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s\ndid not say %q within %s, but\n%s", s.cmd.Args[2], text, within, s.Output())
		}
	}
}

// Runs runs a command in a fresh shell and returns what it printed.
func (p Person) Runs(dir, command string) (string, error) {
	p.T.Helper()
	s := p.Opens(dir, command)
	err := s.Ends(10 * time.Minute)
	return s.Output(), err
}

// MustRun is Runs: a command that fails ends the test.
func (p Person) MustRun(command string) string {
	p.T.Helper()
	out, err := p.Runs("/", command)
	if err != nil {
		p.T.Fatalf("%s\n%v:\n%s", command, err, out)
	}
	return out
}

// Eventually runs a command until it prints all of the texts, and tells how long that took.
func (p Person) Eventually(command string, texts ...string) time.Duration {
	p.T.Helper()
	begin := time.Now()
	for {
		out := p.MustRun(command)
		missing := ""
		for _, text := range texts {
			if !strings.Contains(out, text) {
				missing = text
			}
		}
		if missing == "" {
			return time.Since(begin)
		}
		if time.Since(begin) > Patience {
			p.T.Fatalf("%s\ndoes not print %q but\n%s", command, missing, out)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// NothingLeft fails the test when a process still runs that was started for the folder. Only Linux can tell.
func NothingLeft(t *testing.T, folder string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	var left []string
	for deadline := time.Now().Add(Patience); ; time.Sleep(100 * time.Millisecond) {
		if left = processes(t, folder); len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still running:\n%s", strings.Join(left, "\n"))
			return
		}
	}
}

func processes(t *testing.T, folder string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	for _, process := range all {
		command, err := os.ReadFile(filepath.Join(process, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		if in, _ := os.Readlink(filepath.Join(process, "cwd")); strings.Contains(string(command), folder) || strings.HasPrefix(in, folder) {
			found = append(found, fmt.Sprintf("%s %s", filepath.Base(process), strings.ReplaceAll(string(command), "\x00", " ")))
		}
	}
	return found
}

// ExitCode of a command that ended by itself.
func ExitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// Folder is a short one: a socket's path has a limit.
func Folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fln")
	must(t, err)
	dir, err = filepath.EvalSymlinks(dir)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what there was is kept in %s", dir)
			return
		}
		must(t, os.RemoveAll(dir))
	})
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
