package once

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

func read(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTheSpecAloneTellsOneRunFromTheNext(t *testing.T) {
	digest := func(text string) string {
		e, err := layer.NewEntry(read(t, text))
		if err != nil {
			t.Fatal(err)
		}
		return Digest(e)
	}
	restore := digest("{apiVersion: velero.io/v1, kind: Restore, metadata: {name: a}, spec: {backupName: b}}")
	if restore == "" {
		t.Fatal("a Restore is not applied once")
	}
	for _, row := range []struct {
		rule, object string
		once, same   bool
	}{
		{"a label is not the spec", "{apiVersion: velero.io/v1, kind: Restore, metadata: {name: a, labels: {a: b}}, spec: {backupName: b}}", true, true},
		{"a version is not the spec", "{apiVersion: velero.io/v2, kind: Restore, metadata: {name: a}, spec: {backupName: b}}", true, true},
		{"another spec is another", "{apiVersion: velero.io/v1, kind: Restore, metadata: {name: a}, spec: {backupName: c}}", true, false},
		{"a Backup is applied once", "{apiVersion: velero.io/v1, kind: Backup, metadata: {name: a}, spec: {}}", true, false},
		{"a Job is applied once", "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {}}", true, false},
		{"a Schedule is not", "{apiVersion: velero.io/v1, kind: Schedule, metadata: {name: a}, spec: {}}", false, false},
		{"a CronJob is not", "{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {}}", false, false},
		{"another Restore is not", "{apiVersion: example.com/v1, kind: Restore, metadata: {name: a}, spec: {}}", false, false},
		{"what the annotation says is", "{apiVersion: example.com/v1, kind: Run, metadata: {name: a, annotations: {flotilla.io/apply-once: 'true'}}, spec: {}}", true, false},
		{"what it does not say is not", "{apiVersion: example.com/v1, kind: Run, metadata: {name: a, annotations: {flotilla.io/apply-once: 'false'}}}", false, false},
		{"what stands elsewhere says nothing", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {"flotilla.io/apply-once": "true"}}`, false, false},
		{"fields beside the spec count as spec", "{apiVersion: example.com/v1, kind: Run, metadata: {name: a, annotations: {flotilla.io/apply-once: 'true'}}, data: {a: b}}", true, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := digest(row.object); (got != "") != row.once || (got == restore) != row.same {
				t.Errorf("digest %q, that of the Restore is %q", got, restore)
			}
		})
	}
}

func TestWhoHasNoKeyCannotTellTheSpec(t *testing.T) {
	object := layer.Key{Kind: "Job", Name: "a"}
	a := Sealed([]byte("one"), object, "digest")
	if a == Sealed([]byte("two"), object, "digest") || a == Sealed([]byte("one"), layer.Key{Kind: "Job", Name: "b"}, "digest") {
		t.Error("another key, or another object, gives the same")
	}
	if a != Sealed([]byte("one"), object, "digest") {
		t.Error("the same gives another")
	}
}

func TestTheEndOfWorkIsSeen(t *testing.T) {
	failed := health.Verdict{State: health.Failed, Message: "backoff limit"}
	ready := health.Verdict{State: health.Ready}
	for _, row := range []struct {
		rule, object string
		verdict      health.Verdict
		want         v1alpha1.OnceResult
	}{
		{"a Job that runs has not ended", "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, status: {active: 1}}", ready, ""},
		{"a complete Job has", "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, status: {conditions: [{type: Complete, status: 'True'}]}}", ready, v1alpha1.OnceComplete},
		{"a failed one has too", "{apiVersion: batch/v1, kind: Job, metadata: {name: a}}", failed, v1alpha1.OnceFailed},
		{"a new Restore has not ended", "{apiVersion: velero.io/v1, kind: Restore, metadata: {name: a}}", ready, ""},
		{"one in progress has not", "{apiVersion: velero.io/v1, kind: Restore, metadata: {name: a}, status: {phase: InProgress}}", ready, ""},
		{"a completed one has", "{apiVersion: velero.io/v1, kind: Restore, metadata: {name: a}, status: {phase: Completed}}", ready, v1alpha1.OnceComplete},
		{"a partly failed one failed", "{apiVersion: velero.io/v1, kind: Restore, metadata: {name: a}, status: {phase: PartiallyFailed}}", ready, v1alpha1.OnceFailed},
		{"a Backup that is not valid failed", "{apiVersion: velero.io/v1, kind: Backup, metadata: {name: a}, status: {phase: FailedValidation}}", ready, v1alpha1.OnceFailed},
		{"another object has ended when it is ready", "{apiVersion: example.com/v1, kind: Run, metadata: {name: a}}", ready, v1alpha1.OnceComplete},
		{"another that fails may come to be ready", "{apiVersion: example.com/v1, kind: Run, metadata: {name: a}}", failed, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u := read(t, row.object)
			gvk := u.GroupVersionKind()
			if got, _ := End(layer.Key{Group: gvk.Group, Kind: gvk.Kind, Name: "a"}, u, row.verdict); got != row.want {
				t.Errorf("it ended %q, want %q", got, row.want)
			}
		})
	}
}

func TestWhatWasMadeIsNotMadeAgain(t *testing.T) {
	restore := layer.Key{Group: "velero.io", Kind: "Restore", Name: "a"}
	backup := layer.Key{Group: "velero.io", Kind: "Backup", Name: "a"}
	job := layer.Key{Group: "batch", Kind: "Job", Name: "a"}
	made := func(spec string, end v1alpha1.OnceResult) inventory.Item {
		return inventory.Item{UID: "u", Once: spec, End: end}
	}
	begun := func(spec string) inventory.Item { return inventory.Item{Once: spec} }
	live := func(uid types.UID, spec string, change ...func(*Live)) *Live {
		l := &Live{UID: uid, Ours: true, Digest: spec}
		for _, c := range change {
			c(l)
		}
		return l
	}
	over := func(l *Live) { l.Over = true }
	going := func(l *Live) { l.Going = true }
	foreign := func(l *Live) { l.Ours, l.Digest = false, "" }
	for _, row := range []struct {
		rule string
		c    Case // Wanted is "s"
		want Action
	}{
		{"one that never was is made", Case{Key: restore}, Make},
		{"one that was begun is made", Case{Key: restore, Item: begun("s")}, Make},
		{"unless the agent was stopped since", Case{Key: restore, Item: begun("s"), Doubt: true}, Vanished},
		{"but a Job that would still be there is", Case{Key: job, Item: begun("s"), Doubt: true, Stays: true}, Make},
		{"one that is there is left as it is", Case{Key: restore, Item: made("s", ""), Live: live("u", "s")}, InPlace},
		{"one whose creation was not confirmed is taken for made", Case{Key: restore, Item: begun("s"), Doubt: true, Live: live("u", "s")}, InPlace},
		{"one that a lost memory made is taken for made", Case{Key: restore, Live: live("u", "s")}, InPlace},
		{"one that somebody else made is for the apply to judge", Case{Key: restore, Live: live("u", "", foreign)}, InPlace},
		{"one that is gone before its end is not made again", Case{Key: restore, Item: made("s", "")}, Vanished},
		{"one that is gone after its end is not", Case{Key: restore, Item: made("s", v1alpha1.OnceComplete)}, Vanished},
		{"one that is known to have vanished stays so", Case{Key: restore, Item: inventory.Item{Once: "s", End: v1alpha1.OnceGone}}, Vanished},
		{"another object by its name is not it", Case{Key: restore, Item: made("s", ""), Live: live("v", "", foreign)}, Vanished},
		{"one that goes is let go", Case{Key: restore, Item: made("s", ""), Live: live("u", "s", going)}, Leave},
		{"a Job with another spec is made anew", Case{Key: job, Item: made("old", ""), Live: live("u", "old")}, Anew},
		{"also one that a lost memory made", Case{Key: job, Live: live("u", "old")}, Anew},
		{"one with another spec that is gone is made", Case{Key: job, Item: made("old", v1alpha1.OnceComplete)}, Make},
		{"a Restore with another spec is made anew", Case{Key: restore, Item: made("old", ""), Live: live("u", "old", over)}, Anew},
		{"once it is over", Case{Key: restore, Item: made("old", ""), Live: live("u", "old")}, Wait},
		{"a Restore with another spec that is gone is made", Case{Key: restore, Item: made("old", v1alpha1.OnceGone)}, Make},
		{"a Backup with another spec is refused", Case{Key: backup, Item: made("old", ""), Live: live("u", "old", over)}, Refuse},
		{"also when it is gone", Case{Key: backup, Item: made("old", v1alpha1.OnceComplete)}, Refuse},
		{"one that was there before is compared by its own word", Case{Key: job, Item: begun("s"), Live: live("v", "old")}, Anew},
		{"a revision that is put back does no work again", Case{Key: job, Item: made("new", ""), Live: live("u", "new"), Back: true}, Leave},
		{"nor where its object is gone", Case{Key: job, Item: made("new", ""), Back: true}, Leave},
	} {
		t.Run(row.rule, func(t *testing.T) {
			row.c.Wanted = "s"
			if got := Decide(row.c); got != row.want {
				t.Errorf("it is %q, want %q", got, row.want)
			}
		})
	}
}

func TestWhatVanishedIsRememberedAsItEnded(t *testing.T) {
	for _, row := range []struct {
		rule string
		end  v1alpha1.OnceResult
		left bool
		want v1alpha1.OnceResult
	}{
		{"an end that was seen stays", v1alpha1.OnceFailed, true, v1alpha1.OnceFailed},
		{"what has a time to live expired", "", true, v1alpha1.OnceExpired},
		{"what has none is gone", "", false, v1alpha1.OnceGone},
	} {
		if got := Vanish(inventory.Item{End: row.end}, "s", row.left); got.End != row.want || got.Once != "s" {
			t.Errorf("%s: %+v", row.rule, got)
		}
	}
}
