package target

import (
	"fmt"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// probeSlots are the templates among health.probes: what is asked, each a template by itself. It stands in statuses.
func probeSlots(h *v1alpha1.HealthOptions) (slots []slot) {
	for i, text := range probeTexts(h) {
		if !strings.Contains(*text.text, leftDelimiter) {
			continue
		}
		slots = append(slots, slot{Text{text.path, *text.text}, true, func(o *options, filled string) error {
			*probeTexts(o.health)[i].text = filled
			return nil
		}})
	}
	return slots
}

type probeText struct {
	path string
	text *string
}

// probeTexts lists all texts that may be templates, for equal probes in the same order.
func probeTexts(h *v1alpha1.HealthOptions) (texts []probeText) {
	if h == nil {
		return nil
	}
	for i := range h.Probes {
		p := &h.Probes[i]
		add := func(field string, text *string) {
			texts = append(texts, probeText{fmt.Sprintf("health.probes[%d].%s", i, field), text})
		}
		if p.HTTP != nil {
			add("http.url", &p.HTTP.URL)
		}
		if p.TCP != nil {
			add("tcp.address", &p.TCP.Address)
		}
		if p.Job != nil {
			add("job.namespace", &p.Job.Namespace)
			add("job.name", &p.Job.Name)
		}
		if p.Object != nil {
			add("object.namespace", &p.Object.Namespace)
			add("object.name", &p.Object.Name)
			add("value", &p.Value)
		}
	}
	return texts
}
