package target

import (
	"context"
	"errors"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Text is a template with ${ }, and the path of the option that it is.
type Text struct{ Path, Source string }

// Check tells a mistake in the template itself, which is the same for every cluster.
func (t Text) Check() error {
	_, err := parseTemplate(t.Path, t.Source)
	return err
}

// Job is to fill in templates for clusters: each text with each context.
type Job struct {
	Texts    []Text
	Contexts []v1alpha1.GenericMap // what templates see of each cluster
}

// Filled is what became of a job's texts on one cluster: as many as the job has, or what is wrong. Error names the option and
// shows nothing of what values hold.
type Filled struct {
	Texts  []string `json:",omitempty"`
	Error  string   `json:",omitempty"`
	Broken bool     `json:",omitempty"` // the error is one of the templates themselves: it is the same for every cluster
}

// err is the error, nil for none.
func (f Filled) err() error {
	switch {
	case f.Error == "":
		return nil
	case f.Broken:
		return &TemplateError{errors.New(f.Error)}
	}
	return errors.New(f.Error)
}

// TemplateError is a mistake in the templates themselves: it is the same for every cluster, whatever its labels.
type TemplateError struct{ cause error }

func (e *TemplateError) Error() string { return e.cause.Error() }
func (e *TemplateError) Unwrap() error { return e.cause }

// Filler does jobs: its result has an entry for each context. Templates are written by people and may take any time and memory,
// so a hub has its fillers do them in a process of their own.
type Filler func(context.Context, Job) []Filled

// Fill does a job in this process. Runaway loops are ended; memory is not bounded.
func Fill(ctx context.Context, job Job) []Filled {
	filled := make([]Filled, len(job.Contexts))
	templates := make([]*template, len(job.Texts))
	for i, text := range job.Texts {
		var err error
		if templates[i], err = parseTemplate(text.Path, text.Source); err != nil {
			return all(filled, Filled{Error: err.Error(), Broken: true})
		}
	}
	for i := range filled {
		if err := ctx.Err(); err != nil {
			return all(filled, Filled{Error: err.Error()})
		}
		for _, t := range templates {
			text, err := t.execute(job.Contexts[i].Data)
			if err != nil {
				filled[i] = Filled{Error: err.Error()}
				break
			}
			filled[i].Texts = append(filled[i].Texts, text)
		}
	}
	return filled
}

func all(filled []Filled, same Filled) []Filled {
	for i := range filled {
		filled[i] = same
	}
	return filled
}
