package target

import (
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

// plan is what a combination of target and customizations makes of a bundle, and how its values depend on the cluster.
type plan struct {
	match    Match                // with the values as they were merged
	labelled bool                 // values ask for labels in Fleet's old way
	all      *template            // all values as one text
	single   map[string]*template // templateValues, by key
	err      error                // the templates do not parse: an error of each cluster

	mu     sync.Mutex
	filled map[[sha256.Size]byte]*Match // by the texts that the templates gave
}

// maxFilled bounds the matches kept for clusters whose templates give the same texts.
const maxFilled = 256

// newPlan prepares the templates of a merged match. templateValues are dropped where templating is switched off, as in Fleet.
func newPlan(match Match) *plan {
	p := &plan{match: match, filled: map[[sha256.Size]byte]*Match{}}
	helm := match.Options.Helm
	if helm == nil {
		return p
	}
	templates := helm.TemplateValues
	helm.TemplateValues = nil
	if helm.Values != nil {
		p.labelled = asksForLabels(helm.Values.Data)
	}
	if helm.DisablePreProcess {
		return p
	}
	if p.all, p.err = wholeTemplate(p.values()); p.err != nil {
		return p
	}
	p.single = make(map[string]*template, len(templates))
	for key, text := range templates {
		if p.single[key], p.err = parseTemplate("helm.templateValues"+segment(key), text); p.err != nil {
			return p
		}
	}
	return p
}

func (p *plan) values() map[string]any {
	if p.match.Options.Helm.Values == nil {
		return nil
	}
	return p.match.Options.Helm.Values.Data
}

// wholeTemplate is the template of all values as one text, as in Fleet, so that keys are templates, too; nil when there is
// nothing to fill in.
func wholeTemplate(values map[string]any) (*template, error) {
	text, err := yaml.Marshal(values)
	if err != nil {
		return nil, errors.New("helm.values: they do not fit YAML")
	}
	if !strings.Contains(string(text), leftDelimiter) {
		return nil, nil
	}
	return parseTemplate("helm.values", string(text))
}

// on is the match for a cluster: the one of the plan itself where nothing depends on the cluster.
func (p *plan) on(c *v1alpha1.Cluster) (*Match, error) {
	if p.err != nil {
		return nil, p.err
	}
	if !p.labelled && p.all == nil && len(p.single) == 0 {
		return &p.match, nil
	}
	values, all := p.values(), p.all
	if p.labelled {
		var err error
		if values, err = withLabels(values, labelsOf(c), 0); err != nil {
			return nil, err
		}
		if all != nil {
			if all, err = wholeTemplate(values); err != nil {
				return nil, err
			}
		}
	}
	texts, err := p.execute(all, contextOf(c))
	if err != nil {
		return nil, err
	}
	return p.fill(values, texts)
}

// whole is the key of the text of all values, among those of templateValues, which are a dot and their key.
const whole = ""

func (p *plan) execute(all *template, context map[string]any) (map[string]string, error) {
	texts := make(map[string]string, len(p.single)+1)
	var err error
	if all != nil {
		if texts[whole], err = all.execute(context); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.single)) {
		if texts["."+key], err = p.single[key].execute(context); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// fill makes a match of the texts; clusters with equal texts share it.
func (p *plan) fill(values map[string]any, texts map[string]string) (*Match, error) {
	digest := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(digest, "%q %q\n", key, texts[key])
	}
	key := [sha256.Size]byte(digest.Sum(nil))
	if match := p.shared(key); match != nil {
		return match, nil
	}
	filled, err := parseValues(values, texts)
	if err != nil {
		return nil, err
	}
	match, helm := p.match, *p.match.Options.Helm
	helm.Values = &v1alpha1.GenericMap{Data: filled}
	match.Options.Helm = &helm
	p.share(key, &match)
	return &match, nil
}

// shared is the match that another cluster with the same texts got. With labels filled in before, texts do not tell all.
func (p *plan) shared(key [sha256.Size]byte) *Match {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.filled[key]
}

func (p *plan) share(key [sha256.Size]byte, match *Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.filled) < maxFilled && !p.labelled {
		p.filled[key] = match
	}
}

// parseValues reads the texts back: that of all values in place of values, then templateValues over them, as in Fleet each
// replacing what stands under its key.
func parseValues(values map[string]any, texts map[string]string) (map[string]any, error) {
	filled := make(map[string]any, len(values)+len(texts))
	if text, ok := texts[whole]; ok {
		parsed := v1alpha1.GenericMap{}
		if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
			return nil, errors.New("helm.values: filled in for this cluster they are no YAML; " +
				"let quote be the last in a ${ } that may give a colon, a bracket or several lines")
		}
		values = parsed.Data
	}
	maps.Copy(filled, values)
	for key, text := range texts {
		if key == whole {
			continue
		}
		var value any
		data, err := yaml.YAMLToJSON([]byte(text))
		if err == nil {
			err = json.Unmarshal(data, &value)
		}
		if err != nil {
			return nil, fmt.Errorf("helm.templateValues%s: filled in for this cluster it is no YAML", key)
		}
		filled[key[1:]] = value
	}
	return filled, nil
}
