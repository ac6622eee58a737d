package v1alpha1

import (
	"strings"
	"testing"
)

func TestHelmReleaseName(t *testing.T) {
	const fifty = "12345678901234567890123456789012345678901234567890"
	for _, row := range []struct{ rule, in, want string }{
		{"a name that is fine stays", "web", "web"},
		{"a slash is a dash, without a hash", "repo/apps/web", "repo-apps-web"},
		{"a capital letter leaves a hash", "Web", "web-c6e190b2"},
		{"a dot leaves a hash", "bundle.name.example.com", "bundle-name-example-com-645ef821"},
		{"any other character leaves a hash", "long-name-test-0.App_ ", "long-name-test-0-app-5bf6b3fb"},
		{"dashes in a row become one", "long-name-test--App_-_12.factor", "long-name-test-app-12-factor-0efbac37"},
		{"texts that differ in such a character only stay apart (at)", "long-name-test-shortpath-with@char", "long-name-test-shortpath-with-char-031bab5e"},
		{"texts that differ in such a character only stay apart (plus)", "long-name-test-shortpath-with+char", "long-name-test-shortpath-with-char-21c88393"},
		{"dashes at the ends go", "/web/", "web"},
		{"53 characters fit", fifty + "123", fifty + "123"},
		{"54 characters are cut and end in a hash", fifty + "123a", "12345678901234567890123456789012345678901234567-fdba4"},
		{"a dash before the hash is not doubled", fifty[:46] + "-1234567", "1234567890123456789012345678901234567890123456-d0bce"},
		{"a text without any usable character is a hash alone", "/", "6666cd76f96956469e7be39d"},
	} {
		if got := HelmReleaseName(row.in); got != row.want {
			t.Errorf("%s: %q became %q, want %q", row.rule, row.in, got, row.want)
		}
	}
}

func TestBundleName(t *testing.T) {
	for _, row := range []struct{ rule, repo, path, want string }{
		{"repository and path are joined", "company-apps", "apps/web", "company-apps-apps-web"},
		{"a deep path is joined whole", "company-apps", "apps/api-service/production", "company-apps-apps-api-service-production"},
		{"a slash at the end does not count", "company-apps", "apps/", "company-apps-apps"},
		{"an empty path is the repository alone", "company-apps", "", "company-apps"},
	} {
		if got := BundleName(row.repo, row.path); got != row.want {
			t.Errorf("%s: %q, %q became %q, want %q", row.rule, row.repo, row.path, got, row.want)
		}
	}
}

func TestLimit(t *testing.T) {
	for _, row := range []struct {
		rule, in string
		max      int
		want     string
	}{
		{"a short name stays", "12345678", 8, "12345678"},
		{"a long name ends in a hash", "12345678", 7, "1-25d55"},
		{"a longer limit keeps more", "123456789", 8, "12-25f9e"},
		{"a dash before the hash is not doubled", "1-3456789", 8, "1-9b657"},
		{"without room for a hash the name is only cut", "1234567", 6, "123456"},
		{"nor with still less room", "1234567", 5, "12345"},
	} {
		if got := Limit(row.in, row.max); got != row.want {
			t.Errorf("%s: %q within %d became %q, want %q", row.rule, row.in, row.max, got, row.want)
		}
	}
}

func TestSafeConcatName(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	for _, row := range []struct {
		rule  string
		parts []string
		want  string
	}{
		{"nothing is nothing", nil, ""},
		{"parts are joined with dashes", []string{"first", "second", "third"}, "first-second-third"},
		{"63 characters fit", []string{a(63)}, a(63)},
		{"64 characters are cut and end in a hash", []string{a(64)}, a(57) + "-ffe05"},
		{"what counts is the joined name", []string{a(32), a(32)}, a(32) + "-" + a(24) + "-da5ed"},
		{"a dash before the hash makes room for one more digit", []string{a(56) + "-" + a(7)}, a(56) + "-768c62"},
		{"a second dash stays", []string{a(55) + "--" + a(7)}, a(55) + "--9e8cfe"},
	} {
		if got := SafeConcatName(row.parts...); got != row.want {
			t.Errorf("%s: %q became %q, want %q", row.rule, row.parts, got, row.want)
		}
	}
}

func TestClusterNames(t *testing.T) {
	if got, want := ClusterNamespace("fleet-local", "local"), "cluster-fleet-local-local-1a3d67d0a899"; got != want {
		t.Errorf("the hub's own cluster has namespace %q, want %q as in Fleet", got, want)
	}
	long := ClusterNamespace("fleet-default", strings.Repeat("x", 63))
	if len(long) > 63 {
		t.Errorf("namespace %q has %d characters, a name may have 63", long, len(long))
	}
	if other := ClusterNamespace("fleet-default", strings.Repeat("x", 62)+"y"); other == long {
		t.Errorf("two clusters share the namespace %q", long)
	}
	if ClusterNamespace("a-b", "c") == ClusterNamespace("a", "b-c") {
		t.Error("clusters of two workspaces share a namespace")
	}
	if got, want := KeyHash(strings.Repeat("k", 101)), KeyHash(strings.Repeat("k", 100)); got != want {
		t.Errorf("a key's 101st character changes its hash from %q to %q; Fleet reads 100", want, got)
	}
	if got, want := ClusterNameFromClientID("1"), "cluster-6b86b273ff34"; got != want {
		t.Errorf("client 1 is named %q, want %q", got, want)
	}
}
