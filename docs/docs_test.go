// Package docs holds the pages for users and the decisions behind the code; its test keeps them in step with the code.
package docs

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	crd "flotilla.io/flotilla/charts/flotilla-crd"
)

// notServed is the page of the kinds that have no page of their own.
const notServed = "kinds/not-served.md"

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	fenced    = regexp.MustCompile("(?ms)^```.*?^```")
	noSlug    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func TestEveryRelativeLinkResolves(t *testing.T) {
	for _, file := range append(pages(t), "../README.md", "../examples/README.md", "../examples/features/README.md") {
		for _, found := range link.FindAllStringSubmatch(prose(t, file), -1) {
			if err := resolve(t, file, found[1]); err != nil {
				t.Errorf("%s: link to %s: %v", file, found[1], err)
			}
		}
	}
}

// resolve finds what a link leads to; what stands on another host is not looked at.
func resolve(t *testing.T, from, to string) error {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return nil
	}
	to, section, inPage := strings.Cut(to, "#")
	file := from
	if to != "" {
		file = path.Join(path.Dir(from), to)
	}
	if _, err := os.Stat(filepath.FromSlash(file)); err != nil {
		return err
	}
	if !inPage || slices.Contains(sections(t, file), section) {
		return nil
	}
	return fmt.Errorf("the page has no section %q", section)
}

// sections are the names by which the headings of a page can be linked to.
func sections(t *testing.T, file string) []string {
	var names []string
	for _, found := range heading.FindAllStringSubmatch(prose(t, file), -1) {
		name := noSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(found[1])), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func TestEveryPageCanBeFoundFromTheIndex(t *testing.T) {
	all, reached, todo := pages(t), map[string]bool{"README.md": true}, []string{"README.md"}
	for len(todo) > 0 {
		page := todo[0]
		todo = todo[1:]
		for _, found := range link.FindAllStringSubmatch(prose(t, page), -1) {
			to, _, _ := strings.Cut(found[1], "#")
			if to = path.Join(path.Dir(page), to); slices.Contains(all, to) && !reached[to] {
				reached[to] = true
				todo = append(todo, to)
			}
		}
	}
	for _, page := range all {
		if !reached[page] {
			t.Errorf("%s: no link leads here from README.md", page)
		}
	}
}

func TestEveryReasonAndConditionOfTheAPIIsExplained(t *testing.T) {
	var all strings.Builder
	for _, page := range pages(t) {
		all.WriteString(prose(t, page))
	}
	constants := apiConstants(t, "../api/v1alpha1")
	if len(constants) == 0 {
		t.Fatal("no constant was found in api/v1alpha1: the test looks in the wrong place")
	}
	for name, value := range constants {
		if !strings.Contains(all.String(), "`"+value+"`") {
			t.Errorf("api/v1alpha1.%s: no page explains `%s`", name, value)
		}
	}
}

// apiConstants are the values of the exported constants of a package that name a condition, a reason or a state.
func apiConstants(t *testing.T, dir string) map[string]string {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	must(t, err)
	constants := map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		must(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			typed, _ := spec.Type.(*ast.Ident)
			for i, name := range spec.Names {
				isState := typed != nil && (typed.Name == "BundleState" || typed.Name == "Health")
				if !isState && !strings.HasPrefix(name.Name, "Reason") && !strings.HasPrefix(name.Name, "Condition") || i >= len(spec.Values) {
					continue
				}
				if text, ok := spec.Values[i].(*ast.BasicLit); ok && text.Kind == token.STRING {
					constants[name.Name], err = strconv.Unquote(text.Value)
					must(t, err)
				}
			}
			return true
		})
	}
	return constants
}

func TestEveryKindHasAPage(t *testing.T) {
	without := prose(t, notServed)
	for group, add := range map[schema.GroupVersion]func(*runtime.Scheme) error{
		fleet.GroupVersion: fleet.AddToScheme, flotilla.GroupVersion: flotilla.AddToScheme,
	} {
		s := runtime.NewScheme()
		must(t, add(s))
		for kind, goType := range s.KnownTypes(group) {
			if strings.HasSuffix(kind, "List") || !strings.HasPrefix(goType.PkgPath(), "flotilla.io/flotilla/api/") {
				continue
			}
			_, err := os.Stat(filepath.Join("kinds", strings.ToLower(kind)+".md"))
			served := err == nil
			listed := strings.Contains(without, "| `"+kind+"` |")
			switch {
			case !served && !listed:
				t.Errorf("kind %s: it has neither a page kinds/%s.md nor a row in %s", kind, strings.ToLower(kind), notServed)
			case served && listed:
				t.Errorf("kind %s: it has a page, and a row in %s that says it is not served", kind, notServed)
			}
		}
	}
}

func TestEveryColumnIsExplained(t *testing.T) {
	definitions, err := crd.All()
	must(t, err)
	for _, d := range definitions {
		page := path.Join("kinds", strings.ToLower(d.Spec.Names.Kind)+".md")
		if _, err := os.Stat(filepath.FromSlash(page)); err != nil {
			continue // TestEveryKindHasAPage
		}
		text := prose(t, page)
		for _, column := range d.Spec.Versions[0].AdditionalPrinterColumns {
			if row := fmt.Sprintf("\n| %s |", column.Name); !strings.Contains(text, row) {
				t.Errorf("%s: no row explains column %s (%s)", page, column.Name, column.JSONPath)
			}
		}
	}
}

// TestEveryExampleCanBeRead holds that what a page shows is taken as it stands: a manifest by the API's own types, without
// unknown fields, and a fleet.yaml by its parser.
func TestEveryExampleCanBeRead(t *testing.T) {
	s := runtime.NewScheme()
	must(t, fleet.AddToScheme(s))
	must(t, flotilla.AddToScheme(s))
	must(t, corev1.AddToScheme(s))
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, s, s, json.SerializerOptions{Yaml: true, Strict: true})
	for _, page := range pages(t) {
		data, err := os.ReadFile(filepath.FromSlash(page))
		must(t, err)
		for _, example := range yamlBlock.FindAllStringSubmatch(string(data), -1) {
			text, err := []byte(example[1]), error(nil)
			if strings.HasPrefix(example[1], "apiVersion:") {
				for _, document := range strings.Split(example[1], "\n---\n") {
					_, _, problem := decoder.Decode([]byte(document), nil, nil)
					err = errors.Join(err, problem)
				}
			} else {
				_, err = fleetyaml.Parse("fleet.yaml", text)
			}
			if err != nil {
				t.Errorf("%s: %v, in the example\n%s", page, err, text)
			}
		}
	}
}

// pages are all pages below this folder.
func pages(t *testing.T) []string {
	var list []string
	must(t, fs.WalkDir(os.DirFS("."), ".", func(name string, _ fs.DirEntry, err error) error {
		if path.Ext(name) == ".md" {
			list = append(list, name)
		}
		return err
	}))
	if len(list) == 0 {
		t.Fatal("there are no pages: the test runs in the wrong folder")
	}
	return list
}

// prose is a page without its code blocks.
func prose(t *testing.T, file string) string {
	data, err := os.ReadFile(filepath.FromSlash(file))
	must(t, err)
	return fenced.ReplaceAllString(string(data), "")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
