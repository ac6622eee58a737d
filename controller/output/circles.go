package output

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/rollout"
)

// node is a bundle on a cluster ("namespace/name"; "" for any) that waits, or is waited for.
type node struct {
	bundle  client.ObjectKey
	cluster string
}

func (n node) String() string {
	if n.cluster == "" {
		return n.bundle.Name
	}
	return n.bundle.Name + " on " + n.cluster
}

func (n node) compare(m node) int {
	return cmp.Or(strings.Compare(n.bundle.String(), m.bundle.String()), strings.Compare(n.cluster, m.cluster))
}

// circles remembers who waits for whom, as the last walks found it. Bundles that take from each other are no circle as long as they
// do so on different clusters.
type circles struct {
	mu    sync.Mutex
	waits map[node][]node
}

// forget drops what a bundle waited for.
func (c *circles) forget(bundle client.ObjectKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.waits {
		if n.bundle == bundle {
			delete(c.waits, n)
		}
	}
}

func (c *circles) add(n node, from []node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits == nil {
		c.waits = map[node][]node{}
	}
	c.waits[n] = append(c.waits[n], from...)
}

// next are those that a node waits for and that wait themselves, sorted.
func (c *circles) next(n node) []node {
	var out []node
	for waiting := range c.waits {
		for _, from := range c.waits[n] {
			if from == waiting || from.cluster == "" && from.bundle == waiting.bundle {
				out = append(out, waiting)
			}
		}
	}
	slices.SortFunc(out, node.compare)
	return slices.Compact(out)
}

// way finds a way from a node back to itself, as "a on x → b on y → a on x"; "" when there is none.
func (c *circles) way(start node) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return rollout.Cycle(start, c.next)
}

// Awaits notes that a bundle waits on a cluster for other bundles to be deployed there, and says in which circle that is, as far as it is
// known by now; "" for none.
func (g *Giver) Awaits(b *fleet.Bundle, c *fleet.Cluster, others []client.ObjectKey) string {
	self := node{client.ObjectKeyFromObject(b), nameOf(c)}
	var from []node
	for _, o := range others {
		from = append(from, node{o, self.cluster})
	}
	g.circles.add(self, from)
	return g.circles.way(self)
}

// Circle says in which circle a bundle waits on a cluster, as far as it is known by now; "" for none.
func (in *Inputs) Circle(c *fleet.Cluster) string {
	if in == nil {
		return ""
	}
	return in.circles.way(in.node(c))
}

func (in *Inputs) node(c *fleet.Cluster) node {
	return node{client.ObjectKeyFromObject(in.bundle), nameOf(c)}
}
