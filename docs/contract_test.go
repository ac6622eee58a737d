package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// field is a field of a kind, as api/contract_test.go lists them: without children, at a path without brackets.
type field struct {
	path string
	// id is where it is described, such as opts.helm.chart: equal for the same field at many paths, and of many kinds.
	id   string
	ours bool // Fleet has no such field
}

// TestEveryFieldOfFleetHasARow holds the pages in compatibility/ against the fields that Fleet's kinds have.
//
// A row says what it is about in its first cell, between backticks: `Kind.path`; or, beside the name of a kind, what just one path
// of that kind ends with; or, where no kind is named, a key of fleet.yaml. {a,b} stands for both.
func TestEveryFieldOfFleetHasARow(t *testing.T) {
	all := fieldsOfKinds(t)
	named := map[string]bool{}
	for _, r := range contract(t) {
		if r.page == "compatibility/cli.md" {
			continue // what its rows name is what commands do with it
		}
		kinds := kindsIn(r.what, all)
		for _, name := range names(r.what) {
			for _, f := range fieldsCalled(t, r, name, kinds, all) {
				named[f.id] = true
			}
		}
	}
	missing := map[string]string{}
	for kind, fields := range all {
		for _, f := range fields {
			if example := kind + "." + f.path; !f.ours && !named[f.id] && (missing[f.id] == "" || example < missing[f.id]) {
				missing[f.id] = example
			}
		}
	}
	for _, example := range slices.Sorted(maps.Values(missing)) {
		t.Errorf("%s has no row on any page of docs/compatibility", example)
	}
}

// fieldsCalled are the fields that a name in a row means: none, if it is the name of something else.
func fieldsCalled(t *testing.T, r row, name string, kinds []string, all map[string][]field) (called []field) {
	t.Helper()
	if kind, path, ok := strings.Cut(name, "."); ok && all[kind] != nil {
		within := func(f field) bool { return strings.HasPrefix(f.path, path+".") }
		if called = endingOn(all[kind], path); len(called) == 0 && !slices.ContainsFunc(all[kind], within) {
			t.Errorf("%s: %s: a %s has no field %s, or more than one", r.page, r.what, kind, path)
		}
		return called
	}
	for _, kind := range kinds {
		called = append(called, endingOn(all[kind], name)...)
	}
	if len(kinds) > 0 {
		return called
	}
	for _, f := range endingOn(all["Bundle"], name) { // nothing, where a word ends several paths
		if f.path == "spec."+name || f.path == "spec.targets."+name {
			called = append(called, f)
		}
	}
	return called
}

// endingOn is the field at path, or else those of Fleet whose paths end with it, if they are one and the same.
func endingOn(fields []field, path string) (found []field) {
	for _, f := range fields {
		if f.path == path {
			return []field{f}
		}
		if !f.ours && strings.HasSuffix(f.path, "."+path) {
			found = append(found, f)
		}
	}
	for _, f := range found {
		if f.id != found[0].id {
			return nil
		}
	}
	return found
}

// kindsIn are the kinds that a row speaks of: named outside of backticks, or at the beginning of a path.
func kindsIn(what string, all map[string][]field) (kinds []string) {
	for i, part := range strings.Split(what, "`") {
		words := wordOf.FindAllString(part, -1)
		if i%2 == 1 {
			words = words[:min(1, len(words))]
		}
		for _, w := range words {
			if all[w] != nil && !slices.Contains(kinds, w) {
				kinds = append(kinds, w)
			}
		}
	}
	return kinds
}

var wordOf = regexp.MustCompile(`\w+`)

// names are what a cell has between backticks, without brackets of lists and maps, and with {a,b} written out.
func names(cell string) (list []string) {
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			list = append(list, spellOut(strings.NewReplacer("[]", "", "<>", "").Replace(part))...)
		}
	}
	return list
}

// spellOut writes a{b,c}d as abd and acd; groups may stand in each other.
func spellOut(name string) (list []string) {
	open := strings.IndexByte(name, '{')
	if open < 0 {
		return []string{name}
	}
	depth, from := 0, open+1
	var options []string
	for i := open; i < len(name); i++ {
		switch c := name[i]; {
		case c == '{':
			depth++
		case c == '}' && depth > 1:
			depth--
		case c == '}':
			for _, option := range append(options, name[from:i]) {
				list = append(list, spellOut(name[:open]+option+name[i+1:])...)
			}
			return list
		case c == ',' && depth == 1:
			options = append(options, name[from:i])
			from = i + 1
		}
	}
	return []string{name}
}

func TestNamesOfARow(t *testing.T) {
	for _, c := range []struct{ rule, cell, want string }{
		{"what stands between backticks", "Cluster `spec.paused`, and `a`", "spec.paused a"},
		{"lists and maps are their fields", "`targets[].name` `m<>.ready`", "targets.name m.ready"},
		{"braces are written out", "`a_{b,c_{d,e}}_f`", "a_b_f a_c_d_f a_c_e_f"},
		{"a brace that stands open stays", "`{a,b`", "{a,b"},
	} {
		if got := strings.Join(names(c.cell), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
}

// fieldsOfKinds reads the tables of api/contract_test.go.
func fieldsOfKinds(t *testing.T) map[string][]field {
	t.Helper()
	tables := tablesOf(t, "../api/contract_test.go", "shared", "fields")
	all := map[string][]field{}
	count := map[string]bool{}
	for kind, text := range tables["fields"] {
		w := walker{t: t, shared: tables["shared"]}
		w.walk(text, "", kind+".", false)
		all[kind] = w.found
		for _, f := range w.found {
			count[f.id] = true
		}
	}
	if len(count) < 300 {
		t.Fatalf("only %d fields were found in api/contract_test.go: the test looks in the wrong place", len(count))
	}
	return all
}

// tablesOf are the maps of strings to strings that a file declares as these variables.
func tablesOf(t *testing.T, file string, variables ...string) map[string]map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	must(t, err)
	tables := map[string]map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !slices.Contains(variables, spec.Names[0].Name) {
			return true
		}
		table := map[string]string{}
		for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
			pair := element.(*ast.KeyValueExpr)
			table[text(t, pair.Key)] = text(t, pair.Value)
		}
		tables[spec.Names[0].Name] = table
		return false
	})
	return tables
}

func text(t *testing.T, e ast.Expr) string {
	t.Helper()
	s, err := strconv.Unquote(e.(*ast.BasicLit).Value)
	must(t, err)
	return s
}

// walker turns a description of fields into a list of them.
type walker struct {
	t      *testing.T
	shared map[string]string
	found  []field
}

var tokenOf = regexp.MustCompile(`[{}+]|[^\s{}+]+`)

// walk adds the fields of text, which stand below path and are described at id. What stands behind a + is ours.
func (w *walker) walk(text, path, id string, ours bool) {
	type level struct {
		path, id string
		ours     bool
	}
	stack := []level{{path, id, ours}}
	tokens := tokenOf.FindAllString(text, -1)
	for i, token := range tokens {
		top := &stack[len(stack)-1]
		name := strings.NewReplacer("[]", "", "<>", "").Replace(strings.Split(token, ":")[0])
		group, isGroup := strings.CutPrefix(name, "@")
		switch {
		case token == "{": // opened by the name before it
		case token == "}":
			stack = stack[:len(stack)-1]
		case token == "+":
			top.ours = true
		case isGroup && w.shared[group] == "":
			w.t.Fatalf("there is no group %s of fields", group)
		case isGroup:
			w.walk(w.shared[group], top.path, group+".", top.ours)
		case i+1 < len(tokens) && tokens[i+1] == "{":
			stack = append(stack, level{top.path + name + ".", top.id + name + ".", top.ours})
		default:
			w.found = append(w.found, field{top.path + name, top.id + name, top.ours})
		}
	}
}
