package plan

import (
	"maps"
	"slices"
	"sync"

	"flotilla.io/flotilla/bundle/layer"
)

// Claims knows which BundleDeployment of this agent wants which objects, and which one has them. It is what keeps two of
// them from fighting over an object and a moved object from being deleted on its way. Its methods may be called at the
// same time. The zero value is empty.
type Claims struct {
	mu     sync.Mutex
	holder map[layer.Key]string
	wants  map[string]map[layer.Key]bool // nil for a BundleDeployment whose layers were not opened yet
}

// Announce says that a BundleDeployment exists, before it is known what it wants.
func (c *Claims) Announce(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.wants[name]; !known {
		c.init()
		c.wants[name] = nil
	}
}

func (c *Claims) init() {
	if c.wants == nil {
		c.wants = map[string]map[layer.Key]bool{}
		c.holder = map[layer.Key]string{}
	}
}

// Want replaces what a BundleDeployment wants. It returns those others that the change may matter to, sorted: they have,
// or wait for, an object that came or went.
func (c *Claims) Want(name string, wanted []Wanted) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init()
	before := c.wants[name]
	now := make(map[layer.Key]bool, len(wanted))
	for _, w := range wanted {
		now[w.Key] = true
	}
	c.wants[name] = now
	touched := map[string]bool{}
	for key := range now {
		if !before[key] {
			c.touch(key, name, touched)
		}
	}
	for key := range before {
		if !now[key] {
			c.touch(key, name, touched)
		}
	}
	return slices.Sorted(maps.Keys(touched))
}

func (c *Claims) touch(key layer.Key, self string, touched map[string]bool) {
	if h := c.holder[key]; h != "" && h != self {
		touched[h] = true
	}
	for name, keys := range c.wants {
		if name != self && keys[key] {
			touched[name] = true
		}
	}
}

// Hold says that a BundleDeployment has an object already: it is in its inventory. The first to say so has it.
func (c *Claims) Hold(name string, key layer.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init()
	if c.holder[key] == "" {
		c.holder[key] = name
	}
}

// Take makes a BundleDeployment the one that has an object. It fails, and names the other, if another one has it and
// still wants it; so of two that want the same object at the same moment one gets it.
func (c *Claims) Take(name string, key layer.Key) (other string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.init()
	if other := c.blocks(key, name); other != "" {
		return other, false
	}
	c.holder[key] = name
	return "", true
}

// Release says that a BundleDeployment has an object no more. It returns those that wait for it, sorted.
func (c *Claims) Release(name string, key layer.Key) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holder[key] == name {
		delete(c.holder, key)
	}
	return c.others(key, name)
}

// Forget drops a BundleDeployment and all it has.
func (c *Claims) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.wants, name)
	maps.DeleteFunc(c.holder, func(_ layer.Key, holder string) bool { return holder == name })
}

// Blocks names the other BundleDeployment that has the object and still wants it, or whose wishes are not known yet; ""
// if there is none.
func (c *Claims) Blocks(key layer.Key, self string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks(key, self)
}

func (c *Claims) blocks(key layer.Key, self string) string {
	holder := c.holder[key]
	if holder == "" || holder == self {
		return ""
	}
	keys, known := c.wants[holder]
	if known && (keys == nil || keys[key]) {
		return holder
	}
	return ""
}

// Others lists the other BundleDeployments that want an object, sorted.
func (c *Claims) Others(key layer.Key, self string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.others(key, self)
}

func (c *Claims) others(key layer.Key, self string) []string {
	var others []string
	for name, keys := range c.wants {
		if name != self && keys[key] {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return others
}

// In names another BundleDeployment that wants an object in a namespace, "" if there is none.
func (c *Claims) In(namespace, self string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.wants)) {
		for key := range c.wants[name] {
			if name != self && key.Namespace == namespace {
				return name
			}
		}
	}
	return ""
}

// Contested lists the objects that a BundleDeployment has and that others want too, with their names, sorted by key.
func (c *Claims) Contested(self string) []Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	var steps []Step
	for key := range c.wants[self] {
		if c.holder[key] != self {
			continue
		}
		if others := c.others(key, self); len(others) > 0 {
			steps = append(steps, Step{key, Refuse, others[0]})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return a.Key.Compare(b.Key) })
	return steps
}

// Holder names the BundleDeployment that has an object, "" if none has.
func (c *Claims) Holder(key layer.Key) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holder[key]
}

// Unopened lists the BundleDeployments of which nobody knows yet what they want, sorted. As long as there is one, no
// object may be pruned: it might be on its way there.
func (c *Claims) Unopened() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name, keys := range c.wants {
		if keys == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
