package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flotilla.io/flotilla/bundle/expression"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/preview"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/pipeline"
)

// TestOneCommitRestores throws the switch of packs/velero.
func TestOneCommitRestores(t *testing.T) {
	seen := target.Assumed{"velero-dr": {"backup": "2026-11-24T02:00:41Z"}}
	for _, c := range []struct {
		rule, commit string
		inputs       target.Assumed
		cluster      string
		want         []string // Restores and their namespaces, or what it waits for
	}{
		{"it is restored on the standby", "dr: {restore: production}", seen, "cluster-gcp", []string{"dr-production of production"}},
		{"once more under another name", "dr: {restore: production, run: second}", seen, "cluster-gcp", []string{"dr-production-second of production"}},
		{"never on a source", "dr: {restore: production}", seen, "cluster-aws", nil},
		{"not before there is a backup", "dr: {restore: production}", nil, "cluster-gcp", []string{"bundle velero-dr: only a hub knows input backup"}},
		{"not without the switch", "dr: {}", seen, "cluster-gcp", nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS("packs/velero")))
			must(t, os.WriteFile(filepath.Join(dir, "dr", "dr.yaml"), []byte(c.commit), 0o600))
			tree, err := source.Dir(dir)
			must(t, err)
			fleet := preview.Fleet{Capabilities: render.Capabilities{KubernetesVersion: kubernetes, APIs: render.BuiltIn()}, Inputs: c.inputs}
			fleet.Clusters, fleet.Groups, err = pipeline.ParseClusters(read(t, "testdata/packs/velero/clusters.yaml"))
			must(t, err)
			shown, err := preview.Show(t.Context(), tree, everyone("velero"), standIns, fleet)
			must(t, err)
			if got := restores(shown, c.cluster); strings.Join(got, ", ") != strings.Join(c.want, ", ") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func restores(shown []preview.Outcome, cluster string) (out []string) {
	for _, o := range shown {
		switch {
		case o.Bundle != "velero-dr" || o.Cluster != cluster:
		case o.Err != nil:
			said, _, _ := strings.Cut(o.Err.Error(), " (")
			out = append(out, strings.TrimPrefix(said, "inputs: "))
		default:
			for _, u := range o.Objects {
				spec := u.Object["spec"].(map[string]any)
				for _, ns := range spec["includedNamespaces"].([]any) {
					out = append(out, u.GetName()+" of "+ns.(string))
				}
			}
		}
	}
	return out
}

// TestOutputsOfVelero evaluates the outputs of packs/velero over what Velero writes.
func TestOutputsOfVelero(t *testing.T) {
	one := func(phase, created, completed string) any {
		o := map[string]any{"metadata": map[string]any{"creationTimestamp": created}}
		if phase != "" {
			o["status"] = map[string]any{"phase": phase}
		}
		if completed != "" {
			o["status"].(map[string]any)["completionTimestamp"] = completed
		}
		return o
	}
	const committed, later, done = "2026-11-24T10:00:00Z", "2026-11-24T10:00:30Z", "2026-11-24T10:02:05Z"
	for _, c := range []struct {
		rule, bundle, output string
		items                []any
		want                 any
	}{
		{"the newest backup counts, in whatever order they come", "storage", "newest_backup", []any{one("Completed", committed, done), one("Completed", committed, later)}, done},
		{"one that is not complete does not", "storage", "newest_backup", []any{one("Completed", committed, later), one("Failed", committed, done), one("InProgress", later, ""), one("", later, "")}, later},
		{"before the first one there is no value", "storage", "newest_backup", []any{}, nil},
		{"the end of the last Restore", "dr", "restored", []any{one("Completed", later, done), one("InProgress", later, "")}, done},
		{"the RTO counts from the commit", "dr", "rto_seconds", []any{one("Completed", later, done)}, int64(125)},
		{"a Restore that is older than the commit is none of it", "dr", "rto_seconds", []any{one("Completed", "2026-11-24T09:00:00Z", done)}, nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			e, err := expression.Compile(output(t, "packs/velero/"+c.bundle, c.output), expression.Self, expression.Bundle)
			must(t, err)
			got, err := e.Value(t.Context(), map[string]any{
				expression.Self:   map[string]any{"items": c.items},
				expression.Bundle: map[string]any{"committed": committed},
			})
			must(t, err)
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// output is the expression of a bundle's output.
func output(t *testing.T, dir, name string) string {
	t.Helper()
	file, err := fleetyaml.Parse("fleet.yaml", read(t, filepath.Join(dir, "fleet.yaml")))
	must(t, err)
	for _, o := range file.Outputs {
		if o.Name == name {
			return o.Value
		}
	}
	t.Fatalf("%s has no output %s", dir, name)
	return ""
}
