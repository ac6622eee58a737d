package target

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	texttemplate "text/template"
	"text/template/parse"

	"gopkg.in/yaml.v3"
)

// The delimiters are Fleet's: fleet.yaml must stay YAML, and Helm's own {{ }} must get through.
const leftDelimiter, rightDelimiter = "${", "}"

// template is a compiled ${ } template of values.
type template struct {
	path   string // what it is the template of, such as helm.values
	source string
	parsed *texttemplate.Template
}

func parseTemplate(path, source string) (*template, error) {
	t := &template{path: path, source: source}
	parsed, err := texttemplate.New("values").Delims(leftDelimiter, rightDelimiter).Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, t.parseError(err)
	}
	for _, defined := range parsed.Templates() {
		if defined.Tree != nil {
			countSteps(defined.Root)
		}
	}
	t.parsed = parsed
	return t, nil
}

// countSteps puts an empty text at the head of every list of nodes that may run again: executing it writes nothing, so that the
// writer sees each round of a loop and each level of a recursion, and can end them.
func countSteps(list *parse.ListNode) {
	if list == nil {
		return
	}
	list.Nodes = append([]parse.Node{&parse.TextNode{NodeType: parse.NodeText}}, list.Nodes...)
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.IfNode:
			countSteps(node.List)
			countSteps(node.ElseList)
		case *parse.RangeNode:
			countSteps(node.List)
			countSteps(node.ElseList)
		case *parse.WithNode:
			countSteps(node.List)
			countSteps(node.ElseList)
		}
	}
}

// Bounds of one execution. They end what runs away by mistake; time and memory are bounded by the process that a Filler has for it.
const (
	maxText  = 1 << 20 // bytes
	maxSteps = 100_000
)

var (
	errTooLong  = errors.New("it gives more than 1 MiB of text")
	errTooMany  = errors.New("it takes more than 100000 steps")
	noValue     = "<no value>" // what text/template prints for nil
	errNoValue  = errors.New(`it gives "<no value>": a key that it asks for with index is missing; give it a default`)
	errNoAnswer = errors.New("its answer differs from time to time, so each pass would deploy anew; values depend on the cluster only")
)

// page is the bounded writer of an execution.
type page struct {
	strings.Builder
	steps int
}

func (p *page) Write(text []byte) (int, error) {
	if p.steps++; p.steps > maxSteps {
		return 0, errTooMany
	}
	if p.Len()+len(text) > maxText {
		return 0, errTooLong
	}
	return p.Builder.Write(text)
}

// execute fills the template in. Its errors name the value and what is missing, and show nothing of what values hold.
func (t *template) execute(context map[string]any) (string, error) {
	var out page
	if err := t.parsed.Execute(&out, context); err != nil {
		return "", t.executeError(err)
	}
	text := out.String()
	if at := strings.Index(text, noValue); at >= 0 && !strings.Contains(t.source, noValue) {
		return "", fmt.Errorf("%s: %w", t.path, errNoValue)
	}
	return text, nil
}

var (
	position     = regexp.MustCompile(`^template: values:(\d+)`)
	missingKey   = regexp.MustCompile(`at <(.*)>: map has no entry for key "(.*)"$`)
	calledFailed = regexp.MustCompile(`: error calling (\w+): `)
	notDefined   = regexp.MustCompile(`function "(\w+)" not defined$`)
)

// parseError tells a template's mistake. The parser's own text may quote values, so that only names of functions get through.
func (t *template) parseError(err error) error {
	where := t.where(err)
	if name := notDefined.FindStringSubmatch(err.Error()); name != nil {
		return fmt.Errorf("%s: ${ } has no function %q", where, name[1])
	}
	return fmt.Errorf("%s: ${ } is no template that can be read; text that is not meant as one is written ${ \"${\" }, or disablePreProcess is set", where)
}

func (t *template) executeError(err error) error {
	where := t.where(err)
	for _, known := range []error{errTooLong, errTooMany, errNoAnswer} {
		if errors.Is(err, known) {
			if called := calledFailed.FindStringSubmatch(err.Error()); called != nil {
				return fmt.Errorf("%s: %s: %w", where, called[1], known)
			}
			return fmt.Errorf("%s: ${ }: %w", where, known)
		}
	}
	if missing := missingKey.FindStringSubmatch(err.Error()); missing != nil {
		return fmt.Errorf("%s: %s", where, lacks(missing[1], missing[2]))
	}
	if called := calledFailed.FindStringSubmatch(err.Error()); called != nil {
		return fmt.Errorf("%s: ${ }: function %s failed (its message is not shown, it may hold values)", where, called[1])
	}
	return fmt.Errorf("%s: ${ } cannot be filled in for this cluster", where)
}

// lacks says what a cluster is missing, from the expression that asked and the key that was not there.
func lacks(expression, key string) string {
	switch {
	case strings.HasPrefix(expression, ".ClusterLabels"):
		return fmt.Sprintf("the cluster has no label %q", key)
	case strings.HasPrefix(expression, ".ClusterAnnotations"):
		return fmt.Sprintf("the cluster has no annotation %q", key)
	case strings.HasPrefix(expression, ".ClusterValues"):
		return fmt.Sprintf("the cluster's spec.templateValues has no %q", key)
	case strings.HasPrefix(expression, ".Inputs"):
		return fmt.Sprintf("there is no input %q here; inputs are declared in fleet.yaml, and one that is sensitive goes into values and patches only", key)
	case strings.HasPrefix(expression, "."+key):
		return fmt.Sprintf("there is no .%s; there are .ClusterName, .ClusterNamespace, .ClusterLabels, .ClusterAnnotations, .ClusterValues and .Inputs", key)
	}
	return fmt.Sprintf("there is no %q", key)
}

// where is the path of the value at the line that an error names.
func (t *template) where(err error) string {
	found := position.FindStringSubmatch(err.Error())
	var document yaml.Node
	if found == nil || t.path != "helm.values" || yaml.Unmarshal([]byte(t.source), &document) != nil {
		return t.path
	}
	line, _ := strconv.Atoi(found[1])
	return t.path + pathAt(document.Content[0], line)
}

// pathAt is the path of the last value in a node that begins at or before a line.
func pathAt(node *yaml.Node, line int) string {
	path := ""
	for i := range node.Content {
		switch {
		case node.Content[i].Line > line:
			return path
		case node.Kind == yaml.MappingNode && i%2 == 0 && i+1 < len(node.Content):
			path = segment(node.Content[i].Value) + pathAt(node.Content[i+1], line)
		case node.Kind == yaml.SequenceNode:
			path = index(i) + pathAt(node.Content[i], line)
		}
	}
	return path
}
