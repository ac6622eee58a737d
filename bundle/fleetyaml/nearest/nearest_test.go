package nearest

import "testing"

func TestWord(t *testing.T) {
	keys := []string{"targetCustomizations", "targets", "helm", "kustomize", "namespace", "name"}
	for _, c := range []struct{ rule, typed, want string }{
		{"a British spelling finds the American one", "targetCustomisations", "targetCustomizations"},
		{"a difference in case is the same word", "targetcustomizations", "targetCustomizations"},
		{"swapped neighbours are one edit", "hlem", "helm"},
		{"a missing letter is one edit", "namespce", "namespace"},
		{"the closest word wins", "nam", "name"},
		{"a word that resembles none has no proposal", "replicas-on-monday", ""},
		{"a short word is not stretched to just anything", "x", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if got, _ := Word(c.typed, keys); got != c.want {
				t.Errorf("Word(%q) = %q, want %q", c.typed, got, c.want)
			}
		})
	}
	if got, want := Hint("hlem", keys), `; did you mean "helm"?`; got != want {
		t.Errorf("Hint = %q, want %q", got, want)
	}
}
