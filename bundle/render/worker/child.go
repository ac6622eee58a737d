package worker

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"flotilla.io/flotilla/bundle/render"
)

// child is a process that renders. It is used by one goroutine at a time.
type child struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *bufio.Reader
	stderr *head
	exited chan struct{}
	retire *time.Timer // ends it when it was idle for long
}

func start(o Options) (*child, error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting a render worker: %w", err)
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting a render worker: %w", err)
	}
	c := &child{cmd: exec.Command(o.Exe, o.Args...), in: in, out: bufio.NewReader(out), stderr: &head{}, exited: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = childIn, childOut, c.stderr
	c.cmd.Env = []string{} // none of ours: secrets stand in environments
	c.cmd.Dir = "/"
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is for the parent
	err = c.cmd.Start()
	_ = childIn.Close()
	_ = childOut.Close()
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, fmt.Errorf("starting a render worker: %w", err)
	}
	go func() {
		_ = c.cmd.Wait()
		_ = out.Close()
		close(c.exited)
	}()
	if err := writeFrame(in, limits{o.Memory}); err != nil {
		c.end()
		return nil, fmt.Errorf("starting a render worker: %w", err)
	}
	return c, nil
}

func (c *child) alive() bool {
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// end kills the process and waits for it.
func (c *child) end() {
	_ = c.cmd.Process.Kill()
	_ = c.in.Close()
	<-c.exited
}

// ask sends a framed request, answers what the child asks back, and returns its response. The process is killed when ctx
// ends first. After an error it is of no use.
func (c *child) ask(ctx context.Context, framed []byte, lookup lookupFunc) (*response, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	if _, err := c.in.Write(framed); err != nil {
		return nil, err
	}
	for {
		var answer response
		if err := readFrame(c.out, &answer); err != nil {
			return nil, err
		}
		switch {
		case answer.Lookup != nil && lookup != nil:
			if err := writeFrame(c.in, look(lookup, *answer.Lookup)); err != nil {
				return nil, err
			}
		case answer.Output == nil && answer.Error == nil && answer.Filled == nil:
			return nil, errors.New("the program is no render worker")
		default:
			return &answer, nil
		}
	}
}

type lookupFunc = func(render.Lookup) (map[string]any, error)

func look(lookup lookupFunc, what render.Lookup) lookedUp {
	object, err := lookup(what)
	data, unfit := json.Marshal(object)
	if err := cmp.Or(err, unfit); err != nil {
		return lookedUp{Error: err.Error()}
	}
	return lookedUp{Object: data}
}

// diagnose tells why the process ended in the middle of a rendering.
func (c *child) diagnose(bundle string, o Options) error {
	text := c.stderr.String()
	for _, sign := range []string{"out of memory", "cannot allocate memory", "cannot map pages"} {
		if strings.Contains(text, sign) {
			return &render.Error{Reason: render.ReasonMemoryLimit, Where: bundle, Message: fmt.Sprintf(
				"rendering needs more than %d MiB; a template builds too much, or the bundle should be split", o.Memory>>20)}
		}
	}
	why := c.cmd.ProcessState.String()
	for line := range strings.Lines(text) {
		if fatal, ok := strings.CutPrefix(line, "fatal error: "); ok { // any other line may hold what is rendered
			why = strings.TrimSpace(fatal)
			break
		}
	}
	return &render.Error{Reason: render.ReasonCrashed, Where: bundle, Message: fmt.Sprintf("the process that rendered it ended: %s", cmp.Or(why, "for no known reason"))}
}

// head keeps the beginning of what is written to it.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	const limit = 4 << 10
	_, err := h.Buffer.Write(p[:min(len(p), limit-min(h.Len(), limit))])
	return len(p), err
}

var _ io.Writer = (*head)(nil)
