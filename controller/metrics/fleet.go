// Package metrics shows the fleet to Prometheus under Fleet's names and labels, its different spellings included, so that
// dashboards and alerts go on working.
//
// Nothing is kept: each scrape reads the objects in the controller's cache and writes their series as it goes. So what is
// gone is gone from the next scrape on, no series is left behind when a label changes, and the scrape of a large fleet
// takes no memory to speak of. Only the replica that works shows the fleet, or sums over replicas would count it twice.
package metrics

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	prefix = "fleet_"
	// patience bounds how long a scrape waits for a cache that was just started.
	patience = 5 * time.Second
)

// Fleet shows the fleet's objects.
type Fleet struct {
	// Cache holds the objects.
	Cache client.Reader
	// Elected is closed once this replica works.
	Elected <-chan struct{}
}

// Behind shows the fleet behind what the program says of itself: it is a filter of the manager's metrics server.
func (f *Fleet) Behind(_ logr.Logger, program http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		zip := strings.Contains(req.Header.Get("Accept-Encoding"), "gzip")
		plain := req.Clone(req.Context())
		plain.Header = http.Header{} // the text format, not compressed: every Prometheus reads it, and more can follow
		body := &answer{ResponseWriter: w, body: w}
		packed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is a good one
		if zip {
			w.Header().Set("Content-Encoding", "gzip")
			body.body = packed
		}
		program.ServeHTTP(body, plain)
		if body.failed {
			return
		}
		out := bufio.NewWriterSize(body, 64<<10)
		f.write(req.Context(), out)
		_ = out.Flush() // an error means that whoever scraped has gone
		if zip {
			_ = packed.Close()
		}
	}), nil
}

// answer is a response whose body goes elsewhere.
type answer struct {
	http.ResponseWriter
	body   io.Writer
	failed bool
}

func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *answer) WriteHeader(code int) {
	if a.failed = code != http.StatusOK; a.failed {
		a.body = a.ResponseWriter // http.Error drops the header that told how the body is packed
	}
	a.ResponseWriter.WriteHeader(code)
}

// write writes all series.
func (f *Fleet) write(ctx context.Context, out *bufio.Writer) {
	select {
	case <-f.Elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, k := range kinds {
		k.write(ctx, f.Cache, out)
	}
}

// kind is what is shown of one kind of objects.
type kind interface {
	write(context.Context, client.Reader, *bufio.Writer)
}

// gauge is one number of an object. Its name stands behind "fleet_" and the kind's.
type gauge[T any] struct {
	name, help string
	value      func(*T) int
}

// family is all that is shown of the objects T.
type family[T any] struct {
	name   string
	labels []string // where states are shown, the last one is "state"
	gauges []gauge[T]
	states []string // one series each, of which the object's has the value 1; none for a kind without
	list   func(context.Context, client.Reader) ([]T, error)
	of     func(*T) (labels []string, state string)
}

const stateHelp = "1 for the state that the object is in, 0 for all others."

func (f family[T]) write(ctx context.Context, cache client.Reader, out *bufio.Writer) {
	items, err := f.list(ctx, cache)
	if err != nil {
		return // the cache is ending, and this program with it
	}
	var line []byte
	for _, g := range f.gauges {
		name := head(out, f.name+"_"+g.name, g.help)
		for i := range items {
			labels, _ := f.of(&items[i])
			line = append(line[:0], name...)
			for n, label := range f.labels {
				line = appendLabel(line, n, label, labels[n])
			}
			line = append(line, "} "...)
			line = append(strconv.AppendInt(line, int64(g.value(&items[i])), 10), '\n')
			_, _ = out.Write(line)
		}
	}
	if len(f.states) == 0 {
		return
	}
	name, last := head(out, f.name+"_state", stateHelp), len(f.labels)-1
	for i := range items {
		labels, state := f.of(&items[i])
		line = append(line[:0], name...)
		for n, label := range f.labels[:last] {
			line = appendLabel(line, n, label, labels[n])
		}
		same := len(line)
		for _, s := range f.states {
			value := "} 0\n"
			if s == state {
				value = "} 1\n"
			}
			line = append(appendLabel(line[:same], last, f.labels[last], s), value...)
			_, _ = out.Write(line)
		}
	}
}

// head begins a metric, and returns how each of its lines begins.
func head(out *bufio.Writer, name, help string) string {
	name = prefix + name
	_, _ = out.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " gauge\n")
	return name + "{"
}

// escaped are the characters of a label's value that Prometheus' text writes in another way.
var escaped = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func appendLabel(line []byte, n int, label, value string) []byte {
	if n > 0 {
		line = append(line, ',')
	}
	line = append(append(line, label...), `="`...)
	if strings.ContainsAny(value, "\\\n\"") {
		value = escaped.Replace(value)
	}
	return append(append(line, value...), '"')
}

// orReady is a state as it is shown; Fleet leaves that of what is ready empty.
func orReady(state string) string {
	if state == "" {
		return string(fleet.Ready)
	}
	return state
}
