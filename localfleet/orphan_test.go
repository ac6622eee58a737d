package localfleet

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// beCaller starts a fleet, pauses a part, prints its processes, and waits for the end.
func beCaller(dir string) error {
	fleet, err := New(Options{Dir: dir, Binary: binary})
	if err != nil {
		return err
	}
	c, err := fleet.Start(context.Background(), "edge", ClusterOptions{Nodes: 1})
	if err != nil {
		return err
	}
	if err := c.Pause(KubeScheduler); err != nil {
		return err
	}
	for _, part := range c.Parts() {
		_, pid := c.State(part)
		fmt.Println(pid)
	}
	fmt.Println("started")
	select {}
}

// A caller that is killed, with one part running and one paused, leaves nothing behind.
func TestKilledCallerLeavesNothing(t *testing.T) {
	caller := exec.Command(os.Args[0])
	caller.Env = append(os.Environ(), callerEnv+"="+t.TempDir(), BinaryEnv+"="+binary)
	caller.Stderr = os.Stderr
	out, err := caller.StdoutPipe()
	must(t, err)
	must(t, caller.Start())
	t.Cleanup(func() {
		_ = caller.Process.Kill() // it is dead already when the test went well
		_ = caller.Wait()
	})
	var processes []int
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "started"; {
		pid, err := strconv.Atoi(lines.Text())
		must(t, err)
		processes = append(processes, pid)
	}
	if len(processes) != len(order) {
		t.Fatalf("the caller started %d processes, want %d", len(processes), len(order))
	}
	for _, pid := range processes {
		if syscall.Kill(pid, 0) != nil {
			t.Fatalf("process %d is not there to begin with", pid)
		}
	}
	must(t, caller.Process.Signal(syscall.SIGKILL))
	eventually(t, "all parts are gone", func() bool { return gone(processes) })
}

// The lifeline alone, without the kernel's help, ends a part: that is all there is on other systems than Linux.
func TestBrokenLifelineEndsAPart(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	cmd := exec.Command(binary, "etcd", "--data-dir="+t.TempDir(), "--listen-client-urls=unix://localhost:0",
		"--advertise-client-urls=unix://localhost:0", "--listen-peer-urls=http://127.0.0.1:0")
	cmd.Dir, cmd.ExtraFiles = t.TempDir(), []*os.File{r}
	cmd.Env = []string{LifelineEnv + "=3"}
	var log strings.Builder
	cmd.Stderr = &log
	must(t, cmd.Start())
	must(t, r.Close())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		t.Fatalf("etcd ended before its lifeline broke: %v\n%s", err, log.String())
	default:
	}
	must(t, w.Close())
	eventually(t, "etcd ends", func() bool {
		select {
		case err := <-done:
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			return ok && status.Signal() == syscall.SIGKILL && err != nil
		default:
			return false
		}
	})
}
