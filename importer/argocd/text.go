package argocd

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// input is something that is known of each cluster when a bundle is deployed, but not now.
type input struct {
	kind string // name, server, label or annotation
	key  string // of the label or annotation; empty: all of them
}

func (in input) String() string {
	switch {
	case in.kind == "name":
		return "the cluster's name"
	case in.kind == "server":
		return "the address of the cluster's API server"
	case in.key == "":
		return "the cluster's " + in.kind + "s"
	}
	return "the cluster's " + in.kind + " " + in.key
}

// piece is a stretch of a text: literal, or the inside of a ${ } that is filled in for each cluster.
type piece struct {
	literal string
	action  string
	control bool // the action steers, and gives nothing itself
	inputs  []input
}

// text is what became of a template.
type text []piece

func literal(s string) text {
	if s == "" {
		return nil
	}
	return text{{literal: s}}
}

// varies tells whether the text depends on the cluster.
func (t text) varies() bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.action != "" })
}

// expression is the inside of the ${ } that is all of the text, or nothing.
func (t text) expression() string {
	if len(t) != 1 || t[0].control {
		return ""
	}
	return t[0].action
}

func (t text) inputs() (all []input) {
	for _, p := range t {
		all = append(all, p.inputs...)
	}
	return all
}

// whole tells whether all conditions of a text end in it, and no variable is left over for another.
func (t text) whole() bool {
	depth := 0
	for _, p := range t {
		switch {
		case !p.control || p.action == "else" && depth > 0:
		case strings.HasPrefix(p.action, "if "):
			depth++
		case p.action == "end" && depth > 0:
			depth--
		default:
			return false
		}
	}
	return depth == 0
}

var letter = regexp.MustCompile(`[A-Za-z]`)

// quoted is the template for a value that is a text, whatever its filling looks like.
func (t text) quoted() string {
	if e := t.expression(); e != "" {
		return "${ " + e + " | quote }"
	}
	if letter.MatchString(t.fixed()) || slices.ContainsFunc(t, func(p piece) bool { return p.control }) {
		return t.template() // with a letter it is no number
	}
	words := []string{"print"}
	for _, p := range t {
		if p.action == "" {
			words = append(words, strconv.Quote(p.literal))
		} else {
			words = append(words, "("+p.action+")")
		}
	}
	return "${ " + strings.Join(words, " ") + " | quote }"
}

// fixed is a text that does not vary.
func (t text) fixed() string {
	var out strings.Builder
	for _, p := range t {
		out.WriteString(p.literal)
	}
	return out.String()
}

// template is the text where ${ } are filled in: what looks like one and is none is protected.
func (t text) template() string {
	var out strings.Builder
	for _, p := range t {
		if p.action != "" {
			out.WriteString("${ " + p.action + " }")
			continue
		}
		out.WriteString(strings.ReplaceAll(p.literal, "${", `${ "${" }`))
	}
	return out.String()
}
