package lint

import (
	"errors"
	"fmt"

	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/target"
)

// sources tells inputs that ask a bundle of the tree for an output that it does not have.
func (l *linter) sources(f *reader.Found, settings *fleetyaml.FleetYAML) {
	for i := range f.Bundle.Spec.Inputs {
		if err := l.inputs.Source(&f.Bundle.Spec.Inputs[i]); err != nil {
			l.errors(f.Path, settings.Errorf(fmt.Sprintf("inputs[%d].from.output", i), "%s", err))
		}
	}
}

// missing tells inputs that nothing is assumed of, where something is of others: without any, nobody wants them judged.
func (l *linter) missing(f *reader.Found, err error) {
	var waiting *target.Waiting
	if len(l.on.Inputs) > 0 && errors.As(err, &waiting) {
		l.errors(f.Path, l.settings(f).Errorf("inputs", "%s", err))
	}
}
