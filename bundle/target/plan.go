package target

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

// plan is what a combination of target and customizations makes of a bundle, and how that depends on the cluster.
type plan struct {
	match     Match             // with the values as they were merged
	labelled  bool              // values ask for labels in Fleet's old way
	templates map[string]string // templateValues, by key
	slots     []slot            // of a plan that is not labelled
	err       error             // an error of each cluster

	mu     sync.Mutex
	filled map[[sha256.Size]byte]*Match // by the texts that the templates gave
}

// slot is a template of the options and where its text goes.
type slot struct {
	Text
	shown bool // the text stands where others may read it, so that it must hold nothing that is sensitive
	put   func(o *options, text string) error
}

// place is a cluster with the inputs that the bundle has there.
type place struct {
	*v1alpha1.Cluster
	given Given
}

// options are the parts of a match that templates write.
type options struct {
	values    map[string]any
	kustomize *v1alpha1.KustomizeOptions
	health    *v1alpha1.HealthOptions
}

// maxFilled bounds the matches kept for clusters whose templates give the same texts.
const maxFilled = 256

// newPlan finds the templates of a merged match. templateValues are dropped where templating is switched off, as in Fleet.
func newPlan(match Match) *plan {
	p := &plan{match: match, filled: map[[sha256.Size]byte]*Match{}}
	if helm := match.Options.Helm; helm != nil {
		if !helm.DisablePreProcess {
			p.templates = helm.TemplateValues
		}
		helm.TemplateValues = nil
		p.labelled = asksForLabels(p.values())
	}
	if !p.labelled {
		p.slots, p.err = p.slotsOf(p.values())
	}
	return p
}

func (p *plan) values() map[string]any {
	if helm := p.match.Options.Helm; helm != nil && helm.Values != nil {
		return helm.Values.Data
	}
	return nil
}

// slotsOf are the templates when these are the values. As in Fleet, all values are one text, so that keys are templates, too.
func (p *plan) slotsOf(values map[string]any) ([]slot, error) {
	var slots []slot
	if helm := p.match.Options.Helm; helm != nil && !helm.DisablePreProcess {
		text, err := yaml.Marshal(values)
		if err != nil {
			return nil, errors.New("helm.values: they do not fit YAML")
		}
		if strings.Contains(string(text), leftDelimiter) {
			slots = append(slots, slot{Text: Text{"helm.values", string(text)}, put: putValues})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.templates)) {
		slots = append(slots, slot{Text: Text{"helm.templateValues" + segment(key), p.templates[key]}, put: putValue(key)})
	}
	slots = append(slots, kustomizeSlots(p.match.Options.Kustomize)...)
	return append(slots, probeSlots(p.match.Options.Health)...), nil
}

// putValues reads the text of all values back.
func putValues(o *options, text string) error {
	parsed := v1alpha1.GenericMap{}
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		return errors.New("helm.values: filled in for this cluster they are no YAML; " +
			"let quote be the last in a ${ } that may give a colon, a bracket or several lines")
	}
	o.values = parsed.Data
	return nil
}

// putValue reads the text of one of templateValues, which as in Fleet replaces what stands under its key.
func putValue(key string) func(*options, string) error {
	return func(o *options, text string) error {
		var value any
		data, err := yaml.YAMLToJSON([]byte(text))
		if err == nil {
			err = json.Unmarshal(data, &value)
		}
		if err != nil {
			return fmt.Errorf("helm.templateValues%s: filled in for this cluster it is no YAML", segment(key))
		}
		o.values[key] = value
		return nil
	}
}

// on are the matches for clusters, in their order, and for each an error of its own.
func (p *plan) on(ctx context.Context, clusters []place, fill Filler) ([]*Match, []error) {
	matches, errs := make([]*Match, len(clusters)), make([]error, len(clusters))
	if p.labelled {
		for i, c := range clusters {
			matches[i], errs[i] = p.labelledOn(ctx, c, fill)
		}
		return matches, errs
	}
	filled := p.fill(ctx, p.slots, clusters, fill)
	for i := range clusters {
		matches[i], errs[i] = p.finish(p.values(), p.slots, filled[i])
	}
	return matches, errs
}

// labelledOn is on for one cluster, whose labels stand in the values before these are a template.
func (p *plan) labelledOn(ctx context.Context, c place, fill Filler) (*Match, error) {
	values, err := withLabels(p.values(), labelsOf(c.Cluster), 0)
	if err != nil {
		return nil, err
	}
	slots, err := p.slotsOf(values)
	if err != nil {
		return nil, err
	}
	return p.finish(values, slots, p.fill(ctx, slots, []place{c}, fill)[0])
}

// fill gives for each cluster the texts of the slots: those that are shown are filled in without what is sensitive.
func (p *plan) fill(ctx context.Context, slots []slot, clusters []place, fill Filler) []Filled {
	filled := make([]Filled, len(clusters))
	if len(slots) == 0 || p.err != nil {
		return filled
	}
	for i := range filled {
		filled[i].Texts = make([]string, len(slots))
	}
	for _, shown := range []bool{false, true} {
		job, at := Job{}, []int(nil)
		for i, s := range slots {
			if s.shown == shown {
				job.Texts, at = append(job.Texts, s.Text), append(at, i)
			}
		}
		if len(at) == 0 {
			continue
		}
		for _, c := range clusters {
			job.Contexts = append(job.Contexts, v1alpha1.GenericMap{Data: contextOf(c, shown)})
		}
		for i, part := range fill(ctx, job) {
			if part.Error != "" && filled[i].Error == "" {
				filled[i] = Filled{Texts: filled[i].Texts, Error: part.Error, Broken: part.Broken}
			}
			for j, text := range part.Texts {
				if j < len(at) {
					filled[i].Texts[at[j]] = text
				}
			}
		}
	}
	return filled
}

// finish makes a match of the texts. Clusters with equal texts share it, and where nothing depends on the cluster all do; with
// labels filled in before, texts do not tell all.
func (p *plan) finish(values map[string]any, slots []slot, filled Filled) (*Match, error) {
	switch {
	case p.err != nil:
		return nil, &TemplateError{p.err}
	case filled.Error != "":
		return nil, filled.err()
	case !p.labelled && len(slots) == 0:
		return &p.match, nil
	case p.labelled:
		return p.make(values, slots, filled.Texts)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%q", filled.Texts))
	p.mu.Lock()
	defer p.mu.Unlock()
	if match := p.filled[key]; match != nil {
		return match, nil
	}
	match, err := p.make(values, slots, filled.Texts)
	if err == nil && len(p.filled) < maxFilled {
		p.filled[key] = match
	}
	return match, err
}

func (p *plan) make(values map[string]any, slots []slot, texts []string) (*Match, error) {
	o := options{maps.Clone(values), p.match.Options.Kustomize.DeepCopy(), p.match.Options.Health.DeepCopy()}
	if o.values == nil {
		o.values = map[string]any{}
	}
	for i, s := range slots {
		if err := s.put(&o, texts[i]); err != nil {
			return nil, err
		}
	}
	match := p.match
	match.Options.Kustomize, match.Options.Health = o.kustomize, o.health
	if p.match.Options.Helm != nil {
		helm := *p.match.Options.Helm
		helm.Values = &v1alpha1.GenericMap{Data: o.values}
		match.Options.Helm = &helm
	}
	return &match, nil
}
