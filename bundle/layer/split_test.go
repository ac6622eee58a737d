package layer

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

// fleet is the example: n outputs of 100 objects where one ConfigMap differs.
func fleet(t testing.TB, n int) []Output {
	t.Helper()
	common := configs(t, 99, "shared")
	outputs := make([]Output, n)
	for i := range outputs {
		outputs[i] = Output{slices.Concat(common, []Entry{config(t, "own", fmt.Sprint(i))}), 1}
	}
	return outputs
}

// edit replaces, adds (same name) or removes objects in every output that pick picks.
func edit(outputs []Output, pick func(i int) bool, remove string, put ...Entry) []Output {
	outputs = slices.Clone(outputs)
	for i, o := range outputs {
		if !pick(i) {
			continue
		}
		drop := func(e Entry) bool {
			return e.Key.Name == remove || slices.ContainsFunc(put, func(p Entry) bool { return p.Key == e.Key })
		}
		outputs[i].Entries = append(slices.DeleteFunc(slices.Clone(o.Entries), drop), put...)
	}
	return outputs
}

func everywhere(int) bool { return true }

func only(n int) func(int) bool { return func(i int) bool { return i == n } }

// proved splits, and checks what must hold of every split.
func proved(t testing.TB, previous []Layer, outputs []Output) (shared, own []Layer) {
	t.Helper()
	shared, own = testSecret.Split(previous, outputs)
	if len(shared) > maxShared {
		t.Fatalf("%d shared layers", len(shared))
	}
	if len(own) != len(outputs) {
		t.Fatalf("%d own layers for %d outputs", len(own), len(outputs))
	}
	for i, o := range outputs {
		want := testSecret.Layer(o.Entries).Entries
		got := Stack(append(slices.Clone(shared), own[i])...)
		if !slices.EqualFunc(got, want, func(a, b Entry) bool { return a.Key == b.Key && same(a.Object, b.Object) && a.same(b) }) {
			t.Fatalf("output %d does not come back:\ngot  %v\nwant %v", i, keys(got), keys(want))
		}
	}
	for _, l := range slices.Concat(shared, own) {
		if l.ID == "" && l.Entries == nil {
			continue
		}
		if len(l.Entries) == 0 || l.ID != testSecret.Layer(l.Entries).ID {
			t.Fatalf("layer %s with %d entries cannot be sealed", l.ID, len(l.Entries))
		}
	}
	return shared, own
}

func keys(entries []Entry) (names []string) {
	for _, e := range entries {
		names = append(names, fmt.Sprintf("%s %.6s %v", e.Key, e.Digest, e.Removed))
	}
	return names
}

func ids(layers []Layer) (list []string) {
	for _, l := range layers {
		list = append(list, l.ID)
	}
	return list
}

// What a push makes new, in the numbers: 50 outputs of 100 objects where one ConfigMap differs.
func TestSplitOfOnePush(t *testing.T) {
	before := fleet(t, 50)
	first, firstOwn := proved(t, nil, before)
	if len(first) != 1 || len(first[0].Entries) != 99 {
		t.Fatalf("%d shared layers, the first of %d objects; want 1 of 99", len(first), len(first[0].Entries))
	}
	distinct := map[string]bool{}
	for _, l := range firstOwn {
		if len(l.Entries) != 1 {
			t.Fatalf("an own layer has %d entries; want the one that differs", len(l.Entries))
		}
		distinct[l.ID] = true
	}
	if len(distinct) != 50 {
		t.Fatalf("%d own layers; want 50", len(distinct))
	}

	reversed := slices.Clone(before)
	slices.Reverse(reversed)
	for i := range reversed {
		reversed[i].Entries = slices.Clone(reversed[i].Entries)
		slices.Reverse(reversed[i].Entries)
	}
	for _, row := range []struct {
		name    string
		outputs []Output
		added   []int // entries of each shared layer on top of the first
		changed []int // outputs whose own layer changes
	}{
		{"nothing changed makes nothing new", before, nil, nil},
		{"one shared object changed makes one small layer", edit(before, everywhere, "", config(t, "config-7", "new")), []int{1}, nil},
		{"three shared objects changed make one small layer", edit(before, everywhere, "", configs(t, 3, "new")...), []int{3}, nil},
		{"one object added everywhere makes one small layer", edit(before, everywhere, "", config(t, "added", "x")), []int{1}, nil},
		{"one object removed everywhere makes one whiteout", edit(before, everywhere, "config-7"), []int{1}, nil},
		{"one own object changed changes that layer", edit(before, only(7), "", config(t, "own", "new")), nil, []int{7}},
		{"a shared object changed on one cluster changes its own layer", edit(before, only(7), "", config(t, "config-7", "new")), nil, []int{7}},
		{"a shared object removed on one cluster changes its own layer", edit(before, only(7), "config-7"), nil, []int{7}},
		{"an object added on one cluster changes its own layer", edit(before, only(7), "", config(t, "added", "x")), nil, []int{7}},
	} {
		t.Run(row.name, func(t *testing.T) {
			shared, own := proved(t, first, row.outputs)
			if shared[0].ID != first[0].ID || len(shared) != 1+len(row.added) {
				t.Fatalf("shared layers %v, were %v", ids(shared), ids(first))
			}
			for i, want := range row.added {
				if got := len(shared[1+i].Entries); got != want {
					t.Errorf("the added layer has %d entries, want %d", got, want)
				}
			}
			for i := range own {
				if changes := own[i].ID != firstOwn[i].ID; changes != slices.Contains(row.changed, i) {
					t.Errorf("own layer %d changed: %v", i, changes)
				}
			}
		})
	}
	t.Run("the order of outputs and objects has no part", func(t *testing.T) {
		shared, own := proved(t, nil, reversed)
		slices.Reverse(own)
		if !same(ids(shared), ids(first)) || !same(ids(own), ids(firstOwn)) {
			t.Error("the same outputs in another order are split otherwise")
		}
	})
	t.Run("a push taken back takes its layer with it", func(t *testing.T) {
		pushed, _ := proved(t, first, edit(before, everywhere, "", config(t, "config-7", "new"), config(t, "config-8", "new")))
		if shared, _ := proved(t, pushed, before); !same(ids(shared), ids(first)) {
			t.Errorf("shared layers %v, were %v", ids(shared), ids(first))
		}
	})
	t.Run("the same object changed again replaces the small layer", func(t *testing.T) {
		shared := first
		for i := range 20 {
			shared, _ = proved(t, shared, edit(before, everywhere, "", config(t, "config-7", fmt.Sprint(i))))
			if len(shared) != 2 || shared[0].ID != first[0].ID {
				t.Fatalf("push %d: shared layers %v", i, ids(shared))
			}
		}
	})
	t.Run("when more than half of a layer is dead, the rest moves to the new one", func(t *testing.T) {
		shared, own := proved(t, first, edit(before, everywhere, "", configs(t, 60, "new")...))
		if len(shared) != 1 || len(shared[0].Entries) != 99 || !same(ids(own), ids(firstOwn)) {
			t.Errorf("%d shared layers", len(shared))
		}
	})
	t.Run("a whiteout goes with the layer it was for", func(t *testing.T) {
		removed := edit(before, everywhere, "config-98")
		pushed, _ := proved(t, first, removed)
		shared, _ := proved(t, pushed, edit(removed, everywhere, "", configs(t, 98, "new")...))
		if len(pushed) != 2 || len(shared) != 1 || len(shared[0].Entries) != 98 {
			t.Errorf("%d shared layers, before %d", len(shared), len(pushed))
		}
	})
}

func TestSplitSharesWhatMostClustersShare(t *testing.T) {
	a, b, c := config(t, "a", "1"), config(t, "a", "2"), config(t, "a", "3")
	for _, row := range []struct {
		name     string
		previous []Entry
		outputs  []Output
		want     []Entry
	}{
		{"no output shares nothing", nil, nil, nil},
		{"one output is shared whole", nil, []Output{{[]Entry{a}, 1}}, []Entry{a}},
		{"what half of the clusters want is not shared", nil, []Output{{[]Entry{a}, 5}, {[]Entry{b}, 5}}, nil},
		{"what more than half want is shared", nil, []Output{{[]Entry{a}, 5}, {[]Entry{b}, 4}}, []Entry{a}},
		{"clusters count, not outputs", nil, []Output{{[]Entry{a}, 5}, {[]Entry{b}, 2}, {[]Entry{c}, 2}}, []Entry{a}},
		{"an output without a count is one cluster", nil, []Output{{[]Entry{a}, 0}, {[]Entry{a}, 0}, {[]Entry{b}, 0}}, []Entry{a}},
		{"an object that most have not is not shared", nil, []Output{{[]Entry{a}, 2}, {nil, 3}}, nil},
		{"what is shared stays while a quarter wants it", []Entry{a}, []Output{{[]Entry{a}, 1}, {[]Entry{b}, 3}}, []Entry{a}},
		{"it goes when fewer do", []Entry{a}, []Output{{[]Entry{a}, 1}, {[]Entry{b}, 2}, {[]Entry{c}, 2}}, nil},
		{"and makes room for what most want", []Entry{a}, []Output{{[]Entry{a}, 1}, {[]Entry{b}, 4}}, []Entry{b}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var previous []Layer
			if row.previous != nil {
				previous = []Layer{testSecret.Layer(row.previous)}
			}
			shared, _ := proved(t, previous, row.outputs)
			if got := Stack(shared...); !same(keys(got), keys(row.want)) {
				t.Errorf("shared are %v, want %v", keys(got), keys(row.want))
			}
		})
	}
}

// 200 pushes of any kind to a changing fleet: every output comes back, the layers stay few and their dead weight
// bounded, equal outputs get equal own layers, and neither the order of outputs nor a repetition changes anything.
func TestSplitOverManyPushes(t *testing.T) {
	rng := seeded(t)
	outputs := fleet(t, 12)
	var previous []Layer
	for push := range 200 {
		outputs = randomPush(t, rng, outputs)
		shared, own := proved(t, previous, outputs)
		byContent := map[string]string{}
		for i, o := range outputs {
			content := testSecret.Layer(o.Entries).ID
			if id, ok := byContent[content]; ok && id != own[i].ID {
				t.Fatalf("push %d: equal outputs have different own layers", push)
			}
			byContent[content] = own[i].ID
		}
		if again, _ := proved(t, shared, outputs); !same(ids(again), ids(shared)) {
			t.Fatalf("push %d: split again without a change, %v becomes %v", push, ids(shared), ids(again))
		}
		order := rng.Perm(len(outputs))
		shuffled := make([]Output, len(outputs))
		for to, from := range order {
			shuffled[to] = outputs[from]
		}
		if other, otherOwn := proved(t, previous, shuffled); !same(ids(other), ids(shared)) || otherOwn[0].ID != own[order[0]].ID {
			t.Fatalf("push %d: another order of outputs gives another split", push)
		}
		if held, live := bytesOf(shared...), size(Stack(shared...)); held > 2*live {
			t.Fatalf("push %d: the shared layers hold %d bytes for %d", push, held, live)
		}
		if fresh := newLayers(previous, shared); len(fresh) > 1 {
			t.Fatalf("push %d: %d new shared layers", push, len(fresh))
		}
		previous = shared
	}
}

// randomPush changes, adds and removes some objects on some clusters; sometimes a cluster comes, goes or is like another.
func randomPush(t testing.TB, rng *rand.Rand, outputs []Output) []Output {
	for range rng.Intn(4) {
		pick := everywhere
		switch rng.Intn(3) {
		case 0:
			pick = only(rng.Intn(len(outputs)))
		case 1:
			part := 1 + rng.Intn(4)
			pick = func(i int) bool { return i%part == 0 }
		}
		name := fmt.Sprintf("config-%d", rng.Intn(110))
		if rng.Intn(4) == 0 {
			outputs = edit(outputs, pick, name)
		} else {
			outputs = edit(outputs, pick, "", config(t, name, fmt.Sprint(rng.Intn(3))))
		}
	}
	switch at := rng.Intn(len(outputs)); rng.Intn(8) {
	case 0:
		outputs = append(slices.Clone(outputs), Output{outputs[at].Entries, 1 + rng.Intn(3)})
	case 1:
		if len(outputs) > 4 {
			outputs = slices.Delete(slices.Clone(outputs), at, at+1)
		}
	case 2:
		outputs = edit(outputs, everywhere, "", configs(t, 60, fmt.Sprint(rng.Intn(1000)))...)
	}
	return outputs
}

func newLayers(before, after []Layer) (fresh []Layer) {
	for _, l := range after {
		if !slices.Contains(ids(before), l.ID) {
			fresh = append(fresh, l)
		}
	}
	return fresh
}

func bytesOf(layers ...Layer) (n int) {
	for _, l := range layers {
		n += size(l.Entries)
	}
	return n
}

// One of 1,000 objects changes with each push, another each time: what clusters fetch stays in proportion.
func TestSplitMovesLittle(t *testing.T) {
	objects := configs(t, 1000, "old")
	shared, _ := proved(t, nil, []Output{{objects, 1}})
	whole, moved := bytesOf(shared...), 0
	const pushes = 400
	for i := range pushes {
		objects = slices.Clone(objects)
		objects[i] = config(t, objects[i].Key.Name, "new")
		next, _ := proved(t, shared, []Output{{objects, 1}})
		moved += bytesOf(newLayers(shared, next)...)
		shared = next
	}
	if each := whole / 1000; moved > 6*pushes*each {
		t.Errorf("%d pushes of one object of about %d bytes moved %d bytes: %.1f objects each", pushes, each, moved, float64(moved)/float64(pushes*each))
	} else {
		t.Logf("%d pushes moved %.1f objects each", pushes, float64(moved)/float64(pushes*each))
	}
}

// A hub before this one may have left more layers, or layers that say the same twice; a bundle may come back.
func TestSplitTakesAnyPrevious(t *testing.T) {
	rng := seeded(t)
	for range 300 {
		var previous []Layer
		for range rng.Intn(14) {
			var entries []Entry
			for range rng.Intn(6) {
				e := config(t, fmt.Sprintf("config-%d", rng.Intn(8)), fmt.Sprint(rng.Intn(2)))
				if rng.Intn(3) == 0 {
					e = whiteout(e.Key)
				}
				entries = append(entries, e)
			}
			previous = append(previous, testSecret.Layer(entries))
		}
		outputs := make([]Output, 1+rng.Intn(5))
		for i := range outputs {
			outputs[i].Clusters = rng.Intn(4)
			for range rng.Intn(8) {
				outputs[i].Entries = append(outputs[i].Entries, config(t, fmt.Sprintf("config-%d", rng.Intn(8)), fmt.Sprint(rng.Intn(2))))
			}
		}
		wasPrevious, wasOutputs := slices.Clone(previous), slices.Clone(outputs)
		for i, o := range outputs {
			wasOutputs[i].Entries = slices.Clone(o.Entries)
		}
		proved(t, previous, outputs)
		if !same(previous, wasPrevious) || !same(outputs, wasOutputs) {
			t.Fatal("Split changed its arguments")
		}
	}
}
