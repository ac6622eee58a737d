package layer

import "slices"

// Output is one rendering of a bundle, and how many clusters it goes to.
type Output struct {
	Entries  []Entry
	Clusters int // less than 1 counts as 1
}

// maxShared bounds the requests of a cluster that fetches a bundle anew.
const maxShared = 8

// Split cuts outputs into shared layers, in order, for all of them, and one own layer for each: Stack(shared..., own[i])
// is exactly what outputs[i] holds. own[i] has neither ID nor Entries where the shared layers are all.
//
// previous are the shared layers of the bundle's last Split, nil at first. They are kept, with their IDs, so that
// clusters fetch only what is new: an object changed on all clusters makes one more shared layer with that object and
// changes no own layer. Nothing but the objects, the weights and previous decide; the order of outputs has no part.
//
// An object becomes shared when more than half of the clusters want it so, and stays shared until less than a quarter
// does: clusters that come and go do not move it to and fro.
func (s HubSecret) Split(previous []Layer, outputs []Output) (shared []Layer, own []Layer) {
	if len(outputs) == 0 {
		return nil, nil
	}
	outputs = slices.Clone(outputs)
	for i := range outputs {
		outputs[i].Entries = sorted(outputs[i].Entries)
		outputs[i].Clusters = max(1, outputs[i].Clusters)
	}
	ids := s.identifier()
	base := agree(Stack(previous...), outputs)
	shared = ids.extend(previous, base)
	own = make([]Layer, len(outputs))
	for i, o := range outputs {
		if change := between(base, o.Entries); len(change) > 0 {
			own[i] = ids.layer(change)
		}
	}
	return shared, own
}

// agree is what the shared layers are to say together: of each object the content that stays or becomes shared.
func agree(before []Entry, outputs []Output) []Entry {
	total := 0
	votes := map[Key]map[string]*vote{} // by digest
	for _, o := range outputs {
		total += o.Clusters
		for _, e := range o.Entries {
			if votes[e.Key] == nil {
				votes[e.Key] = map[string]*vote{}
			}
			v := votes[e.Key][e.Digest]
			if v == nil {
				v = &vote{entry: e}
				votes[e.Key][e.Digest] = v
			}
			v.clusters += o.Clusters
		}
	}
	var base []Entry
	for _, e := range before {
		if v := votes[e.Key][e.Digest]; v != nil && 4*v.clusters >= total {
			base = append(base, e)
			delete(votes, e.Key)
		}
	}
	for _, contents := range votes {
		for _, v := range contents {
			if 2*v.clusters > total {
				base = append(base, v.entry)
			}
		}
	}
	return sorted(base)
}

// vote is how many clusters want an object to be so.
type vote struct {
	entry    Entry
	clusters int
}

// between is what has to be laid over from to get to; both are sorted and hold no whiteout in to.
func between(from, to []Entry) []Entry {
	var change []Entry
	for len(from) > 0 || len(to) > 0 {
		order := -1
		switch {
		case len(from) == 0:
			order = 1
		case len(to) > 0:
			order = from[0].Key.Compare(to[0].Key)
		}
		switch {
		case order < 0:
			change = append(change, whiteout(from[0].Key))
			from = from[1:]
		case order > 0:
			change = append(change, to[0])
			to = to[1:]
		default:
			if !from[0].same(to[0]) {
				change = append(change, to[0])
			}
			from, to = from[1:], to[1:]
		}
	}
	return change
}

// extend keeps the previous layers that are worth it and lays one over them, so that together they say base. When they
// are too many, the new layer takes up the smallest, and then each that is not larger than itself: so sizes stay far
// apart, and what a push moves stays in proportion to what it changes.
func (d *identifier) extend(previous []Layer, base []Entry) []Layer {
	kept := worthy(previous, base)
	top := between(Stack(kept...), base)
	for tooMany(kept, top) {
		kept, top = takeUp(kept, smallest(kept), base)
		for i := smallest(kept); i >= 0 && size(kept[i].Entries) <= size(top); i = smallest(kept) {
			kept, top = takeUp(kept, i, base)
		}
	}
	if len(top) == 0 {
		return kept
	}
	return append(kept, d.layer(top))
}

func tooMany(kept []Layer, top []Entry) bool {
	return len(kept) > maxShared || len(kept) == maxShared && len(top) > 0
}

// takeUp leaves out kept[i]; what of it is still wanted goes to the top.
func takeUp(kept []Layer, i int, base []Entry) ([]Layer, []Entry) {
	kept = slices.Delete(kept, i, i+1)
	return kept, between(Stack(kept...), base)
}

// worthy is a new slice of those layers of which at least half, in bytes, says what base says. Counted in bytes, because
// then cutting anew never moves more than what was changed since.
func worthy(previous []Layer, base []Entry) []Layer {
	wanted := make(map[Key]Entry, len(base))
	for _, e := range base {
		wanted[e.Key] = e
	}
	var kept []Layer
	held := map[Key]bool{} // by the layers kept so far
	for _, l := range previous {
		live := 0
		for _, e := range l.Entries {
			want, ok := wanted[e.Key]
			if e.Removed && !ok && held[e.Key] || !e.Removed && ok && e.same(want) {
				live += e.size()
			}
		}
		if 2*live < size(l.Entries) || live == 0 {
			continue
		}
		for _, e := range l.Entries {
			held[e.Key] = !e.Removed
		}
		kept = append(kept, l)
	}
	return kept
}

func size(entries []Entry) int {
	n := 0
	for _, e := range entries {
		n += e.size()
	}
	return n
}

// smallest is the index of the smallest layer, the uppermost of equals; -1 when there is none.
func smallest(layers []Layer) int {
	least := -1
	for i, l := range layers {
		if least < 0 || size(l.Entries) <= size(layers[least].Entries) {
			least = i
		}
	}
	return least
}
