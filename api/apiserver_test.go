package api_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/localfleet"
)

// TestOnAnAPIServer installs the CRDs as the chart does, and asks with kubectl, as people do.
func TestOnAnAPIServer(t *testing.T) {
	k := startHub(t)
	k.must(t, "", "apply", "-f", chartTemplates) // also: no CRD is too large for the annotation of kubectl apply
	k.must(t, "", "wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
	k.must(t, "", "apply", "--server-side", "-f", "testdata/objects.yaml")
	k.must(t, "", "apply", "--server-side", "--subresource=status", "-l", "status!=none", "-f", "testdata/objects.yaml")

	t.Run("columns", func(t *testing.T) { testColumns(t, k) })
	t.Run("admission", func(t *testing.T) { testAdmission(t, k) })
	t.Run("kept", func(t *testing.T) { testKept(t, k) })
	t.Run("category", func(t *testing.T) {
		got := strings.Fields(k.must(t, "", "api-resources", "--categories=fleet", "-o", "name"))
		want := []string{"clustergroups.fleet.cattle.io", "gitrepos.fleet.cattle.io", "helmops.fleet.cattle.io"}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("kubectl get fleet shows %q, want %q", got, want)
		}
	})
	t.Run("explain", func(t *testing.T) {
		if got := k.must(t, "", "explain", "gitrepo.spec.branch"); !strings.Contains(got, "Empty means master") {
			t.Errorf("kubectl explain gitrepo.spec.branch says\n%s", got)
		}
	})
}

// testColumns reads every column back. "|" parts columns.
func testColumns(t *testing.T, k kubectl) {
	for _, row := range []struct{ resource, header, values string }{
		{"bundles", "NAME|BUNDLEDEPLOYMENTS-READY|STATUS", "apps-web|1/2|NotReady(1) [Cluster default/edge]"},
		{"bundledeployments", "NAME|CLUSTER|DEPLOYED|MONITORED|HEALTH|STATUS",
			`apps-web|edge|True|True|Drifted|deployment.apps web/web modified {"spec":{"replicas":5}}`},
		{"bundlenamespacemappings", "NAME|AGE", "to-edge|*"},
		{"clusters.fleet.cattle.io", "NAME|BUNDLES-READY|LAST-SEEN|STATUS", "edge|0/1|2026-11-23T09:14:00Z|Modified(1) [Bundle apps-web]"},
		{"clustergroups", "NAME|CLUSTERS-READY|BUNDLES-READY|STATUS", "edges|0/1 (edge)|0/1|Modified(1) [Cluster edge]"},
		{"clusterregistrations", "NAME|CLUSTER-NAME|LABELS", `request-1|edge|{"env":"edge"}`},
		{"clusterregistrationtokens", "NAME|SECRET-NAME", "token|token"},
		{"contents", "NAME|AGE", "l-1|*"},
		{"gitrepos", "NAME|REPO|COMMIT|BUNDLEDEPLOYMENTS-READY|STATUS",
			"apps|https://git.example.com/apps|3f2a91c|0/1|Modified(1) [Bundle apps-web]"},
		{"gitreporestrictions", "NAME|DEFAULT-SERVICEACCOUNT|ALLOWED-SERVICEACCOUNTS", `team|team|["team","ops"]`},
		{"helmops", "NAME|REPO|CHART|VERSION|BUNDLEDEPLOYMENTS-READY|STATUS",
			"redis|https://charts.example.com|redis|1.2.3|1/1|Pending(1) [Bundle redis]"},
		{"imagescans", "NAME|REPOSITORY|LATEST", "web|registry.example.com/web|v2"},
		{"policies", "NAME|AGE", "team|*"},
		{"schedules", "NAME|SCHEDULE|DURATION|ACTIVE|NEXTSTART", "nights|0 0 1 * * *|2h|true|2026-11-24T01:00:00Z"},
		{"agents", "NAME|VERSION|KUBERNETES|HOLD", "agent|v0.1.0|v1.37.2|HubChanged"},
	} {
		lines := strings.Split(strings.TrimSpace(k.must(t, "", "get", row.resource)), "\n")
		if len(lines) != 2 {
			t.Errorf("%s: %d lines, want 2:\n%s", row.resource, len(lines), strings.Join(lines, "\n"))
			continue
		}
		for i, want := range []string{row.header, row.values} {
			if got := columns(lines[i]); !matches(got, strings.Split(want, "|")) {
				t.Errorf("%s: line %d is %q, want %q", row.resource, i, got, want)
			}
		}
	}
}

// columns splits a line of a table where kubectl does: at three blanks or more.
func columns(line string) []string {
	var cells []string
	for _, cell := range strings.Split(line, "   ") {
		if cell = strings.TrimSpace(cell); cell != "" {
			cells = append(cells, cell)
		}
	}
	return cells
}

func matches(got, want []string) bool {
	return slices.EqualFunc(got, want, func(g, w string) bool { return g == w || w == "*" })
}

const (
	durationMessage = "must be a Go duration such as 15s"
	lengthMessage   = "Too long: may not be more than"
)

// testAdmission: what the API server takes, and what it refuses with which words.
func testAdmission(t *testing.T, k kubectl) {
	for _, row := range []struct{ rule, kind, body, refusal string }{
		{"a GitRepo needs a repo", "GitRepo", `{"spec":{"branch":"main"}}`, "spec.repo: Required value"},
		{"a repo is not empty", "GitRepo", `{"spec":{"repo":""}}`, "spec.repo: Invalid value"},
		{"null stands for a field that is not set", "GitRepo", `{"spec":{"repo":"r","branch":null,"paths":null,"caBundle":null,
			"pollingInterval":null,"correctDrift":null,"targets":[{"clusterSelector":null,"clusterGroup":null}]}}`, ""},
		{"a target of a GitRepo may carry overrides", "GitRepo", `{"spec":{"repo":"r","targets":[{"name":"p","clusterSelector":
			{"matchLabels":{"env":"p"}},"helm":{"values":{"replicaCount":3}},"doNotDeploy":true}]}}`, ""},
		{"a misspelt field is named", "GitRepo", `{"spec":{"repo":"r","brunch":"main"}}`, `unknown field "spec.brunch"`},
		{"0 is a duration", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"0"}}`, ""},
		{"units may be combined", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"1h30m","imageScanInterval":"1.5h"}}`, ""},
		{"a micro sign is a unit", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"100µs"}}`, ""},
		{"days are no unit", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"1d"}}`, durationMessage},
		{"a number is no duration", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"15"}}`, durationMessage},
		{"a duration is not negative", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"-15s"}}`, durationMessage},
		{"a duration that Go cannot hold is refused", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"2562048h"}}`, "spec.pollingInterval: Invalid value"},
		{"a duration is not empty", "GitRepo", `{"spec":{"repo":"r","pollingInterval":""}}`, "spec.pollingInterval: Invalid value"},
		{"a duration is at most 32 long", "GitRepo", `{"spec":{"repo":"r","pollingInterval":"` + strings.Repeat("0", 32) + `s"}}`, lengthMessage},
		{"a HelmOp's interval is checked too", "HelmOp", `{"spec":{"pollingInterval":"1d"}}`, durationMessage},
		{"a token's ttl is checked too", "ClusterRegistrationToken", `{"spec":{"ttl":"1w"}}`, durationMessage},
		{"a schedule's duration is checked too", "Schedule", `{"spec":{"duration":"1d"}}`, durationMessage},
		{"an image scan's interval is checked too", "ImageScan", `{"spec":{"image":"i","interval":"1d"}}`, durationMessage},
		{"an image scan needs image and interval", "ImageScan", `{"spec":{}}`, "spec.interval: Required value"},
		{"a release name may have dots", "Bundle", `{"spec":{"helm":{"releaseName":"web.v1"}}}`, ""},
		{"a release name is lower case", "Bundle", `{"spec":{"helm":{"releaseName":"Web"}}}`, "spec.helm.releaseName: Invalid value"},
		{"a release name has at most 53 characters", "Bundle", `{"spec":{"helm":{"releaseName":"` + strings.Repeat("a", 54) + `"}}}`, lengthMessage},
		{"a target's release name is checked too", "Bundle", `{"spec":{"targets":[{"helm":{"releaseName":"Web"}}]}}`, "spec.targets[0].helm.releaseName"},
		{"customizations combine in two ways only", "Bundle", `{"spec":{"targetCustomizationMode":"LastMatch"}}`, `supported values: "FirstMatch", "AllMatches"`},
		{"counts may be percentages", "Bundle", `{"spec":{"rolloutStrategy":{"maxUnavailable":"10%","partitions":[{"maxUnavailable":1}]}}}`, ""},
		{"an empty Bundle is a Bundle", "Bundle", `{}`, ""},
		{"a token is approved in two ways only", "ClusterRegistrationToken", `{"spec":{"approval":"Later"}}`, "spec.approval: Unsupported value"},
		{"an empty approval is allowed", "ClusterRegistrationToken", `{"spec":{"approval":""}}`, ""},
		{"a token's uses are not negative", "ClusterRegistrationToken", `{"spec":{"uses":-1}}`, "spec.uses: Invalid value"},
		{"an order to delete says what becomes of the objects", "BundleDeployment",
			`{"spec":{"deletion":{"revision":"r","reason":"r","by":"b"}}}`, "spec.deletion.policy: Required value"},
		{"and only in the two ways that there are", "BundleDeployment",
			`{"spec":{"deletion":{"revision":"r","reason":"r","by":"b","policy":"Forget"}}}`, "spec.deletion.policy: Unsupported value"},
	} {
		object := fmt.Sprintf(`{"apiVersion":"fleet.cattle.io/v1alpha1","kind":%q,"metadata":{"name":"x","namespace":"default"},%s`,
			row.kind, strings.TrimPrefix(row.body, "{"))
		out, err := k.run(strings.Replace(object, ",}", "}", 1), "create", "--dry-run=server", "-f", "-")
		switch {
		case row.refusal == "" && err != nil:
			t.Errorf("%s: refused: %s", row.rule, out)
		case row.refusal != "" && err == nil:
			t.Errorf("%s: accepted", row.rule)
		case row.refusal != "" && !strings.Contains(out, row.refusal):
			t.Errorf("%s: refused without the words %q: %s", row.rule, row.refusal, out)
		}
	}
}

// testKept: what the API server stores of the objects in testdata.
func testKept(t *testing.T, k kubectl) {
	for _, row := range []struct{ rule, object, path, want string }{
		{"values are kept whole", "bundle/apps-web", ".spec.helm.values", `{"image":{"tag":"v1"},"replicaCount":3}`},
		{"a target's values are kept whole", "bundle/apps-web", ".spec.targets[0].helm.values", `{"deep":[{"er":true}]}`},
		{"an empty selector stays: it picks all", "bundle/apps-web", ".spec.targets[0].clusterSelector", `{}`},
		{"customizations take the first match unless told otherwise", "bundle/apps-web", ".spec.targetCustomizationMode", "FirstMatch"},
		{"and so for a HelmOp", "helmop/redis", ".spec.targetCustomizationMode", "FirstMatch"},
		{"a cluster's template values are kept whole", "clusters.fleet.cattle.io/edge", ".spec.templateValues", `{"region":{"name":"eu"}}`},
		{"a Content's status is a subresource", "content/l-1", ".status.referenceCount", "1"},
	} {
		if got := k.must(t, "", "get", row.object, "-o", "jsonpath={"+row.path+"}"); got != row.want {
			t.Errorf("%s: %s %s is %s, want %s", row.rule, row.object, row.path, got, row.want)
		}
	}
}

// kubectl runs kubectl against a hub.
type kubectl struct{ binary, kubeconfig, cache string }

func startHub(t *testing.T) kubectl {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	fleet, err := localfleet.New(localfleet.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fleet.Close() })
	hub, err := fleet.Start(ctx, "hub", localfleet.ClusterOptions{Parts: []localfleet.Part{localfleet.Etcd, localfleet.KubeAPIServer}})
	if err != nil {
		t.Fatal(err)
	}
	return kubectl{fleet.Binary(), hub.Kubeconfig(), t.TempDir()}
}

// run returns what kubectl prints, and an error if it fails.
func (k kubectl) run(stdin string, args ...string) (string, error) {
	cmd := exec.Command(k.binary, append([]string{"kubectl", "--kubeconfig", k.kubeconfig, "--cache-dir", k.cache}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (k kubectl) must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := k.run(stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
