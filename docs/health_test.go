package docs

import (
	"regexp"
	"strings"
	"testing"

	"flotilla.io/flotilla/agent/health"
)

var ruleRow = regexp.MustCompile("(?m)^\\| `([A-Za-z*]+(?:\\.[a-z0-9.-]+)?)`[^|]*\\|([^|]*)\\|([^|]*)\\|([^|]*)\\|$")

// TestTheTableOfHealthIsTheOneInTheCode: a row for each built-in rule, and a cell for each of its expressions.
func TestTheTableOfHealthIsTheOneInTheCode(t *testing.T) {
	rows := map[string][3]string{}
	for _, found := range ruleRow.FindAllStringSubmatch(prose(t, "tasks/health.md"), -1) {
		rows[found[1]] = [3]string{strings.TrimSpace(found[2]), strings.TrimSpace(found[3]), strings.TrimSpace(found[4])}
	}
	for _, b := range health.Builtins() {
		name := strings.TrimSuffix(b.Kind+"."+b.Group, ".")
		row, ok := rows[name]
		switch {
		case !ok:
			t.Errorf("tasks/health.md: no row for %s", name)
		case (row[0] == "as healthy") != (b.Ready == "") || row[1] == "" || (row[2] == "") != (b.Failed == ""):
			t.Errorf("tasks/health.md: the row of %s does not say what its rule does: %q", name, row)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("tasks/health.md: there is no rule for %s", name)
	}
}
