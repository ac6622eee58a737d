// Package newcomer does what a person does who has just cloned the repository: runs the README's commands, and the ones
// that the demo prints, word for word in a fresh shell.
package newcomer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// person is somebody at a machine with a shell, coreutils and the given programs, and an empty home.
type person struct {
	t   *testing.T
	tmp string // for temporary files
	env []string
}

func newPerson(t *testing.T, programs ...string) person {
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
	return person{t, tmp, []string{"PATH=" + path, "HOME=" + t.TempDir(), "TMPDIR=" + tmp}}
}

// session is a command that runs in a terminal of its own.
type session struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{}
	err  error // after done
}

// Write takes what the command prints.
func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *session) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// opens starts a command in a fresh shell in dir. It is ended with the test.
func (p person) opens(dir, command string) *session {
	p.t.Helper()
	s := &session{t: p.t, cmd: exec.Command("/bin/sh", "-c", command), done: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = dir, p.env, s, s
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.WaitDelay = 10 * time.Second
	must(p.t, s.cmd.Start())
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	p.t.Cleanup(func() {
		s.ctrlC()
		select {
		case <-s.done:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return s
}

// ctrlC does what a terminal does: it signals all of the foreground's process group.
func (s *session) ctrlC() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT) }

// ends waits for the command and returns how it ended.
func (s *session) ends(within time.Duration) error {
	s.t.Helper()
	select {
	case <-s.done:
		return s.err
	case <-time.After(within):
		s.t.Fatalf("%s\nstill runs after %s; it said\n%s", s.cmd.Args[2], within, s.output())
		return nil
	}
}

// says waits until the command has printed text.
func (s *session) says(text string, within time.Duration) {
	s.t.Helper()
	for deadline := time.Now().Add(within); !strings.Contains(s.output(), text); time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.done:
			if !strings.Contains(s.output(), text) {
				s.t.Fatalf("%s\nended (%v) and never said %q, but\n%s", s.cmd.Args[2], s.err, text, s.output())
			}
			return
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s\ndid not say %q within %s, but\n%s", s.cmd.Args[2], text, within, s.output())
		}
	}
}

// runs runs a command in a fresh shell and returns what it printed.
func (p person) runs(dir, command string) (string, error) {
	p.t.Helper()
	s := p.opens(dir, command)
	err := s.ends(10 * time.Minute)
	return s.output(), err
}

// must run: a command that fails ends the test.
func (p person) mustRun(command string) string {
	p.t.Helper()
	out, err := p.runs("/", command)
	if err != nil {
		p.t.Fatalf("%s\n%v:\n%s", command, err, out)
	}
	return out
}

// eventually runs a command until it prints all of the texts, and tells how long that took.
func (p person) eventually(command string, texts ...string) time.Duration {
	p.t.Helper()
	begin := time.Now()
	for {
		out := p.mustRun(command)
		missing := ""
		for _, text := range texts {
			if !strings.Contains(out, text) {
				missing = text
			}
		}
		if missing == "" {
			return time.Since(begin)
		}
		if time.Since(begin) > 90*time.Second {
			p.t.Fatalf("%s\ndoes not print %q but\n%s", command, missing, out)
		}
	}
}

// nothingLeft fails the test when a process still runs that was started for the folder. Only Linux can tell.
func nothingLeft(t *testing.T, folder string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	var left []string
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
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

// exitCode of a command that ended by itself.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// folder is a short one: a socket's path has a limit.
func folder(t *testing.T) string {
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
