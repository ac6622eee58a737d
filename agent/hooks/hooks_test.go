package hooks

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/bundle/layer"
)

func entry(t *testing.T, text string) layer.Entry {
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	e, err := layer.NewEntry(u)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSplitReadsHelmsAnnotations(t *testing.T) {
	for _, row := range []struct {
		rule, annotations string
		want              string
	}{
		{"no annotation, no hook", "{a: b}", "no hook"},
		{"an annotation that only mentions it is none", `{note: '"helm.sh/hook": x'}`, "no hook"},
		{"the default policy is before-hook-creation", "{helm.sh/hook: pre-install}", "[pre-install] 0 [before-hook-creation]"},
		{"lists are read in any case", "{helm.sh/hook: ' Pre-Install,post-upgrade', helm.sh/hook-weight: '-5', helm.sh/hook-delete-policy: 'hook-succeeded, hook-failed'}", "[pre-install post-upgrade] -5 [hook-succeeded hook-failed]"},
		{"a weight that is no number is 0", "{helm.sh/hook: pre-install, helm.sh/hook-weight: heavy}", "[pre-install] 0 [before-hook-creation]"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			plain := entry(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: z}}")
			objects, hooks := Split([]layer.Entry{entry(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: "+row.annotations+"}}"), plain})
			got := "no hook"
			if len(hooks) == 1 {
				got = fmt.Sprintf("%v %d %v", hooks[0].events, hooks[0].weight, hooks[0].delete)
			}
			if got != row.want || len(objects)+len(hooks) != 2 || objects[len(objects)-1].Key != plain.Key {
				t.Errorf("%s, beside %d objects", got, len(objects))
			}
		})
	}
}

func TestHooksOfAnEventAreOrderedAsHelmDoes(t *testing.T) {
	hook := func(kind, name string, weight int, events ...Event) Hook {
		return Hook{Key: layer.Key{Kind: kind, Name: name}, weight: weight, events: events}
	}
	for _, row := range []struct {
		rule  string
		hooks []Hook
		want  string
	}{
		{"by weight", []Hook{hook("Job", "a", 2, PreInstall), hook("Job", "b", -1, PreInstall)}, "b a"},
		{"then by name, whatever the kind", []Hook{hook("ConfigMap", "b", 0, PreInstall), hook("Job", "a", 0, PreInstall)}, "a b"},
		{"those of other events are not among them", []Hook{hook("Job", "a", 0, PostInstall), hook("Job", "b", 0, PostInstall, PreInstall)}, "b"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var names []string
			for _, h := range at(row.hooks, PreInstall) {
				names = append(names, h.Key.Name)
			}
			if strings.Join(names, " ") != row.want {
				t.Error(names)
			}
		})
	}
	same := at([]Hook{hook("Job", "a", 0, PreInstall), hook("ServiceAccount", "a", 0, PreInstall)}, PreInstall)
	if same[0].Key.Kind != "ServiceAccount" {
		t.Error("of one name, kinds come as Helm installs them")
	}
}

func TestHowAHookEnds(t *testing.T) {
	for _, row := range []struct {
		rule, object string
		over         bool
		why          string
	}{
		{"a ConfigMap is over once it is there", "{apiVersion: v1, kind: ConfigMap}", true, ""},
		{"a Job is over when it is complete", "{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Complete, status: 'True'}]}}", true, ""},
		{"success criteria alone do not end it", "{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: SuccessCriteriaMet, status: 'True'}]}}", false, ""},
		{"nor do pods", "{apiVersion: batch/v1, kind: Job, status: {active: 1}}", false, ""},
		{"it fails with reason and message", "{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Failed, status: 'True', reason: R, message: m}]}}", true, "R: m"},
		{"a Pod runs", "{apiVersion: v1, kind: Pod, status: {phase: Running}}", false, ""},
		{"and succeeds", "{apiVersion: v1, kind: Pod, status: {phase: Succeeded}}", true, ""},
		{"or fails", "{apiVersion: v1, kind: Pod, status: {phase: Failed}}", true, "the pod failed"},
		{"a kind of that name of somebody else's is over once it is there", "{apiVersion: x.io/v1, kind: Job}", true, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(row.object), &u.Object); err != nil {
				t.Fatal(err)
			}
			if over, why := ended(u); over != row.over || why != row.why {
				t.Errorf("over %v, why %q", over, why)
			}
		})
	}
}

func TestWhatAFailedHookPrintedIsNotCopiedButFound(t *testing.T) {
	for _, row := range []struct {
		rule, kind string
		delete     []policy
		want       string
	}{
		{"of a Job", "Job", []policy{beforeCreation, succeeded}, "; `kubectl -n app logs job/migrate` shows what it printed"},
		{"of a Pod", "Pod", nil, "; `kubectl -n app logs pod/migrate` shows what it printed"},
		{"of one that its policy deletes there is nothing to read", "Job", []policy{failed}, ""},
		{"other kinds print nothing", "ConfigMap", nil, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			u.SetNamespace("app")
			s := &step{hook: Hook{Key: layer.Key{Kind: row.kind, Name: "migrate"}, delete: row.delete}, wanted: u}
			if got := s.output(); got != row.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestACopyChangesByItself(t *testing.T) {
	r := &Run{Past: []string{"a"}, Done: []Event{PreInstall}, Started: &Started{Hook: "b"}}
	c := r.Copy()
	c.Past[0], c.Done[0], c.Started.Hook = "x", PostInstall, "x"
	if !slices.Equal(r.Past, []string{"a"}) || r.Done[0] != PreInstall || r.Started.Hook != "b" {
		t.Error("the first one changed too")
	}
	if none := (*Run)(nil); !none.Over(none.Before()) || !none.Over(none.After()) {
		t.Error("without hooks there is something left to do")
	}
}
