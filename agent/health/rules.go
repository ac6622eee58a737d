package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/expression"
)

// Rules judge the objects of one bundle. The zero value has those that are built in.
type Rules struct {
	own    map[schema.GroupKind]*rule
	ignore []map[string]string // conditions that do not count: all keys and values of one
}

// New makes the rules of a bundle from its options.
func New(o v1alpha1.BundleDeploymentOptions) *Rules {
	r := &Rules{}
	if o.IgnoreOptions != nil {
		r.ignore = o.IgnoreOptions.Conditions
	}
	if o.Health == nil {
		return r
	}
	r.own = make(map[schema.GroupKind]*rule, len(o.Health.Rules))
	for _, own := range o.Health.Rules {
		r.own[schema.GroupKind{Group: own.Group, Kind: own.Kind}] = &rule{Builtin: Builtin{HealthRule: own}, path: "health.rules: "}
	}
	return r
}

// kinds lists the kinds of Kubernetes' own groups that kstatus or apiService has a rule for.
var kinds = map[string][]string{
	"":                       {"Pod", "Service", "PersistentVolumeClaim", "ReplicationController"},
	"apps":                   {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"},
	"batch":                  {"Job"},
	"policy":                 {"PodDisruptionBudget"},
	"apiextensions.k8s.io":   {"CustomResourceDefinition"},
	"apiregistration.k8s.io": {"APIService"},
}

// Judges tells whether an object may be anything but ready once it is applied, so that it has to be read. Kinds that are not of
// Kubernetes itself may all have conditions. Of some kinds only what is wanted tells: object gives that, and is asked for them alone.
func (r *Rules) Judges(kind schema.GroupKind, object func() *unstructured.Unstructured) bool {
	if r.own[kind] != nil || slices.Contains(kinds[kind.Group], kind.Kind) {
		return true
	}
	if b := builtin(kind); b != nil {
		return b.When == "" || b.applies(object())
	}
	return strings.Contains(kind.Group, ".") && !strings.HasSuffix(kind.Group, ".k8s.io")
}

// of finds the rule for an object; nil where kstatus is to be asked.
func (r *Rules) of(u *unstructured.Unstructured) *rule {
	kind := u.GroupVersionKind().GroupKind()
	if own := r.own[kind]; own != nil {
		return own
	}
	if b := builtin(kind); b != nil && b.applies(u) {
		return b
	}
	return nil
}

// rule is one of which the expressions are compiled when it is first needed, and kept.
type rule struct {
	Builtin
	path string // before the name of an expression, where it is told

	once                                  sync.Once
	when, failed, healthy, ready, message *expression.Expression
	broken                                error
}

func (r *rule) compile() error {
	r.once.Do(func() {
		var errs []error
		read := func(name, source string, compile func(string, ...string) (*expression.Expression, error)) *expression.Expression {
			if source == "" {
				return nil
			}
			e, err := compile(source, expression.Self)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s%s: %w", r.path, name, err))
			}
			return e
		}
		r.when = read("when", r.When, expression.CompileBool)
		r.failed = read("failed", r.Failed, expression.CompileBool)
		r.healthy = read("healthy", r.Healthy, expression.CompileBool)
		r.ready = read("ready", r.Ready, expression.CompileBool)
		r.message = read("message", r.Message, expression.CompileText)
		if r.Healthy == "" {
			errs = append(errs, fmt.Errorf("%shealthy: a CEL expression is missing", r.path))
		}
		r.broken = errors.Join(errs...)
	})
	return r.broken
}

// applies tells whether the rule is for this object of its kind.
func (r *rule) applies(u *unstructured.Unstructured) bool {
	if r.When == "" {
		return true
	}
	if u == nil || r.compile() != nil {
		return false
	}
	yes, err := r.when.Bool(context.Background(), map[string]any{expression.Self: u.Object})
	return err == nil && yes
}

// assess evaluates failed, healthy and ready, in this order. What cannot be evaluated is on its way.
func (r *rule) assess(ctx context.Context, live *unstructured.Unstructured) Verdict {
	if err := r.compile(); err != nil {
		return Verdict{Progressing, err.Error()}
	}
	see := map[string]any{expression.Self: live.Object}
	for _, step := range []struct {
		name string
		e    *expression.Expression
		then State
	}{{"failed", r.failed, Failed}, {"healthy", r.healthy, Ready}, {"ready", r.ready, Joined}} {
		if step.e == nil {
			continue
		}
		yes, err := step.e.Bool(ctx, see)
		switch {
		case err != nil:
			return Verdict{Progressing, fmt.Sprintf("%s%s: %v", r.path, step.name, err)}
		case yes && step.then == Ready:
			return Verdict{State: Ready}
		case yes:
			return Verdict{step.then, r.words(ctx, live, see, "its rule says "+step.name)}
		}
	}
	return Verdict{Progressing, r.words(ctx, live, see, "is not healthy yet")}
}

// maxWords bounds a message; a status holds many.
const maxWords = 300

// words are the rule's own, where it has some. What a Secret holds is shown nowhere.
func (r *rule) words(ctx context.Context, live *unstructured.Unstructured, see map[string]any, otherwise string) string {
	written := r.path != ""
	if r.message == nil || written && live.GetKind() == "Secret" && live.GroupVersionKind().Group == "" {
		return otherwise
	}
	text, err := r.message.Text(ctx, see)
	if err != nil {
		return fmt.Sprintf("%s (%smessage: %v)", otherwise, r.path, err)
	}
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return otherwise
	}
	return v1alpha1.Clip(text, maxWords)
}
