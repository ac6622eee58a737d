package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// Serve is the main loop of a child: it answers on standard output what it is asked on standard input, one after the other,
// until that ends with its parent.
func Serve() error {
	answers := os.Stdout
	os.Stdout = os.Stderr // what a library prints must not stand among the answers
	fence()
	return serve(bufio.NewReader(os.Stdin), answers)
}

func serve(in io.Reader, out io.Writer) error {
	var l limits
	if err := readFrame(in, &l); err != nil {
		return fmt.Errorf("reading the limits: %w", err)
	}
	if err := l.apply(); err != nil {
		return err
	}
	for {
		var ask request
		if err := readFrame(in, &ask); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := writeFrame(out, ask.answer(in, out)); err != nil {
			return err
		}
	}
}

func (r request) answer(in io.Reader, out io.Writer) response {
	if r.Fill != nil {
		return response{Filled: target.Fill(context.Background(), *r.Fill)}
	}
	output, err := r.render(in, out)
	return response{Output: output, Error: toWire(err)}
}

func (r request) render(in io.Reader, out io.Writer) (*render.Output, error) {
	if !r.OnCluster {
		return render.Render(context.Background(), r.Input, r.Capabilities)
	}
	return render.RenderOn(context.Background(), r.Input, render.Cluster{
		Capabilities: *r.Capabilities, Kept: r.Kept,
		Lookup: func(what render.Lookup) (map[string]any, error) {
			if err := writeFrame(out, response{Lookup: &what}); err != nil {
				return nil, err
			}
			var found lookedUp
			if err := readFrame(in, &found); err != nil {
				return nil, err
			}
			if found.Error != "" {
				return nil, errors.New(found.Error)
			}
			var object map[string]any
			return object, utiljson.Unmarshal(found.Object, &object) // whole numbers stay whole
		},
	})
}

// fence takes from this process what a rendering has no use for. Package render uses none of it; this holds if a library
// should one day.
func fence() {
	os.Clearenv()
	log.SetOutput(io.Discard) // Helm logs values
	time.Local = time.UTC     // templates format times
	runtime.GOMAXPROCS(1)     // a hostile template gets one core
	http.DefaultTransport = noNetwork{}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errNoNetwork
	}}
}

var errNoNetwork = errors.New("a rendering has no network")

type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoNetwork }

// apply makes the kernel refuse more memory than allowed on top of what the process has now. The runtime then ends it with
// a message that the parent knows. Short of that the collector works harder.
func (l limits) apply() error {
	debug.SetMemoryLimit(l.Memory * 3 / 4)
	debug.SetMaxStack(int(l.Memory / 4))
	now, err := dataSize()
	if err != nil {
		return err
	}
	most := uint64(now + l.Memory)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("limiting memory to %d bytes: %w", most, err)
	}
	return nil
}

// dataSize is what RLIMIT_DATA counts of this process, in bytes.
func dataSize() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading the size of this process: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "VmData: %d kB", &kilobytes); err == nil {
			return kilobytes << 10, nil
		}
	}
	return 0, errors.New("reading the size of this process: no VmData in /proc/self/status")
}
