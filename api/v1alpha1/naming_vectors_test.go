package v1alpha1

import (
	"strings"
	"testing"
)

// TestNamingVectors holds names that were made by a second program, written down from the rules of Fleet's contract alone: one row
// for each way to be odd.
func TestNamingVectors(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, row := range []struct{ rule, in, want string }{
		{"one dot", "a.b", "a-b-e32b629f"},
		{"one underscore", "a_b", "a-b-dbf08e00"},
		{"one capital", "a/B", "a-b-0c0b5638"},
		{"capital alone", "A", "a-7fc56270"},
		{"a version in the path", "apps/web.v2", "apps-web-v2-075362e5"},
		{"an underscore there", "apps/web_v2", "apps-web-v2-2dd37508"},
		{"a space there", "apps/web v2", "apps-web-v2-d20973a3"},
		{"two slashes", "apps//web", "apps-web"},
		{"a dash at the start of an element", "apps/-web", "apps-web"},
		{"a dash at the start", "-apps", "apps"},
		{"a dash at the end", "apps-", "apps"},
		{"two dashes, without a hash", "a--b", "a-b"},
		{"dots between dashes", "a-.-b", "a-b-f5e139c8"},
		{"a letter beyond ASCII", "ä", "8419b71c"},
		{"one in a word", "apps/größe", "apps-gr-e-6129ade2"},
		{"no letter of ASCII", "日本", "4dbed2e6"},
		{"none in one element", "apps/日本", "apps-ae0d788f"},
		{"a digit", "0", "0"},
		{"plus", "a+b", "a-b-65c884f7"},
		{"at", "a@b", "a-b-a1ca0ed6"},
		{"tilde", "a~b", "a-b-9ded8251"},
		{"colon", "a:b", "a-b-d8160c9b"},
		{"star", "a*b", "a-b-5d74a67f"},
		{"quote", "a'b", "a-b-0125f3b2"},
		{"tab", "a\tb", "a-b-6f7f0b43"},
		{"a file of a driven scan, its last extension off", "repo/apps/web/fleet.prod", "repo-apps-web-fleet-prod-22440fcf"},
		{"one in a directory", "repo/apps/web/env/prod", "repo-apps-web-env-prod"},
		{"many short elements", "repo/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z", "repo-a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q-r-s-t-u-621b1"},
		{"dashes only", "--", "cfab1ba8c67c7c838db98d66"},
		{"dots only", "...", "2f43b42f"},
		{"an underscore only", "_", "b14a7b80"},
		{"a capital and a slash", "A/", "a-f0412e3c"},
		{"capitals deep down", "company-apps/apps/API-Service/production", "company-apps-apps-api-service-production-19f2f749"},
		{"all at once", "k8s-fleet/clusters/EU_West-1/", "k8s-fleet-clusters-eu-west-1-00545083"},
		{"a host in front", "infra.example.com/network", "infra-example-com-network-648d66bf"},
		{"capitals in front", "UPPER/lower", "upper-lower-31494c7f"},
		{"53 characters", x(53), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		{"54 characters", x(54), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-61ea0"},
		{"a dash where it is cut", x(46) + "-yyyyyyyyyy", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-d3251"},
		{"a dash right behind the cut", x(47) + "-yyyyyyyyyy", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-2761e"},
		{"two dashes at the cut", x(46) + "--yyyyyyyyyy", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-d3251"},
		{"44 capitals and their hash fit", strings.ToUpper(x(44)), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-b69665c6"},
		{"45 and a dot are cut behind the first hash", x(45) + ".y", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-y-4d189"},
		{"a capital beyond the cut counts, too", x(60) + ".Y", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-984be"},
		{"a slash at the end of 52", x(52) + "/", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		{"a slash before 53", "/" + x(53), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		{"63 characters of a deep path", "repo/" + strings.Repeat("dir/", 14) + "ab", "repo-dir-dir-dir-dir-dir-dir-dir-dir-dir-dir-di-ed0e4"},
	} {
		if got := HelmReleaseName(row.in); got != row.want {
			t.Errorf("%s: %q became %q, want %q", row.rule, row.in, got, row.want)
		}
	}
}

// FuzzHelmReleaseName: whatever the text, the name is one that an API server takes, is the same each time, and is its own name.
func FuzzHelmReleaseName(f *testing.F) {
	for _, text := range []string{"", "web", "a.b", "/", "A", "日本/größe", strings.Repeat("x", 54), strings.Repeat("-", 60), strings.Repeat("a/", 40)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name := HelmReleaseName(text)
		if len(name) > MaxReleaseNameLen || !dnsLabel.MatchString(name) || strings.Contains(name, "--") {
			t.Errorf("%q became %q", text, name)
		}
		if again := HelmReleaseName(name); again != name {
			t.Errorf("%q became %q, which became %q", text, name, again)
		}
	})
}

// FuzzSafeConcatName: parts that differ give names that differ, none too long.
func FuzzSafeConcatName(f *testing.F) {
	f.Add("a", "b")
	f.Add(strings.Repeat("x", 64), "")
	f.Add(strings.Repeat("x", 56), strings.Repeat("-", 20))
	f.Fuzz(func(t *testing.T, one, two string) {
		name := SafeConcatName(one, two)
		if joined := one + "-" + two; len(name) > 63 || len(joined) <= 63 && name != joined {
			t.Errorf("%q and %q became %q", one, two, name)
		}
	})
}
