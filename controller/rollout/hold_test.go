package rollout

import (
	"fmt"
	"strings"
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("edge-%02d", i)
	}
	return out
}

func TestUnTargetNeedsAWord(t *testing.T) {
	for _, c := range []struct {
		rule           string
		leaving, total int
		want           bool
	}{
		{"three clusters go unasked, even when they are all", 3, 3, false},
		{"four of four need a word", 4, 4, true},
		{"a quarter goes unasked", 4, 16, false},
		{"more than a quarter needs a word", 5, 16, true},
		{"nobody leaving needs none", 0, 10, false},
	} {
		if got := NewUnTarget(names(c.leaving), c.total).NeedsWord(); got != c.want {
			t.Errorf("%s: NeedsWord = %v", c.rule, got)
		}
	}
}

func TestApprovalIsForOnePlanOnly(t *testing.T) {
	five := NewUnTarget(names(5), 6)
	yes := map[string]string{fleet.ApproveAnnotation: five.Plan()}
	if !five.Approved(yes) {
		t.Error("the plan that was approved is not let through")
	}
	if NewUnTarget(names(6), 6).Approved(yes) {
		t.Error("an approval for five clusters lets six go")
	}
	reversed := names(5)
	reversed[0], reversed[4] = reversed[4], reversed[0]
	if NewUnTarget(reversed, 6).Plan() != five.Plan() {
		t.Error("the plan depends on the order of names")
	}
}

func TestMessagesNameTheCommandThatEndsThem(t *testing.T) {
	hold, ok := HoldOf("cluster edge-1", "ws", map[string]string{fleet.HoldAnnotation: "audit"})
	if !ok || !strings.Contains(hold.String(), "flotilla resume cluster/edge-1 -n ws") || !strings.Contains(hold.String(), "audit") {
		t.Errorf("hold says %q", hold)
	}
	if _, ok := HoldOf("fleet", "", nil); ok {
		t.Error("a hold without an annotation")
	}
	msg := NewUnTarget(names(5), 6).Message("fleet-default", "web")
	if !strings.Contains(msg, "flotilla approve bundle/web -n fleet-default") || !strings.Contains(msg, "and 2 more") {
		t.Errorf("un-target says %q", msg)
	}
}
