package render

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"helm.sh/helm/v3/pkg/chart"
)

// validateValues checks the values of a chart, and of the charts in it, against their values.schema.json. Helm's own check
// would read the files and addresses that a schema refers to; this one reads nothing.
func validateValues(c *chart.Chart, dir string, values map[string]any) error {
	if c.Schema != nil {
		if err := validate(c.Schema, path.Join(dir, "values.schema.json"), values); err != nil {
			return err
		}
	}
	for _, sub := range c.Dependencies() {
		given, ok := values[sub.Name()]
		if !ok || given == nil {
			continue
		}
		table, ok := given.(map[string]any)
		if !ok {
			return &Error{ReasonValuesMismatch, "helm.values", fmt.Sprintf("%s: want a map, the values of the chart of that name", sub.Name())}
		}
		if err := validateValues(sub, path.Join(dir, "charts", sub.Name()), table); err != nil {
			return err
		}
	}
	return nil
}

func validate(text []byte, file string, values map[string]any) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return &Error{ReasonChartInvalid, file, err.Error()}
	}
	const self = "file:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(refuse{})
	if err := compiler.AddResource(self, document); err != nil {
		return &Error{ReasonChartInvalid, file, err.Error()}
	}
	schema, err := compiler.Compile(self)
	var refused *jsonschema.LoadURLError
	if errors.As(err, &refused) {
		return &Error{ReasonSchemaRef, file, fmt.Sprintf("it refers to %s; a schema may refer to its own parts only (#/…): copy that one in", refused.URL)}
	}
	if err != nil {
		return &Error{ReasonChartInvalid, file, capped(err.Error())}
	}
	var invalid *jsonschema.ValidationError
	if errors.As(schema.Validate(values), &invalid) {
		return &Error{ReasonValuesMismatch, file, mismatches(invalid)}
	}
	return nil
}

// refuse is a loader of schemas that loads none, but for a urn, which Helm takes to allow all.
type refuse struct{}

func (refuse) Load(url string) (any, error) {
	if strings.HasPrefix(url, "urn:") {
		return true, nil
	}
	return nil, errors.New("schemas are not loaded")
}

// mismatches tells the first three values that are wrong, by path, and counts the rest. It shows what is wanted, never what
// was given.
func mismatches(invalid *jsonschema.ValidationError) string {
	found := leaves(invalid)
	slices.Sort(found)
	found = slices.Compact(found)
	const shown = 3
	if len(found) > shown {
		return fmt.Sprintf("%s; and %d more", strings.Join(found[:shown], "; "), len(found)-shown)
	}
	return strings.Join(found, "; ")
}

func leaves(e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 {
		at := append([]string{"values"}, e.InstanceLocation...)
		return []string{strings.Join(at, ".") + ": " + wanted(e.ErrorKind)}
	}
	var found []string
	for _, cause := range e.Causes {
		found = append(found, leaves(cause)...)
	}
	return found
}

func wanted(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("want %s, got %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.Format:
		return "is no valid " + k.Want
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}
