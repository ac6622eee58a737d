package localfleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// LifelineEnv names the environment variable that tells a part which file descriptor is its lifeline: a pipe whose other
// end the launcher holds as long as it lives. A part ends itself when the lifeline breaks.
const LifelineEnv = "LOCALFLEET_LIFELINE"

// lifelineFD is the lifeline's number in a part: the first one after the standard three.
const lifelineFD = 3

// lifeline is the process's one lifeline pipe. Both ends stay open until the process ends and the kernel closes them.
var lifeline = sync.OnceValues(func() (ends [2]*os.File, err error) {
	ends[0], ends[1], err = os.Pipe()
	return ends, err
})

// starter runs functions on one OS thread that lives as long as the process.
//
// A part asks the kernel to be killed when its parent goes, because a paused part cannot notice a broken lifeline. But the
// kernel watches the parent's thread, not the process, and Go ends threads as it likes unless a goroutine is locked to one.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// process is one running program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended and err is set
	err  error         // what Wait said
}

// startProcess runs the localfleet program with args in dir, its output appended to the file log.
func startProcess(binary string, args []string, dir, log string) (*process, error) {
	ends, err := lifeline()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = dir, environment(dir)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{ends[0]}
	cmd.SysProcAttr = processAttributes()
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// environment is what a part sees of ours: nothing that configures etcd, kwok or a client behind our back.
func environment(home string) []string {
	env := []string{"HOME=" + home, fmt.Sprintf("%s=%d", LifelineEnv, lifelineFD)}
	for _, name := range []string{"PATH", "TMPDIR", "TZ", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// pid is the program's process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// ended tells whether the program has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends sig; a program that has ended is no error.
func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// stop asks the program to end and kills it when it has not done so within grace; with no grace it is killed at once. A
// paused program is woken to hear the question.
func (p *process) stop(grace time.Duration) error {
	if grace > 0 {
		if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(grace):
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// tail is the end of a log file, for error messages: at most 15 lines of the last 4 KiB, "" when it cannot be read.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, 4096)
	if info, err := f.Stat(); err == nil && info.Size() > int64(len(buf)) {
		_, _ = f.Seek(-int64(len(buf)), 2) // a file that cannot be sought is read from its start
	}
	n, _ := f.Read(buf)
	lines := strings.Split(strings.TrimSpace(string(buf[:n])), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
