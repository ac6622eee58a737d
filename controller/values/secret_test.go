package values

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const canary = "canary-7d1f"

func bundle() *fleet.Bundle {
	helm := func() *fleet.HelmOptions {
		return &fleet.HelmOptions{Values: &fleet.GenericMap{Data: map[string]any{"password": canary}}, TemplateValues: map[string]string{"x": canary}}
	}
	kustomize := func() *fleet.KustomizeOptions {
		return &fleet.KustomizeOptions{NamePrefix: "eu-", Patches: []fleet.KustomizePatch{{Patch: canary, Target: &fleet.KustomizeSelector{Name: "web"}}}}
	}
	b := &fleet.Bundle{}
	b.Name = "web"
	b.Spec.Kustomize = kustomize()
	b.Spec.Helm = helm()
	for _, name := range []string{"production", "a name with spaces", "production", "values.yaml"} {
		t := fleet.BundleTarget{Name: name}
		t.Helm, t.Kustomize = helm(), kustomize()
		b.Spec.Targets = append(b.Spec.Targets, t)
	}
	b.Spec.Targets = append(b.Spec.Targets, fleet.BundleTarget{Name: "none"})
	return b
}

func TestExtractLeavesNoValueBehind(t *testing.T) {
	b := bundle()
	s, err := Extract(b)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), canary) {
		t.Errorf("the Bundle still shows a value: %s", data)
	}
	if b.Spec.ValuesHash == "" || b.Spec.ValuesHash != s.hash() {
		t.Errorf("valuesHash is %q", b.Spec.ValuesHash)
	}
}

func TestIntoBringsEveryValueBack(t *testing.T) {
	b := bundle()
	s, err := Extract(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.into(b); err != nil {
		t.Fatal(err)
	}
	b.Spec.ValuesHash = ""
	if d := cmp.Diff(bundle(), b); d != "" {
		t.Errorf("out and in changes the Bundle: %s", d)
	}
}

func TestNoValuesNoHash(t *testing.T) {
	b := &fleet.Bundle{}
	if _, err := Extract(b); err != nil || b.Spec.ValuesHash != "" {
		t.Errorf("valuesHash %q, %v", b.Spec.ValuesHash, err)
	}
}
