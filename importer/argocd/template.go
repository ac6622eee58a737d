package argocd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	texttemplate "text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

// functions are those of Go templates in an ApplicationSet.
var functions = argoFunctions()

// inFleet are the functions that ${ } has.
var inFleet = fleetFunctions()

func fleetFunctions() texttemplate.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(all, name)
	}
	return all
}

func argoFunctions() texttemplate.FuncMap {
	all := fleetFunctions()
	all["normalize"] = normalized
	all["slugify"] = func(arguments ...any) string { return normalized(asText(arguments[len(arguments)-1])) }
	all["toYaml"] = func(value any) (string, error) {
		data, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(data), "\n"), err
	}
	all["fromYaml"] = func(text string) (map[string]any, error) {
		out := map[string]any{}
		return out, yaml.Unmarshal([]byte(text), &out)
	}
	all["fromYamlArray"] = func(text string) ([]any, error) {
		var out []any
		return out, yaml.Unmarshal([]byte(text), &out)
	}
	all["toJson"] = func(value any) (string, error) { data, err := json.Marshal(value); return string(data), err }
	return all
}

var notInNames = regexp.MustCompile("[^-a-z0-9.]")

// normalized makes a name of Kubernetes out of a text.
func normalized(name string) string {
	name = notInNames.ReplaceAllString(strings.ToLower(name), "-")
	return strings.Trim(name[:min(len(name), 253)], "-.")
}

// evaluate fills a template in, as far as that is possible before there is a cluster.
func (i *importing) evaluate(template string, s set) (text, error) {
	if !strings.Contains(template, "{{") {
		return literal(template), nil
	}
	if i.goTemplate {
		return evaluateGo(template, s, i.strict)
	}
	return evaluatePlain(template, s)
}

var tag = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// evaluatePlain fills in {{key}}. What is no key stays, as in Argo CD: it may be a template of somebody else's. Argo CD knows keys
// only; a pipeline behind a key, which many write, is carried as it is meant.
func evaluatePlain(template string, s set) (out text, err error) {
	from := 0
	for _, found := range tag.FindAllStringSubmatchIndex(template, -1) {
		out = append(out, literal(template[from:found[0]])...)
		from = found[1]
		value, err := plainTag(template[found[2]:found[3]], s)
		if err != nil {
			return nil, err
		}
		out = append(out, value...)
	}
	return append(out, literal(template[from:])...), nil
}

func plainTag(written string, s set) (text, error) {
	inside := strings.TrimSpace(written)
	key, pipeline, piped := strings.Cut(inside, "|")
	key = strings.TrimSpace(key)
	value, ok := s.flat(key)
	if !ok {
		return literal("{{" + written + "}}"), nil
	}
	if !piped {
		return textOf(value)
	}
	argument, inputs, err := argumentOf(value, true)
	if err != nil {
		return nil, fmt.Errorf("{{%s}}: %w", inside, err)
	}
	action := argument + " | " + strings.TrimSpace(pipeline)
	if len(inputs) == 0 {
		filled, err := fill("{{"+action+"}}", nil, true)
		return literal(filled), err
	}
	if _, err := texttemplate.New("").Funcs(inFleet).Parse("{{" + action + "}}"); err != nil {
		return nil, fmt.Errorf("{{%s}}: %s", inside, parseReason(err))
	}
	return text{{action: action, inputs: inputs}}, nil
}

// textOf is a parameter that stands alone.
func textOf(value any) (text, error) {
	switch value := value.(type) {
	case text:
		return value, nil
	case input:
		return text{{action: orUnknown(value.expression(false)), inputs: []input{value}}}, nil
	case attributes, map[string]any, []any:
		return nil, fmt.Errorf("it is no text")
	}
	return literal(asText(value)), nil
}

// orUnknown stands for an input that ${ } does not have. It is never written: what has it waits for the clusters.
func orUnknown(expression string) string {
	if expression == "" {
		return "?"
	}
	return expression
}

// argumentOf is a parameter as a piece of a pipeline.
func argumentOf(value any, first bool) (string, []input, error) {
	switch value := value.(type) {
	case text:
		if value.expression() == "" {
			return "", nil, fmt.Errorf("a value that is put together from several cannot be worked on in ${ }")
		}
		return "(" + value.expression() + ")", value.inputs(), nil
	case input:
		expression := orUnknown(value.expression(true))
		if !first && strings.Contains(expression, " ") {
			expression = "(" + expression + ")"
		}
		return expression, []input{value}, nil
	case attributes:
		in := input{kind: string(value)}
		return in.expression(true), []input{in}, nil
	case nil:
		return "nil", nil, nil
	case string:
		return fmt.Sprintf("%q", value), nil, nil
	case bool, float64, int64, int:
		return fmt.Sprint(value), nil, nil
	}
	return "", nil, fmt.Errorf("a list or an object cannot stand in ${ }")
}

// fill executes a Go template that asks for nothing that varies. If it is strict, a key that is missing is an error wherever it
// is asked for, else only where it would be written.
func fill(template string, data map[string]any, strict bool) (string, error) {
	missing := map[bool]string{true: "missingkey=error", false: "missingkey=default"}[strict]
	parsed, err := texttemplate.New("").Option(missing).Funcs(functions).Parse(template)
	if err != nil {
		return "", fmt.Errorf("%s: %s", template, parseReason(err))
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return "", fmt.Errorf("%s: %s", template, parseReason(err))
	}
	if strings.Contains(out.String(), "<no value>") {
		return "", fmt.Errorf("%s: the generators give no value for it", template)
	}
	return out.String(), nil
}

var templatePrefix = regexp.MustCompile(`^template: :\d+(:\d+)?: (executing "" at )?`)

// parseReason is what is wrong with a template, without Go's words for where.
func parseReason(err error) string { return templatePrefix.ReplaceAllString(err.Error(), "") }
