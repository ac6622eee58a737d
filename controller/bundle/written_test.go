package bundle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestAWalkWaitsUntilTheCacheShowsWhatWasWritten(t *testing.T) {
	bundle := client.ObjectKey{Namespace: "ws", Name: "web"}
	bd := func(namespace, version string) fleet.BundleDeployment {
		return fleet.BundleDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", UID: "one", ResourceVersion: version}}
	}
	other, going := bd("a", "10"), bd("a", "10")
	other.UID = "another"
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	for _, row := range []struct {
		rule  string
		wrote []fleet.BundleDeployment // of version "" : deleted
		have  []fleet.BundleDeployment
		shown bool
	}{
		{"nothing was written", nil, nil, true},
		{"one that was made is not there yet", []fleet.BundleDeployment{bd("a", "9")}, nil, false},
		{"one of two is not there yet", []fleet.BundleDeployment{bd("a", "9"), bd("b", "10")}, []fleet.BundleDeployment{bd("a", "9")}, false},
		{"one is there as it was before the write", []fleet.BundleDeployment{bd("a", "10")}, []fleet.BundleDeployment{bd("a", "9")}, false},
		{"one was written again by somebody since", []fleet.BundleDeployment{bd("a", "9")}, []fleet.BundleDeployment{bd("a", "10")}, true},
		{"the last write counts", []fleet.BundleDeployment{bd("a", "9"), bd("a", "12")}, []fleet.BundleDeployment{bd("a", "9")}, false},
		{"one that was deleted is there still", []fleet.BundleDeployment{bd("a", "")}, []fleet.BundleDeployment{bd("a", "9")}, false},
		{"one that was written and then deleted need not be shown as written", []fleet.BundleDeployment{bd("a", "9"), bd("a", "")}, nil, true},
		{"one that was deleted was made anew by somebody", []fleet.BundleDeployment{bd("a", "")}, []fleet.BundleDeployment{other}, true},
		{"one that was deleted waits for somebody's finalizer", []fleet.BundleDeployment{bd("a", "")}, []fleet.BundleDeployment{going}, true},
	} {
		var w written
		for i := range row.wrote {
			if row.wrote[i].ResourceVersion == "" {
				w.noteGone(bundle, &row.wrote[i])
				continue
			}
			w.note(bundle, &row.wrote[i])
		}
		if got := w.shown(bundle, row.have); got != row.shown {
			t.Errorf("%s: shown is %v", row.rule, got)
		}
	}
}
