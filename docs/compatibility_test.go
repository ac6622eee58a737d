package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row is one line of the tables in compatibility/: what Fleet has, and what became of it.
type row struct {
	page, what, verdict, how string
	tests                    []string // dir.TestName, or dir.TestName/a row of it
}

// verdicts are the words that a row may say.
var verdicts = []string{"same", "better", "refused"}

const compatibilityHead = "| what | verdict | how | test |"

func TestEveryRowOfTheContractNamesATestThatIsThere(t *testing.T) {
	known := map[string]map[string]bool{}
	for _, r := range contract(t) {
		switch {
		case !slices.Contains(verdicts, r.verdict):
			t.Errorf("%s: %s: the verdict is %q; it is one of %s", r.page, r.what, r.verdict, strings.Join(verdicts, ", "))
		case r.verdict != "same" && r.how == "":
			t.Errorf("%s: %s: %s, but how is not said", r.page, r.what, r.verdict)
		case len(r.tests) == 0:
			t.Errorf("%s: %s: it names no test", r.page, r.what)
		}
		for _, name := range r.tests {
			if err := proof(t, known, name); err != nil {
				t.Errorf("%s: %s: %v", r.page, r.what, err)
			}
		}
	}
}

func TestNoRowOfTheContractStandsTwice(t *testing.T) {
	seen := map[string]string{}
	for _, r := range contract(t) {
		if page, ok := seen[r.what]; ok {
			t.Errorf("%s: %s: the same row is on page %s", r.page, r.what, page)
		}
		seen[r.what] = r.page
	}
}

var counted = regexp.MustCompile(`(?s)More than (\d+) rows .*?At least (\d+) are the\s+same,\s+(\d+) better and (\d+) refused`)

// TestTheOverviewCountsTheRows holds the round numbers of compatibility.md: each is reached, and not left far behind.
func TestTheOverviewCountsTheRows(t *testing.T) {
	rows, found := contract(t), counted.FindStringSubmatch(prose(t, "compatibility.md"))
	if found == nil {
		t.Fatalf("compatibility.md: no sentence like %s", counted)
	}
	for i, verdict := range []string{"", "same", "better", "refused"} {
		have := 0
		for _, r := range rows {
			if verdict == "" || r.verdict == verdict {
				have++
			}
		}
		said, err := strconv.Atoi(found[i+1])
		must(t, err)
		if have < said || have > said+50 {
			t.Errorf("compatibility.md: it says %d, and there are %d rows %s", said, have, verdict)
		}
	}
}

// contract are all rows.
func contract(t *testing.T) (rows []row) {
	t.Helper()
	for _, page := range pages(t) {
		if !strings.HasPrefix(page, "compatibility/") {
			continue
		}
		in := false
		for line := range strings.Lines(prose(t, page)) {
			line = strings.TrimSpace(line)
			switch {
			case line == compatibilityHead:
				in = true
			case !strings.HasPrefix(line, "|"):
				in = false
			case in && !strings.HasPrefix(line, "| ---"):
				rows = append(rows, readRow(t, page, line))
			}
		}
	}
	return rows
}

func readRow(t *testing.T, page, line string) row {
	t.Helper()
	cells := strings.Split(strings.Trim(strings.ReplaceAll(line, `\|`, "\x00"), "|"), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(c, "\x00", `\|`))
	}
	if len(cells) != 4 {
		t.Fatalf("%s: a row has %d cells, want 4: %s", page, len(cells), line)
	}
	r := row{page: page, what: cells[0], verdict: cells[1], how: cells[2]}
	for i, part := range strings.Split(cells[3], "`") {
		if i%2 == 1 {
			r.tests = append(r.tests, part)
		}
	}
	return r
}

// proof tells whether a test is where a row says: dir.TestName, dir.TestName/row, or a script of a directory's TestScripts.
func proof(t *testing.T, known map[string]map[string]bool, name string) error {
	t.Helper()
	dir, rest, ok := strings.Cut(name, ".Test")
	if !ok {
		return fmt.Errorf("%q is no test: want dir.TestName or dir.TestName/row", name)
	}
	function, row, hasRow := strings.Cut("Test"+rest, "/")
	if known[dir] == nil {
		known[dir] = testsOf(t, filepath.Join("..", filepath.FromSlash(dir)))
	}
	if !known[dir]["func "+function] {
		return fmt.Errorf("there is no %s in %s", function, dir)
	}
	if !hasRow || known[dir][row] {
		return nil
	}
	if _, err := os.Stat(filepath.Join("..", dir, "testdata", "script", row+".txtar")); err == nil {
		return nil
	}
	return fmt.Errorf("%s in %s has no row %q", function, dir, row)
}

// testsOf are the test functions of a directory, as "func TestName", and all strings in its tests: rows are among them.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	must(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		must(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				found["func "+n.Name.Name] = true
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					found[text] = true
				}
			}
			return true
		})
	}
	return found
}
