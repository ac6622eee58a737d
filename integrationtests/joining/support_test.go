package joining

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
	"flotilla.io/flotilla/support/snapshot"
)

// support looks into a running hub with what the tool has for it, and leaves it as it was.
func support(t *testing.T, w *world.World) {
	w.Settled("fleet-app") // what was held just now is resumed, and may still be on its way
	dir := t.TempDir()
	job := job{terminal.New(t, "sh").With("KUBECONFIG=" + hub(w)), dir, filepath.Join(world.Bin(t), "flotilla")}
	t.Run("monitor shows what there is and that all is well", func(t *testing.T) {
		s := &snapshot.Snapshot{}
		must(t, json.Unmarshal([]byte(job.runs(t, "fleet monitor -n fleet-default")), s))
		if len(s.GitRepos) != 1 || len(s.Bundles) != 1 || len(s.BundleDeployments) != 2 || len(s.Clusters) != 2 || len(s.Contents) == 0 {
			t.Errorf("it shows %+v", s)
		}
		d := *s.Diagnostics
		if d.StuckBundleDeployments != nil || d.ClustersWithAgentIssues != nil || d.ContentIssuesCount > 0 || d.GitRepoBundleInconsistencies != nil {
			t.Errorf("in a settled fleet these stand out: %+v", d)
		}
		if !s.APIConsistency.Consistent || len(s.APIConsistency.Versions) != 3 {
			t.Errorf("the API is %+v", s.APIConsistency)
		}
	})
	t.Run("analyze names what a person holds", func(t *testing.T) {
		job.runs(t, "fleet hold bundle/fleet-app --reason 'looking into it'")
		out := job.runs(t, "fleet monitor -n fleet-default | fleet analyze --issues")
		job.runs(t, "fleet resume bundle/fleet-app")
		if !has(out, "Held (", "Bundle fleet-default/fleet-app: looking into it") {
			t.Errorf("it says\n%s", out)
		}
		in(t, w).Settled("fleet-app")
	})
	t.Run("bundlediff shows who changed what", func(t *testing.T) { differs(t, in(t, w), job) })
	t.Run("a dump has no Secrets and no contents unless they are asked for", func(t *testing.T) { dumps(t, job) })
	t.Run("a dump of one workspace is about it alone", func(t *testing.T) {
		job.dumps(t, "-p other.tgz -n fleet-local")
		for name := range unpack(t, filepath.Join(dir, "other.tgz")) {
			if strings.HasPrefix(name, "bundle") || strings.HasPrefix(name, "gitrepos_") {
				t.Errorf("it has %s", name)
			}
		}
	})
	t.Run("cleanup leaves the registrations that count", func(t *testing.T) {
		before := in(t, w).Kubectl("hub", "get", "clusterregistrations", "-A", "-o", "name")
		out := job.runs(t, "fleet cleanup clusterregistration")
		after := in(t, w).Kubectl("hub", "get", "clusterregistrations", "-A", "-o", "name")
		if before != after || !has(out, "0 of 2 cluster registrations deleted") {
			t.Errorf("it says\n%s\nbefore:\n%s\nafter:\n%s", out, before, after)
		}
	})
}

func differs(t *testing.T, w *world.World, job job) {
	w.Kubectl("b", "-n", "app", "label", "configmap", "a", "objectset.rio.cattle.io/hash=mine", "--overwrite", "--field-manager", "somebody")
	var out string
	w.Eventually("bundlediff telling", func() error {
		if out = job.runs(t, "fleet bundlediff -b fleet-app"); !has(out, "ConfigMap.v1 app/a: is modified", "by somebody") {
			return fmt.Errorf("it says\n%s", out)
		}
		return nil
	})
	if !has(out, "Bundle: fleet-app", "/fleet-app (cluster b)", "/metadata/labels/objectset.rio.cattle.io~1hash") {
		t.Errorf("it says\n%s", out)
	}
	namespace := strings.TrimSpace(w.Kubectl("hub", "-n", world.Workspace, "get", "clusters.fleet.cattle.io", "b", "-o", "jsonpath={.status.namespace}"))
	out = job.runs(t, "fleet bundlediff --fleet-yaml --bundle-deployment fleet-app -n "+namespace)
	if !has(out, "diff:\n  comparePatches:\n  - apiVersion: v1\n    kind: ConfigMap\n    name: a\n", "- op: remove\n      path: /metadata/labels/objectset.rio.cattle.io~1hash") {
		t.Errorf("it prints\n%s", out)
	}
	if out = job.runs(t, "fleet bundlediff --json -n "+namespace); !has(out, `"bundleDeploymentDiffs": [`, `"bundleName": "fleet-app"`) {
		t.Errorf("it prints\n%s", out)
	}
	w.Kubectl("b", "-n", "app", "delete", "configmap", "a")
	w.Push("fleet", map[string]string{"app/a.yaml": fmt.Sprintf(configMap, "a", "after the look")})
	says(w, "b", "after the look")
	w.Settled("fleet-app")
}

// dumps runs dump. The hub's controller is a process beside its API server here, so that its metrics cannot be read through it:
// that is named, and nothing else.
func (j job) dumps(t *testing.T, flags string) {
	t.Helper()
	out, err := j.p.In(t).Runs(j.dir, j.command("fleet dump "+flags))
	if terminal.ExitCode(err) != 2 || !has(out, "metrics of service monitoring-fleet-controller:", "flotilla: 1 thing left out") {
		t.Fatalf("dump %s ends with %v and says\n%s", flags, err, out)
	}
}

func dumps(t *testing.T, job job) {
	job.dumps(t, "-p hub.tgz -A")
	files := unpack(t, filepath.Join(job.dir, "hub.tgz"))
	for _, want := range []string{"gitrepos_fleet-default_fleet", "bundles_fleet-default_fleet-app", "clusters_fleet-default_a"} {
		if files[want] == "" {
			t.Errorf("%s is missing", want)
		}
	}
	for name, content := range files {
		if strings.HasPrefix(name, "secrets_") || strings.HasPrefix(name, "contents_") {
			t.Errorf("it has %s", name)
		}
		if strings.HasPrefix(name, "bundledeployments_") && !strings.Contains(content, "kind: BundleDeployment") {
			t.Errorf("%s holds\n%s", name, content)
		}
	}
	if info, err := os.Stat(filepath.Join(job.dir, "hub.tgz")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	job.dumps(t, "-p names.tgz -n fleet-default --gitrepo fleet --with-secrets-metadata --with-content-metadata")
	names := unpack(t, filepath.Join(job.dir, "names.tgz"))
	secret, content := names["secrets_cattle-fleet-system_flotilla-hub"], ""
	for name, text := range names {
		if strings.HasPrefix(name, "contents_") {
			content = text
		}
	}
	if secret == "" || content == "" || strings.Contains(secret+content, "\ndata:") || strings.Contains("\n"+content, "\ncontent:") {
		t.Errorf("with metadata it has\n%s\n%s", secret, content)
	}
	job.dumps(t, "-p all.tgz -n fleet-default --with-secrets --with-content")
	all := unpack(t, filepath.Join(job.dir, "all.tgz"))
	if !strings.Contains(all["secrets_cattle-fleet-system_flotilla-hub"], "data:\n  secret:") {
		t.Errorf("with Secrets it has\n%s", all["secrets_cattle-fleet-system_flotilla-hub"])
	}
}

// unpack reads an archive: its files by name.
func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	must(t, err)
	files, r := map[string]string{}, tar.NewReader(unzipped)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		data, err := io.ReadAll(r)
		must(t, err)
		files[header.Name] = string(data)
	}
}
