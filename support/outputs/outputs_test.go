package outputs

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"

	"flotilla.io/flotilla/controller/output"
)

// made are outputs of two clusters, one of which is lost.
var made = []output.Shown{
	{Bundle: "lb-ingress", Output: "endpoint", Cluster: "cluster-aws", Value: map[string]any{"address": "203.0.113.7", "weight": 100.0}, Takers: []string{"lb-dns", "other/lb"}},
	{Bundle: "lb-ingress", Output: "endpoint", Cluster: "cluster-gcp", Value: map[string]any{"address": "203.0.113.8"}, Left: "its agent is lost"},
	{Bundle: "lb-ingress", Output: "join", Cluster: "cluster-aws", Each: "fleet-default/cluster-gcp", Value: "a \"quoted\" ${text}"},
	{Bundle: "lb-ingress", Output: "psk", Sensitive: true},
	{Bundle: "lb-ingress", Output: "token", Cluster: "cluster-aws", Sensitive: true, Error: "Secret x/y does not exist"},
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		rule, format string
		qualified    bool
		want         []string
	}{
		{"a table names who takes it, and what is wrong", "table", false, []string{
			"BUNDLE       OUTPUT     CLUSTER       FOR                         VALUE                                    TAKEN-BY          STATUS",
			`lb-ingress   endpoint   cluster-aws                               {"address":"203.0.113.7","weight":100}   lb-dns,other/lb   `,
			"lb-ingress   psk                                                  (sensitive)",
			"(sensitive)                                                Secret x/y does not exist", "its agent is lost"}},
		{"names are told once", "name", false, []string{"lb-ingress/endpoint\nlb-ingress/join\nlb-ingress/psk\nlb-ingress/token\n"}},
		{"variables are maps by cluster", "tfvars", false, []string{"endpoint = {\n  cluster-aws = {\n    address = \"203.0.113.7\"\n    weight  = 100\n  }\n",
			"join = {\n  cluster-aws = {\n    \"fleet-default/cluster-gcp\" = \"a \\\"quoted\\\" $${text}\"\n  }\n}\n"}},
		{"of several bundles they bear the bundle's name", "tfvars", true, []string{"lb_ingress_endpoint = {\n"}},
		{"data is a list", "json", false, []string{`"cluster": "cluster-aws",`, `"sensitive": true`}},
		{"as YAML, too", "yaml", false, []string{"- bundle: lb-ingress\n  cluster: cluster-aws\n", "  leftOut: its agent is lost\n"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var out bytes.Buffer
			if err := Print(&out, made, c.format, c.qualified); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("lacks %q in\n%s", want, &out)
				}
			}
			if c.format == "tfvars" {
				if _, problems := hclparse.NewParser().ParseHCL(out.Bytes(), "x.tfvars"); problems.HasErrors() || strings.Contains(out.String(), "psk") {
					t.Errorf("%v in\n%s", problems, &out)
				}
			}
		})
	}
	if err := Print(&bytes.Buffer{}, made, "xml", false); err == nil || !strings.Contains(err.Error(), "want one of table, json, yaml, tfvars, name") {
		t.Errorf("another format is refused: %v", err)
	}
}

func TestHealthyOnly(t *testing.T) {
	some, err := Healthy(made)
	if err != nil || len(some) != len(made)-1 {
		t.Errorf("the lost one is left out: %v, %v", some, err)
	}
	if _, err := Healthy(made[1:2]); !errors.Is(err, ErrNoneHealthy) || !strings.Contains(err.Error(), "output endpoint of bundle lb-ingress: no cluster is healthy; keep what was written last: cluster-gcp: its agent is lost") {
		t.Errorf("the last one never leaves: %v", err)
	}
}
