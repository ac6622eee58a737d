package argocd

import (
	"slices"
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
