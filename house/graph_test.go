package house

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "flotilla.io/flotilla"

// graph is every package that the module needs, tests aside, by import path.
type graph map[string]pkg

type pkg struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

// loaded is the module as `go list` sees it, asked once. A package that does not build is judged by the imports that it
// has: to say that it does not build is the compiler's business.
var loaded = sync.OnceValues(func() (graph, error) {
	if err := lookAround(); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Dir = ".." // the module's root
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("running %s: %w", strings.Join(cmd.Args, " "), err)
	}
	g := graph{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading what go list prints: %w", err)
		}
		g[p.ImportPath] = p
	}
})

// lookAround opens every folder of the module, so that go test knows what this test depends on: it sees what a test opens,
// not what go list does, and would answer from its cache after a change elsewhere.
func lookAround() error {
	return filepath.WalkDir("..", func(folder string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's file, gone meanwhile
		}
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && folder != ".." {
			return fs.SkipDir
		}
		return err
	})
}

// modules is a copy of the loaded graph, for a test to change.
func modules(t *testing.T) graph {
	t.Helper()
	g, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return maps.Clone(g)
}

// in says whether an import path is one of places or lies below one.
func in(importPath string, places ...string) bool {
	return slices.ContainsFunc(places, func(place string) bool {
		return importPath == place || strings.HasPrefix(importPath, place+"/")
	})
}

// our are the module's own rooms as import paths.
func our(rooms ...string) []string {
	paths := make([]string, len(rooms))
	for i, room := range rooms {
		paths[i] = module + "/" + room
	}
	return paths
}

// below are the packages in places, sorted.
func (g graph) below(places ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(g)), func(p string) bool { return !in(p, places...) })
}

// walk lists what the packages in places reach, nearest first, and from where it came to each. It does not look behind
// those that stop picks.
func (g graph) walk(places []string, stop func(importPath string) bool) (reached []string, cameFrom map[string]string) {
	reached = g.below(places...)
	cameFrom = map[string]string{}
	for _, start := range reached {
		cameFrom[start] = ""
	}
	for i := 0; i < len(reached); i++ {
		if stop(reached[i]) {
			continue
		}
		for _, next := range g[reached[i]].Imports {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = reached[i]
				reached = append(reached, next)
			}
		}
	}
	return reached, cameFrom
}

// chains are the shortest ways from the packages in places to what wrong picks, one for each wrong package, and not
// looking behind what stop picks.
func (g graph) chains(places []string, wrong, stop func(importPath string) bool) (found []string) {
	reached, cameFrom := g.walk(places, func(p string) bool { return wrong(p) || stop(p) })
	for _, p := range reached {
		if wrong(p) {
			found = append(found, chain(cameFrom, p))
		}
	}
	return found
}

// chain writes the way to an import path, ours without the module.
func chain(cameFrom map[string]string, to string) string {
	text := short(to)
	for at := cameFrom[to]; at != ""; at = cameFrom[at] {
		text = short(at) + " → " + text
	}
	return text
}

func short(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

// use is a name of another package that a file of ours mentions.
type use struct {
	Package, Name string
	Where         string // file:line
}

// uses are the names that the package's own files take from the packages that it imports.
func (p pkg) uses(t *testing.T) (all []use) {
	t.Helper()
	p.inspect(t, func(imported map[string]string, where string, n ast.Node) {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if left, ok := selector.X.(*ast.Ident); ok && imported[left.Name] != "" {
				all = append(all, use{imported[left.Name], selector.Sel.Name, where})
			}
		}
	})
	return all
}

// calls says whether the package calls a method of one of these names, on whatever value.
func (p pkg) calls(t *testing.T, methods ...string) (found bool) {
	t.Helper()
	p.inspect(t, func(imported map[string]string, _ string, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains(methods, selector.Sel.Name) {
			return
		}
		left, ok := selector.X.(*ast.Ident)
		found = found || !ok || imported[left.Name] == ""
	})
	return found
}

// inspect shows each node of the package's files, with the file's imports by the names that they have in it.
func (p pkg) inspect(t *testing.T, show func(imported map[string]string, where string, n ast.Node)) {
	t.Helper()
	for _, name := range p.GoFiles {
		file := parsed(t, filepath.Join(p.Dir, name))
		imported := map[string]string{}
		for _, spec := range file.Imports {
			importPath, _ := strconv.Unquote(spec.Path.Value) // the parser takes only what unquotes
			imported[path.Base(importPath)] = importPath
			if spec.Name != nil {
				imported[spec.Name.Name] = importPath
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				show(imported, fmt.Sprintf("%s:%d", name, positions.Position(n.Pos()).Line), n)
			}
			return true
		})
	}
}

var (
	positions   = token.NewFileSet()
	parsedFiles = map[string]*ast.File{}
)

// parsed reads a file once for all tests, which do not run at the same time.
func parsed(t *testing.T, name string) *ast.File {
	t.Helper()
	if parsedFiles[name] == nil {
		file, err := parser.ParseFile(positions, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("reading what a package uses: %v", err)
		}
		parsedFiles[name] = file
	}
	return parsedFiles[name]
}
