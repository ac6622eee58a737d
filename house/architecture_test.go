// Package house holds the rules of the house that DESIGN.md draws: who imports whom, where the libraries live that carry
// the load, and what some rooms never do. It has tests only. A breach is printed with the chain of imports that makes it.
//
// The rules are data, in rules_test.go. To change one is a decision about the design, and goes with its reason.
package house

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestRoomsImportOneWay(t *testing.T) {
	g := modules(t)
	for _, r := range rooms {
		t.Run(r.name, func(t *testing.T) { report(t, r.breaches(g)) })
	}
}

func TestRoomsDoNotReach(t *testing.T) {
	g := modules(t)
	for _, r := range reaches {
		t.Run(r.rule, func(t *testing.T) { report(t, r.breaches(t, g)) })
	}
}

func TestLibrariesAreAtHome(t *testing.T) {
	g := modules(t)
	for _, h := range homes {
		t.Run(h.library, func(t *testing.T) { report(t, h.breaches(g)) })
	}
}

func TestRoomsAbstain(t *testing.T) {
	g := modules(t)
	for _, a := range abstentions {
		t.Run(a.rule, func(t *testing.T) { report(t, a.breaches(t, g)) })
	}
}

// The agent applies with ssa's resource manager; taking only its types would leave the load to code of our own.
func TestTheAgentAppliesWithSSA(t *testing.T) {
	g := modules(t)
	if !slices.ContainsFunc(g.below(our("agent")...), func(p string) bool { return appliesWithSSA(t, g[p]) }) {
		t.Error("no package of agent makes an ssa.ResourceManager and calls its Apply")
	}
}

func appliesWithSSA(t *testing.T, p pkg) bool {
	makes := func(u use) bool { return u.Package == "github.com/fluxcd/pkg/ssa" && u.Name == "NewResourceManager" }
	return slices.ContainsFunc(p.uses(t), makes) && p.calls(t, "Apply", "ApplyAll", "ApplyAllStaged")
}

func report(t *testing.T, breaches []string) {
	t.Helper()
	for _, b := range breaches {
		t.Error(b)
	}
}

// breaches are imports of a room that the room may not have.
func (r room) breaches(g graph) []string {
	if len(g.below(our(r.name)...)) == 0 {
		return []string{fmt.Sprintf("there is no room %s: the rule holds nothing", r.name)}
	}
	allowed := slices.Concat([]string{r.name}, r.may)
	wrong := func(p string) bool { return in(p, module) && !in(p, our(allowed...)...) }
	return explain(fmt.Sprintf("of ours, %s imports only %s", r.name, strings.Join(allowed, ", ")),
		g.chains(our(r.name), wrong, notOurs))
}

func notOurs(importPath string) bool { return !in(importPath, module) }

func (r reach) breaches(t *testing.T, g graph) []string {
	t.Helper()
	g = maps.Clone(g)
	for _, only := range r.only {
		p := g[only.Where]
		more := func(u use) bool {
			return u.Package == only.Package && !slices.ContainsFunc(r.only, func(o use) bool { return o.Package == u.Package && o.Name == u.Name })
		}
		if !slices.ContainsFunc(p.uses(t), more) {
			p.Imports = slices.DeleteFunc(slices.Clone(p.Imports), func(i string) bool { return i == only.Package })
			g[only.Where] = p
		}
	}
	wrong := func(p string) bool { return in(p, r.never...) }
	known := func(p string) bool { return r.beyond[p] != "" }
	return explain(r.rule, g.chains(r.from, wrong, known))
}

func (h home) breaches(g graph) (found []string) {
	takes := func(p string) bool {
		return slices.ContainsFunc(g[p].Imports, func(i string) bool { return in(i, h.library) })
	}
	for _, p := range g.below(module) {
		if h.may != nil && !in(p, h.may...) && takes(p) {
			found = append(found, short(p)+" → "+h.library)
		}
	}
	found = explain("only "+strings.Join(h.may, ", ")+" import it", found)
	carries := func(p string) bool { return slices.Contains(g[p].Imports, h.carries) }
	if h.at != "" && !slices.ContainsFunc(g.below(our(h.at)...), carries) {
		found = append(found, fmt.Sprintf("%s does not import %s, which is to carry its load there", h.at, h.carries))
	}
	return found
}

func (a abstention) breaches(t *testing.T, g graph) (found []string) {
	t.Helper()
	reached, cameFrom := g.walk(a.from, notOurs)
	for _, p := range reached {
		if notOurs(p) || in(p, a.but...) {
			continue
		}
		for _, i := range g[p].Imports {
			if names, ok := a.never[i]; ok && names == nil {
				found = append(found, chain(cameFrom, p)+" → "+i)
			}
		}
		for _, u := range g[p].uses(t) {
			if slices.Contains(a.never[u.Package], u.Name) {
				found = append(found, fmt.Sprintf("%s: %s uses %s.%s", chain(cameFrom, p), u.Where, u.Package, u.Name))
			}
		}
	}
	return explain(a.rule, found)
}

// explain puts the rule before each breach of it.
func explain(rule string, breaches []string) []string {
	for i, b := range breaches {
		breaches[i] = rule + "; broken by\n\t" + b
	}
	return breaches
}
