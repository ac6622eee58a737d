// Package api_test holds what is true of all kinds together: that the generated files are up to date, that every field and
// column of the contract is served, that Go types and schemas say the same, and that an API server agrees.
package api_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	crd "flotilla.io/flotilla/charts/flotilla-crd"
)

const chartTemplates = "../charts/flotilla-crd/templates"

func allCRDs(t *testing.T) []*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crds, err := crd.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(crds) != len(fields) {
		t.Fatalf("%d kinds are generated, the contract has %d", len(crds), len(fields))
	}
	return crds
}

func openAPI(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.JSONSchemaProps {
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

const readyMessage = `Status=.status.conditions[?(@.type=="Ready")].message`

// TestKinds holds scope, category, status subresource and columns of every kind.
func TestKinds(t *testing.T) {
	rows := map[string]struct {
		traits  string // words of: cluster (scope), fleet (category), nostatus
		columns []string
	}{
		"Bundle": {"", []string{"BundleDeployments-Ready=.status.display.readyClusters", readyMessage}},
		"BundleDeployment": {"", []string{`Cluster=.metadata.labels.fleet\.cattle\.io/cluster`, "Deployed=.status.display.deployed",
			"Monitored=.status.display.monitored", "Health=.status.health", readyMessage}},
		"BundleNamespaceMapping": {"", nil},
		"Cluster":                {"", []string{"Bundles-Ready=.status.display.readyBundles", "Last-Seen=.status.agent.lastSeen", readyMessage}},
		"ClusterGroup": {"fleet", []string{"Clusters-Ready=.status.display.readyClusters", "Bundles-Ready=.status.display.readyBundles",
			readyMessage}},
		"ClusterRegistration":      {"", []string{"Cluster-Name=.status.clusterName", "Labels=.spec.clusterLabels"}},
		"ClusterRegistrationToken": {"", []string{"Secret-Name=.status.secretName"}},
		"Content":                  {"cluster", nil},
		"GitRepo": {"fleet", []string{"Repo=.spec.repo", "Commit=.status.commit",
			"BundleDeployments-Ready=.status.display.readyBundleDeployments", readyMessage}},
		"GitRepoRestriction": {"", []string{"Default-ServiceAccount=.defaultServiceAccount", "Allowed-ServiceAccounts=.allowedServiceAccounts"}},
		"HelmOp": {"fleet", []string{"Repo=.spec.helm.repo", "Chart=.spec.helm.chart", "Version=.status.version",
			"BundleDeployments-Ready=.status.display.readyBundleDeployments", readyMessage}},
		"ImageScan": {"", []string{"Repository=.spec.image", "Latest=.status.latestTag"}},
		"Policy":    {"nostatus", nil},
		"Schedule": {"", []string{"Schedule=.spec.schedule", "Duration=.spec.duration", "Active=.status.active",
			"NextStart=.status.nextStartTime"}},
		"Agent": {"", []string{"Version=.status.version", "Kubernetes=.status.kubernetesVersion", "Hold=.status.hold.reason"}},
	}
	for _, crd := range allCRDs(t) {
		t.Run(crd.Spec.Names.Kind, func(t *testing.T) {
			want, version := rows[crd.Spec.Names.Kind], crd.Spec.Versions[0]
			var columns []string
			for _, c := range version.AdditionalPrinterColumns {
				columns = append(columns, c.Name+"="+c.JSONPath)
			}
			if !slices.Equal(columns, want.columns) {
				t.Errorf("columns are\n%q, want\n%q", columns, want.columns)
			}
			if got := traits(crd); got != want.traits {
				t.Errorf("traits are %q, want %q", got, want.traits)
			}
			if len(crd.Spec.Names.ShortNames) > 0 {
				t.Errorf("short names are %q; Fleet has none", crd.Spec.Names.ShortNames)
			}
			if got := crd.Annotations["helm.sh/resource-policy"]; got != "keep" {
				t.Errorf("helm.sh/resource-policy is %q; uninstalling the chart would delete every object", got)
			}
		})
	}
}

func traits(crd *apiextensionsv1.CustomResourceDefinition) string {
	words := crd.Spec.Names.Categories
	if crd.Spec.Scope == apiextensionsv1.ClusterScoped {
		words = append(words, "cluster")
	}
	if s := crd.Spec.Versions[0].Subresources; s == nil || s.Status == nil {
		words = append(words, "nostatus")
	}
	return strings.Join(words, " ")
}

// TestHelmLeavesTheFilesAlone: the CRDs are templates of a chart, so nothing in them may look like one.
func TestHelmLeavesTheFilesAlone(t *testing.T) {
	for name, data := range readAll(t, chartTemplates) {
		if i := bytes.Index(data, []byte("{{")); i >= 0 {
			t.Errorf("%s:%d: Helm reads {{ as a template; reword the comment in api/ that it comes from", name, 1+bytes.Count(data[:i], []byte("\n")))
		}
	}
}

// TestDescriptions: kubectl explain has a sentence for every field of ours.
func TestDescriptions(t *testing.T) {
	for _, crd := range allCRDs(t) {
		undescribed(openAPI(crd), crd.Spec.Names.Kind, func(path string) {
			if parent := path[strings.LastIndex(path, ".")+1:]; parent != "metadata" && parent != "spec" && parent != "status" {
				t.Errorf("%s has no description", path)
			}
		})
	}
}

func undescribed(s *apiextensionsv1.JSONSchemaProps, path string, report func(path string)) {
	for name, p := range s.Properties {
		if p.Description == "" {
			report(path + "." + name)
		}
		undescribed(&p, path+"."+name, report)
	}
	if s.Items != nil {
		undescribed(s.Items.Schema, path, report)
	}
}

// TestGeneratedFilesAreUpToDate runs the generator as go generate does, into folders of its own, and compares.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	crds := t.TempDir()
	for _, group := range []string{"v1alpha1", "flotilla/v1alpha1"} {
		code := t.TempDir()
		cmd := exec.Command("go", "tool", "controller-gen", "object", "crd", "paths=./"+group, "output:object:dir="+code, "output:crd:dir="+crds)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("running controller-gen for %s: %v\n%s", group, err, out)
		}
		compare(t, group, only(readAll(t, group), "zz_generated"), readAll(t, code))
	}
	compare(t, chartTemplates, readAll(t, chartTemplates), readAll(t, crds))
}

func compare(t *testing.T, dir string, have, want map[string][]byte) {
	t.Helper()
	for name := range have {
		if want[name] == nil {
			t.Errorf("%s/%s: no type makes this file any more; delete it", dir, name)
		}
	}
	for name, data := range want {
		if !bytes.Equal(have[name], data) {
			t.Errorf("%s/%s is not what the types say; run go generate ./api/... and commit the result", dir, name)
		}
	}
}

func only(files map[string][]byte, prefix string) map[string][]byte {
	kept := map[string][]byte{}
	for name, data := range files {
		if strings.HasPrefix(name, prefix) {
			kept[name] = data
		}
	}
	return kept
}

func readAll(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[name.Name()] = data
	}
	if len(files) == 0 {
		t.Fatalf("no files in %s", dir)
	}
	return files
}
