package bundle

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/controller/content"
)

func TestCopiesAreCounted(t *testing.T) {
	copied := func(name, digest string) layer.Entry {
		return layer.Entry{Key: layer.Key{Kind: "Secret", Name: name}, Digest: digest}
	}
	order := func(id string, generation int64) *fleet.BundleDeployment {
		bd := &fleet.BundleDeployment{}
		bd.Spec.DeploymentID, bd.Spec.DownstreamResourcesGeneration = id, generation
		return bd
	}
	for _, row := range []struct {
		rule string
		p    place
		want int64
	}{
		{"a bundle without copies counts none", place{}, 0},
		{"the first copies count once", place{copies: []layer.Entry{copied("a", "1"), copied("b", "1")}}, 1},
		{"the same order counts nothing", place{copies: []layer.Entry{copied("a", "1")}, have: order("new", 3)}, 3},
		{"an order whose copies were not there before counts", place{copies: []layer.Entry{copied("a", "1")}, have: order("old", 3)}, 4},
		{"an order that drops them counts nothing", place{have: order("old", 3)}, 3},
	} {
		t.Run(row.rule, func(t *testing.T) {
			r := &Reconciler{Store: content.NewStore(nil, nil, layer.NewHubSecret())}
			if got, err := r.copied(t.Context(), &row.p, order("new", 0)); err != nil || got != row.want {
				t.Errorf("%d, %v, want %d", got, err, row.want)
			}
		})
	}
	for _, row := range []struct {
		rule   string
		before []layer.Entry
		want   bool
	}{
		{"a copy that is as it was is not new", []layer.Entry{copied("a", "1"), copied("b", "1")}, false},
		{"one with other data is", []layer.Entry{copied("a", "0")}, true},
		{"one of another name is", []layer.Entry{copied("b", "1")}, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := anyNew([]layer.Entry{copied("a", "1")}, row.before); got != row.want {
				t.Errorf("new: %v", got)
			}
		})
	}
}
