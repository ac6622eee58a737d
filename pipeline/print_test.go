package pipeline

import (
	"bytes"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestSecretsAreHidden(t *testing.T) {
	objects := []*unstructured.Unstructured{
		{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "data": map[string]any{"password": "aHVudGVyMg=="},
			"stringData": map[string]any{"token": "hunter2"}}},
		{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c"}, "data": map[string]any{"text": "shown"}}},
	}
	var hidden, shown bytes.Buffer
	must(t, PrintObjects(&hidden, objects, false))
	must(t, PrintObjects(&shown, objects, true))
	if text := hidden.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "aHVudGVyMg") || !strings.Contains(text, "password: (hidden)") || !strings.Contains(text, "text: shown") {
		t.Errorf("it prints\n%s", text)
	}
	if text := shown.String(); !strings.Contains(text, "token: hunter2") || !strings.Contains(text, "aHVudGVyMg") {
		t.Errorf("when asked for it prints\n%s", text)
	}
}
