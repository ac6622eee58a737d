package argocd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
)

// evaluateGo fills a Go template in. What asks for something of the cluster is written as ${ }, all else is done now.
func evaluateGo(template string, s set, strict bool) (text, error) {
	parsed, err := texttemplate.New("").Funcs(functions).Parse(template)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", template, parseReason(err))
	}
	p := &partial{s: s, strict: strict}
	if !p.varies(parsed.Root) {
		filled, err := fill(template, s.data(), strict)
		return literal(filled), err
	}
	p.mixed = true
	out, err := p.list(parsed.Root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", template, err)
	}
	return out, nil
}

// partial evaluates a parsed template in part.
type partial struct {
	s      set
	strict bool    // see fill
	mixed  bool    // the template varies somewhere, and so a variable of its own may
	inputs []input // that the action in hand asks for
}

var errTooDeep = errors.New("range, with, block and template around something of the cluster have no counterpart in ${ }")

func (p *partial) list(list *parse.ListNode) (out text, err error) {
	if list == nil {
		return nil, nil
	}
	for _, n := range list.Nodes {
		part, err := p.node(n)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

func (p *partial) node(n parse.Node) (text, error) {
	switch n := n.(type) {
	case *parse.TextNode:
		return literal(string(n.Text)), nil
	case *parse.CommentNode:
		return nil, nil
	case *parse.ActionNode:
		if !p.varies(n) {
			return p.now(n)
		}
		return p.action(n.Pipe)
	case *parse.IfNode:
		if !p.varies(n.Pipe) {
			return p.decided(n)
		}
		return p.condition(n)
	}
	if p.varies(n) {
		return nil, errTooDeep
	}
	return p.now(n)
}

// now executes a part of the template that does not vary.
func (p *partial) now(n parse.Node) (text, error) {
	filled, err := fill(n.String(), p.s.data(), p.strict)
	return literal(filled), err
}

// action is one that varies. A parameter alone needs no pipeline.
func (p *partial) action(pipe *parse.PipeNode) (text, error) {
	if len(pipe.Decl) == 0 && len(pipe.Cmds) == 1 && len(pipe.Cmds[0].Args) == 1 {
		if value, ok := p.parameter(pipe.Cmds[0].Args[0]); ok {
			return textOf(value)
		}
	}
	p.inputs = nil
	written, err := p.pipe(pipe)
	return text{{action: written, inputs: p.inputs, control: len(pipe.Decl) > 0}}, err
}

// decided takes the branch of a condition that is known.
func (p *partial) decided(n *parse.IfNode) (text, error) {
	yes, err := fill("{{if "+n.Pipe.String()+"}}yes{{end}}", p.s.data(), p.strict)
	if err != nil {
		return nil, err
	}
	if yes == "yes" {
		return p.list(n.List)
	}
	return p.list(n.ElseList)
}

func (p *partial) condition(n *parse.IfNode) (text, error) {
	p.inputs = nil
	pipe, err := p.pipe(n.Pipe)
	if err != nil {
		return nil, err
	}
	out := text{{action: "if " + pipe, control: true, inputs: p.inputs}}
	then, err := p.list(n.List)
	if err != nil {
		return nil, err
	}
	otherwise, err := p.list(n.ElseList)
	if err != nil {
		return nil, err
	}
	out = append(out, then...)
	if len(otherwise) > 0 {
		out = append(append(out, piece{action: "else", control: true}), otherwise...)
	}
	return append(out, piece{action: "end", control: true}), nil
}

func (p *partial) pipe(n *parse.PipeNode) (string, error) {
	var commands []string
	for _, command := range n.Cmds {
		written, err := p.command(command)
		if err != nil {
			return "", err
		}
		commands = append(commands, written)
	}
	out := strings.Join(commands, " | ")
	if len(n.Decl) > 0 {
		sign := ":="
		if n.IsAssign {
			sign = "="
		}
		out = n.Decl[0].String() + " " + sign + " " + out
	}
	return out, nil
}

func (p *partial) command(n *parse.CommandNode) (string, error) {
	if value, ok := p.indexed(n); ok {
		written, inputs, err := argumentOf(value, true)
		p.inputs = append(p.inputs, inputs...)
		return written, err
	}
	var words []string
	for i, argument := range n.Args {
		written, err := p.argument(argument, i == 0 && len(n.Args) == 1)
		if err != nil {
			return "", err
		}
		words = append(words, written)
	}
	return strings.Join(words, " "), nil
}

// indexed is what `index .metadata.labels "key"` asks for.
func (p *partial) indexed(n *parse.CommandNode) (any, bool) {
	if len(n.Args) != 3 || n.Args[0].String() != "index" {
		return nil, false
	}
	key, isText := n.Args[2].(*parse.StringNode)
	value, ok := p.parameter(n.Args[1])
	of, isAttributes := value.(attributes)
	if !isText || !ok || !isAttributes {
		return nil, false
	}
	return p.s.resolve(input{string(of), key.Text}), true
}

func (p *partial) argument(n parse.Node, alone bool) (string, error) {
	switch n := n.(type) {
	case *parse.FieldNode, *parse.VariableNode:
		path, ok := fieldOf(n)
		if !ok {
			return n.String(), nil // a variable of the template's own
		}
		value, ok := p.s.lookup(path)
		if !ok {
			return "", fmt.Errorf("the generators give no %q", strings.Join(path, "."))
		}
		written, inputs, err := argumentOf(value, alone)
		p.inputs = append(p.inputs, inputs...)
		return written, err
	case *parse.PipeNode:
		written, err := p.pipe(n)
		return "(" + written + ")", err
	case *parse.IdentifierNode:
		if _, ok := inFleet[n.Ident]; !ok && !slices.Contains(builtins, n.Ident) {
			return "", fmt.Errorf("${ } has no function %s", n.Ident)
		}
		return n.Ident, nil
	case *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode:
		return n.String(), nil
	}
	return "", fmt.Errorf("%s has no counterpart in ${ }", n)
}

// builtins are the functions that every Go template has.
var builtins = []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "call"}

// fieldOf is the path of a parameter: .a.b or $.a.b.
func fieldOf(n parse.Node) ([]string, bool) {
	switch n := n.(type) {
	case *parse.FieldNode:
		return n.Ident, true
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			return n.Ident[1:], true
		}
	}
	return nil, false
}

// parameter is the value of a node that names one.
func (p *partial) parameter(n parse.Node) (any, bool) {
	path, ok := fieldOf(n)
	if !ok {
		return nil, false
	}
	return p.s.lookup(path)
}

// varies tells whether a part of the template asks for something of the cluster, or in a template that does, for a variable.
func (p *partial) varies(n parse.Node) bool {
	switch n := n.(type) {
	case nil:
		return false
	case *parse.FieldNode, *parse.VariableNode:
		value, ok := p.parameter(n)
		switch value.(type) {
		case text, input, attributes:
			return true
		}
		_, isField := fieldOf(n)
		return p.mixed && !ok && !isField
	case *parse.ActionNode:
		return p.varies(n.Pipe)
	case *parse.PipeNode:
		return n != nil && (p.mixed && len(n.Decl) > 0 || slices.ContainsFunc(n.Cmds, func(c *parse.CommandNode) bool { return p.varies(c) }))
	case *parse.CommandNode:
		if value, ok := p.indexed(n); ok {
			_, isInput := value.(input)
			return isInput
		}
		return slices.ContainsFunc(n.Args, p.varies)
	case *parse.ListNode:
		return n != nil && slices.ContainsFunc(n.Nodes, p.varies)
	case *parse.IfNode:
		return p.varies(n.Pipe) || p.varies(n.List) || p.varies(n.ElseList)
	case *parse.RangeNode:
		return p.varies(n.Pipe) || p.varies(n.List) || p.varies(n.ElseList)
	case *parse.WithNode:
		return p.varies(n.Pipe) || p.varies(n.List) || p.varies(n.ElseList)
	case *parse.ChainNode:
		return p.varies(n.Node)
	}
	return false
}
