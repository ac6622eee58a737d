// Package metrics shows the fleet to Prometheus under Fleet's names and labels, its different spellings included, so that
// dashboards and alerts go on working.
//
// Nothing is kept: each scrape reads the objects in the controller's cache. So what is gone is gone from the next scrape
// on, and no series is left behind when a label changes. Only the replica that works shows the fleet, or sums over
// replicas would count it twice.
package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	prefix = "fleet_"
	// patience bounds how long a scrape waits for a cache that was just started.
	patience = 5 * time.Second
)

// Collector is a prometheus.Collector of the fleet's objects.
type Collector struct {
	// Cache holds the objects.
	Cache client.Reader
	// Elected is closed once this replica works.
	Elected <-chan struct{}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, k := range kinds {
		k.describe(out)
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	select {
	case <-c.Elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, k := range kinds {
		k.collect(ctx, c.Cache, out)
	}
}

// kind is what is shown of one kind of objects.
type kind interface {
	describe(chan<- *prometheus.Desc)
	collect(context.Context, client.Reader, chan<- prometheus.Metric)
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

	descs []*prometheus.Desc // of the gauges, and then of the state
}

const stateHelp = "1 for the state that the object is in, 0 for all others."

// described makes the descriptions, once.
func (f family[T]) described() *family[T] {
	for _, g := range f.gauges {
		f.descs = append(f.descs, prometheus.NewDesc(prefix+f.name+"_"+g.name, g.help, f.labels, nil))
	}
	if len(f.states) > 0 {
		f.descs = append(f.descs, prometheus.NewDesc(prefix+f.name+"_state", stateHelp, f.labels, nil))
	}
	return &f
}

func (f *family[T]) describe(out chan<- *prometheus.Desc) {
	for _, d := range f.descs {
		out <- d
	}
}

func (f *family[T]) collect(ctx context.Context, cache client.Reader, out chan<- prometheus.Metric) {
	items, err := f.list(ctx, cache)
	if err != nil {
		return // the cache is ending, and this program with it
	}
	for i := range items {
		labels, state := f.of(&items[i])
		for n, g := range f.gauges {
			out <- prometheus.MustNewConstMetric(f.descs[n], prometheus.GaugeValue, float64(g.value(&items[i])), labels...)
		}
		for _, s := range f.states {
			is := 0.0
			if s == state {
				is = 1
			}
			labels[len(labels)-1] = s
			out <- prometheus.MustNewConstMetric(f.descs[len(f.gauges)], prometheus.GaugeValue, is, labels...)
		}
	}
}

// orReady is a state as it is shown; Fleet leaves that of what is ready empty.
func orReady(state string) string {
	if state == "" {
		return string(fleet.Ready)
	}
	return state
}
