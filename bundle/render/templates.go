package render

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"

	"helm.sh/helm/v3/pkg/chart"
	"k8s.io/client-go/dynamic"
)

// noCluster stands where the engine wants a connection for lookup: it tells what was looked up, and gives nothing.
type noCluster struct{}

func (noCluster) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	if apiVersion == timeMark {
		return nil, false, &NotServedError{What: "now, the time of the rendering,"}
	}
	return nil, false, &NotServedError{What: fmt.Sprintf("lookup of %s %s", apiVersion, kind)}
}

// timeMark replaces now. Two renderings within a second give the same time, so that comparing them would find a chart that
// uses it only now and then; the engine's functions cannot be replaced, so its call becomes a lookup, which is told.
const timeMark = "flotilla.io/now"

func markTime(c *chart.Chart) {
	for _, t := range c.Templates {
		t.Data = []byte(mark(string(t.Data)))
	}
	for _, sub := range c.Dependencies() {
		markTime(sub)
	}
}

// mark replaces calls of now in a template. One that does not parse stays as it is: the engine tells what is wrong with it.
func mark(text string) string {
	if !strings.Contains(text, "now") {
		return text
	}
	trees := map[string]*parse.Tree{}
	tree := parse.New("")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", trees); err != nil {
		return text
	}
	var calls []int
	for _, t := range trees {
		calls = append(calls, callsOf("now", t.Root)...)
	}
	slices.Sort(calls)
	for _, at := range slices.Backward(calls) {
		text = text[:at] + fmt.Sprintf("(lookup %q %q %q %q)", timeMark, "", "", "") + text[at+len("now"):]
	}
	return text
}

// callsOf returns where in its text a template calls a function.
func callsOf(function string, node parse.Node) []int {
	var found []int
	visit := func(n parse.Node) { found = append(found, callsOf(function, n)...) }
	branch := func(b *parse.BranchNode) {
		visit(b.Pipe)
		visit(b.List)
		if b.ElseList != nil {
			visit(b.ElseList)
		}
	}
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			visit(child)
		}
	case *parse.ActionNode:
		visit(n.Pipe)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			visit(n.Pipe)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			visit(command)
		}
	case *parse.CommandNode:
		for _, argument := range n.Args {
			visit(argument)
		}
	case *parse.ChainNode:
		visit(n.Node)
	case *parse.IdentifierNode:
		if n.Ident == function {
			return []int{int(n.Position())}
		}
	}
	return found
}

// randomCall finds the functions whose result is another each time, and those whose order is.
var randomCall = regexp.MustCompile(`\b(rand[A-Z]\w+|gen[A-Z]\w+|uuidv4|htpasswd|bcrypt|encryptAES|shuffle|ago|date|keys|values)\b`)

// unsteady is the error for a file whose rendering is another each time. It guesses why: the first such function in the
// template itself, then in the helpers.
func (e *executed) unsteady(file string) error {
	sources := e.sources()
	var helpers []string
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if strings.HasPrefix(path.Base(name), "_") {
			helpers = append(helpers, name)
		}
	}
	for _, candidate := range append([]string{file}, helpers...) {
		for i, line := range strings.Split(sources[candidate], "\n") {
			if call := randomCall.FindString(line); call != "" && strings.Contains(line, "{{") {
				return &NotServedError{Template: file, What: fmt.Sprintf("output that is another at each rendering (%s in %s:%d)", call, candidate, i+1)}
			}
		}
	}
	return &NotServedError{Template: file, What: "output that is another at each rendering"}
}

// charts yields a chart and those in it.
func charts(c *chart.Chart) func(yield func(*chart.Chart) bool) {
	return func(yield func(*chart.Chart) bool) {
		if !yield(c) {
			return
		}
		for _, sub := range c.Dependencies() {
			for found := range charts(sub) {
				if !yield(found) {
					return
				}
			}
		}
	}
}

var (
	// engineError: parse errors, and what fail and required say, as Helm puts them.
	engineError = regexp.MustCompile(`(?s)^(?:parse error|execution error) (?:at|in) \(([^()]*)\): (.*)$`)
	// frame is one template in the chain of an error of text/template.
	frame = regexp.MustCompile(`template: ([^:\s]+:\d+)(?::\d+)?: executing "[^"]*" at (<.*?>): `)
	// unset is how text/template says that a value is missing.
	unset = regexp.MustCompile(`nil pointer evaluating [^.]*\.(\w+)`)
	// quoted is what such an error may hold of values.
	quoted = regexp.MustCompile(`(?s)(cannot parse template|during tpl function execution for) "(?:[^"\\]|\\.)*"|(parsing) "[^"]*"|(range can't iterate over) .*`)
)

// templateError tells where in which template rendering ended, in the innermost one that is a file, and why.
func templateError(err error, chartName, dir string) error {
	text := quoted.ReplaceAllString(err.Error(), "$1$2$3 a value")
	where, entry, reason := chartName, "", text
	if found := engineError.FindStringSubmatch(text); found != nil {
		where, reason = found[1], found[2]
	} else if frames := frame.FindAllStringSubmatchIndex(text, -1); frames != nil {
		inner := frames[len(frames)-1]
		reason = text[inner[4]:inner[5]] + ": " + text[inner[1]:]
		entry = text[frames[0][2]:frames[0][3]]
		for _, f := range slices.Backward(frames) {
			if where = text[f[2]:f[3]]; !strings.HasPrefix(where, "gotpl:") {
				break
			}
		}
	}
	where = templateFile(strings.TrimSpace(where), chartName, dir)
	if entry != "" {
		entry = templateFile(entry, chartName, dir)
	}
	var notServed *NotServedError
	if errors.As(err, &notServed) {
		file, _, _ := strings.Cut(entry, ":")
		return &NotServedError{where, notServed.What, file}
	}
	reason = unset.ReplaceAllString(reason, "what stands before .$1 is not set")
	if entry != "" && entry != where {
		reason += " (called from " + entry + ")"
	}
	return &Error{ReasonRenderFailed, where, capped(reason)}
}
