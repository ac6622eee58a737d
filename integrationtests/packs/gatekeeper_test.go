//go:build packs

package packs

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// records is an application with data of the EU, as pushed to all clusters at first. Its Pods stay in the region of their cluster.
var records = map[string]string{
	"fleet.yaml": "name: records\ndefaultNamespace: records\nnamespaceLabels: {data-region: eu}\n" + onAll +
		"helm: {values: {region: \"${ .ClusterLabels.region }\"}}\n",
	"Chart.yaml": "apiVersion: v2\nname: records\nversion: 1.0.0\n",
	"templates/records.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: records}
spec:
  selector: {matchLabels: {app: records}}
  template:
    metadata: {labels: {app: records}}
    spec:
      nodeSelector: {topology.kubernetes.io/region: {{ .Values.region }}}
      containers: [{name: records, image: registry.company.com/records}]
`,
}

// closed is what FleetClosedEgress asks for.
const closed = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed}\nspec: {podSelector: {}, policyTypes: [Egress]}\n"

const onAll = "overrideTargets:\n- clusterSelector: {}\n"

// gatekeeper has one set of policies on all clusters, with the real Gatekeeper on each, and sees on the hub where they are violated.
func gatekeeper(w *World) {
	for name, labels := range clusters {
		w.Label(name, "packs.flotilla.io/gatekeeper", "true")
		regionOfNodes(w, name, labels["region"])
	}
	all := slices.Sorted(maps.Keys(clusters))
	start := time.Now()
	// No API server here reaches a Pod: what the webhooks would refuse is counted by the audit instead.
	w.Push("gatekeeper", w.Changed("gatekeeper", "server/fleet.yaml", "auditInterval: 60", "auditInterval: 60\n    disableValidatingWebhook: true\n    disableMutation: true"))
	w.push("records", records)
	w.Settled("gatekeeper", "records")
	for _, name := range all {
		w.says("gatekeeper-templates", name, fleet.HealthProgressing, "its kind is not there yet")
	}
	for _, name := range all {
		defer auditor(w, name).Stop() // four audits are a load for what comes after
	}
	w.healthy("gatekeeper", "gatekeeper-templates", "gatekeeper-constraints")
	w.Prove("one policy set on all clusters", "gatekeeper", "the real Gatekeeper of each of four clusters enforces the four constraints, whose kinds it made itself, "+seconds(start)+" after the push", Proved)

	for _, name := range all {
		abroad := 0
		if clusters[name]["data-region"] != "eu" {
			abroad = 1
		}
		counted(w, name, "residency", abroad)
		counted(w, name, "closed_egress", 1)
	}
	w.T.Log("\n" + w.Kubectl("hub", "get", "bundledeployments", "-A", "-l", "fleet.cattle.io/bundle-name=gatekeeper-constraints", "-o",
		`custom-columns=CLUSTER:.metadata.labels.fleet\.cattle\.io/cluster,POLICY:.status.outputs[*].name,VIOLATIONS:.status.outputs[*].value`))
	w.Prove("violations told by cluster on the hub", "an application with EU data, to all", "residency counts 1 on cluster-azure, which is in the US, and 0 on the three others; closed egress 1 on each", Proved)

	fixed := maps.Clone(records)
	fixed["templates/closed.yaml"] = closed
	fixed["fleet.yaml"] = strings.Replace(fixed["fleet.yaml"], "clusterSelector: {}", "clusterSelector: {matchLabels: {data-region: eu}}", 1)
	w.push("records", fixed)
	for _, name := range all {
		counted(w, name, "residency", 0)
		if clusters[name]["data-region"] == "eu" {
			counted(w, name, "closed_egress", 0)
		}
	}
	w.healthy("gatekeeper", "gatekeeper-templates", "gatekeeper-constraints", "records")
	w.Prove("violations end by a push", "the application to EU clusters alone, with a NetworkPolicy", "residency counts 0 on all four, closed egress 0 where the application is", Proved)
}

// regionOfNodes says what a cloud would: in which region the nodes are.
func regionOfNodes(w *World, cluster, region string) {
	nodes := &corev1.NodeList{}
	w.Check(w.Lists(cluster, nodes))
	for i := range nodes.Items {
		n := &nodes.Items[i]
		before := n.DeepCopy()
		n.Labels["topology.kubernetes.io/region"] = region
		w.Check(w.StandIn(cluster).Patch(context.Background(), n, client.MergeFrom(before)))
	}
}

// auditor starts Gatekeeper on a cluster in the place of its audit Pod, with an audit every two seconds.
func auditor(w *World, cluster string) *Process {
	pods := &corev1.PodList{}
	w.Eventually("waiting for the audit's Pod on "+cluster, func() error {
		err := w.Lists(cluster, pods, client.InNamespace("gatekeeper-system"), client.MatchingLabels{"gatekeeper.sh/operation": "audit"})
		if err == nil && len(pods.Items) != 1 {
			err = fmt.Errorf("there are %d", len(pods.Items))
		}
		return err
	})
	health := w.Port()
	_, metrics, err := net.SplitHostPort(w.Port())
	w.Check(err)
	return w.Controller(Controller{
		Name: "gatekeeper", On: cluster, As: "gatekeeper-system/gatekeeper-admin", Serves: "http://" + health + "/healthz",
		Env: []string{"POD_NAMESPACE=gatekeeper-system", "POD_NAME=" + pods.Items[0].Name, "NAMESPACE=gatekeeper-system"},
		Args: []string{"--kubeconfig", "$KUBECONFIG", "--operation=audit", "--operation=status", "--operation=generate", "--disable-cert-rotation",
			"--enable-external-data=false", "--metrics-addr=0", "--prometheus-port=" + metrics, "--health-addr=" + health, "--audit-interval=2", "--api-cache-dir=$DIR"},
	})
}

// counted waits until the hub has a policy's number of violations on a cluster, which is what the constraint there says.
func counted(w *World, cluster, policy string, want int) {
	w.T.Helper()
	w.Eventually(fmt.Sprintf("waiting for %s of %s to count %d", policy, cluster, want), func() error {
		got, err := w.output("gatekeeper-constraints", cluster, policy)
		if err != nil {
			return err
		}
		if got != strconv.Itoa(want) {
			return fmt.Errorf("the hub has %s", got)
		}
		u := object("constraints.gatekeeper.sh/v1beta1", map[string]string{"residency": "FleetResidency", "closed_egress": "FleetClosedEgress"}[policy], "", "eu")
		if err := w.Reads(cluster, u); err != nil {
			return err
		}
		if there, _, _ := unstructured.NestedInt64(u.Object, "status", "totalViolations"); int(there) != want {
			return fmt.Errorf("the constraint has %d", there)
		}
		return nil
	})
}
