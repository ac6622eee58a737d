package health

import (
	"strings"
	"testing"
)

const (
	active   = "haStatus: active, connections: [{status: connected, endpoint: {cluster_id: gcp}}]"
	alone    = "haStatus: active, connections: []"
	dangling = "haStatus: active, connections: [{status: error, endpoint: {cluster_id: gcp}}]"
	pods     = "gatewayDaemonSetStatus: {mismatchedContainerImages: false, status: {numberReady: 1}}"
	istio    = "metadata: {labels: {istio.io/rev: default}}"
)

func TestBuiltinRules(t *testing.T) {
	used := map[string]bool{}
	for _, row := range []struct {
		rule, kind, object string
		want               State
		says               string
	}{
		{"a Submariner that is connected", "submariner.io/v1alpha1 Submariner", "status: {" + pods + ", gateways: [{" + active + "}]}", Ready, ""},
		{"one that is alone has joined", "submariner.io/v1alpha1 Submariner", "status: {" + pods + ", gateways: [{" + alone + "}]}", Joined, "no other cluster is connected yet"},
		{"one that lost another cluster names it", "submariner.io/v1alpha1 Submariner", "status: {" + pods + ", gateways: [{" + dangling + "}]}", Joined, "not connected: gcp"},
		{"one whose gateways are all passive", "submariner.io/v1alpha1 Submariner", "status: {" + pods + ", gateways: [{haStatus: passive}]}", Progressing, "no gateway is active"},
		{"a pod that died leaves its last word", "submariner.io/v1alpha1 Submariner", "status: {gatewayDaemonSetStatus: {status: {numberReady: 0}}, gateways: [{" + active + "}]}", Progressing, "no gateway pod is ready"},
		{"a new Submariner", "submariner.io/v1alpha1 Submariner", "{}", Progressing, "no gateway is active"},
		{"a gateway that is connected", "submariner.io/v1 Gateway", "status: {" + active + "}", Ready, ""},
		{"a gateway in reserve", "submariner.io/v1 Gateway", "status: {haStatus: passive}", Ready, ""},
		{"a gateway that is not connected", "submariner.io/v1 Gateway", "status: {" + dangling + "}", Joined, "is not connected"},
		{"a gateway that fails", "submariner.io/v1 Gateway", "status: {haStatus: active, statusFailure: no cable}", Progressing, "no cable"},
		{"a new gateway", "submariner.io/v1 Gateway", "{}", Progressing, "is not active"},
		{"a route agent that reaches all", "submariner.io/v1 RouteAgent", "status: {remoteEndpoints: [{status: connected}, {status: none}]}", Ready, ""},
		{"a route agent that does not", "submariner.io/v1 RouteAgent", "status: {remoteEndpoints: [{status: error}]}", Joined, "not all remote endpoints are connected"},
		{"a route agent that fails", "submariner.io/v1 RouteAgent", "status: {statusFailure: no route}", Progressing, "no route"},
		{"a new route agent", "submariner.io/v1 RouteAgent", "{}", Progressing, "not all remote endpoints are connected"},
		{"a global address", "submariner.io/v1 GlobalIngressIP", "status: {conditions: [{type: Allocated, status: 'True'}]}", Ready, ""},
		{"one that was not allocated", "submariner.io/v1 GlobalEgressIP", "status: {conditions: [{type: Allocated, status: 'False', message: the pool is empty}]}", Progressing, "the pool is empty"},
		{"a new one", "submariner.io/v1 ClusterGlobalEgressIP", "{}", Progressing, "is not healthy yet"},
		{"an export that others see", "multicluster.x-k8s.io/v1alpha1 ServiceExport", "status: {conditions: [{type: Valid, status: 'True'}, {type: Ready, status: 'True'}]}", Ready, ""},
		{"an export in conflict", "multicluster.x-k8s.io/v1beta1 ServiceExport", "status: {conditions: [{type: Valid, status: 'True'}, {type: Ready, status: 'True'}, {type: Conflict, status: 'True', message: ports differ}]}", Joined, "Conflict: ports differ"},
		{"an export of nothing", "multicluster.x-k8s.io/v1alpha1 ServiceExport", "status: {conditions: [{type: Valid, status: 'False', message: no such service}]}", Progressing, "Valid: no such service"},
		{"a new export", "multicluster.x-k8s.io/v1alpha1 ServiceExport", "{}", Progressing, "is not healthy yet"},
		{"an import of a cluster", "multicluster.x-k8s.io/v1alpha1 ServiceImport", "status: {clusters: [{cluster: gcp}]}", Ready, ""},
		{"an import that nobody exports is not waited for", "multicluster.x-k8s.io/v1alpha1 ServiceImport", "{}", Joined, "no cluster exports it yet"},
		{"a backup that is complete", "velero.io/v1 Backup", "status: {phase: Completed}", Ready, ""},
		{"a backup that runs", "velero.io/v1 Backup", "status: {phase: WaitingForPluginOperations}", Progressing, "WaitingForPluginOperations"},
		{"a backup that failed in part", "velero.io/v1 Backup", "status: {phase: PartiallyFailed}", Failed, "PartiallyFailed"},
		{"a new backup", "velero.io/v1 Backup", "{}", Progressing, "is not healthy yet"},
		{"a restore that is complete", "velero.io/v1 Restore", "status: {phase: Completed}", Ready, ""},
		{"a restore that runs", "velero.io/v1 Restore", "status: {phase: Finalizing}", Progressing, "Finalizing"},
		{"a restore that cannot be", "velero.io/v1 Restore", "status: {phase: FailedValidation, validationErrors: [no backup]}", Failed, "FailedValidation: no backup"},
		{"a restore that failed", "velero.io/v1 Restore", "status: {phase: Failed, failureReason: it broke}", Failed, "Failed: it broke"},
		{"a new restore", "velero.io/v1 Restore", "{}", Progressing, "is not healthy yet"},
		{"a location that answers", "velero.io/v1 BackupStorageLocation", "status: {phase: Available}", Ready, ""},
		{"a location that does not", "velero.io/v1 BackupStorageLocation", "status: {phase: Unavailable, message: no bucket}", Progressing, "Unavailable: no bucket"},
		{"a new location", "velero.io/v1 BackupStorageLocation", "{}", Progressing, "is not healthy yet"},
		{"a location of snapshots has no phase", "velero.io/v1 VolumeSnapshotLocation", "{}", Ready, ""},
		{"unless it is not there", "velero.io/v1 VolumeSnapshotLocation", "status: {phase: Unavailable}", Progressing, "Unavailable"},
		{"a schedule that is on", "velero.io/v1 Schedule", "status: {phase: Enabled}", Ready, ""},
		{"a schedule that cannot be read", "velero.io/v1 Schedule", "status: {phase: FailedValidation, validationErrors: [invalid schedule]}", Failed, "FailedValidation: invalid schedule"},
		{"a new schedule", "velero.io/v1 Schedule", "status: {phase: New}", Progressing, "New"},
		{"a repository", "velero.io/v1 BackupRepository", "status: {phase: Ready}", Ready, ""},
		{"one that is not there", "velero.io/v1 BackupRepository", "status: {phase: NotReady, message: locked}", Progressing, "NotReady: locked"},
		{"a certificate", "cert-manager.io/v1 Certificate", "{metadata: {generation: 2}, status: {conditions: [{type: Ready, status: 'True', observedGeneration: 2}]}}", Ready, ""},
		{"a certificate of an earlier spec", "cert-manager.io/v1 Certificate", "{metadata: {generation: 2}, status: {conditions: [{type: Ready, status: 'True', observedGeneration: 1}]}}", Progressing, "is not healthy yet"},
		{"a certificate that was not issued", "cert-manager.io/v1 Certificate", "status: {conditions: [{type: Ready, status: 'False', message: Issuing certificate}]}", Progressing, "Issuing certificate"},
		{"a new certificate", "cert-manager.io/v1 Certificate", "{}", Progressing, "is not healthy yet"},
		{"an issuer", "cert-manager.io/v1 Issuer", "status: {conditions: [{type: Ready, status: 'True'}]}", Ready, ""},
		{"a new issuer", "cert-manager.io/v1 Issuer", "{}", Progressing, "is not healthy yet"},
		{"an issuer for all namespaces", "cert-manager.io/v1 ClusterIssuer", "status: {conditions: [{type: Ready, status: 'False', message: no secret}]}", Progressing, "no secret"},
		{"a template whose kind is there", "templates.gatekeeper.sh/v1 ConstraintTemplate", "status: {created: true, byPod: [{id: a, observedGeneration: 1}]}", Ready, ""},
		{"a template that cannot be read", "templates.gatekeeper.sh/v1 ConstraintTemplate", "status: {created: false, byPod: [{id: a, errors: [{code: rego_parse_error, message: no such rule}]}]}", Failed, "no such rule"},
		{"a template that not all pods have seen", "templates.gatekeeper.sh/v1 ConstraintTemplate", "{metadata: {generation: 2}, status: {created: true, byPod: [{observedGeneration: 1}]}}", Progressing, "its kind is not there yet"},
		{"a new template", "templates.gatekeeper.sh/v1 ConstraintTemplate", "{}", Progressing, "its kind is not there yet"},
		{"a constraint that is enforced, whatever it finds", "constraints.gatekeeper.sh/v1beta1 K8sRequiredLabels", "status: {totalViolations: 3, auditTimestamp: now, byPod: [{enforced: true}]}", Ready, ""},
		{"a constraint that one pod cannot enforce", "constraints.gatekeeper.sh/v1beta1 K8sRequiredLabels", "status: {byPod: [{enforced: true}, {enforced: false, errors: [{message: bad match}]}]}", Progressing, "bad match"},
		{"a new constraint", "constraints.gatekeeper.sh/v1beta1 Anything", "{}", Progressing, "is not enforced yet"},
		{"a load balancer with an address", "v1 Service", "{spec: {type: LoadBalancer, clusterIP: 10.0.0.1}, status: {loadBalancer: {ingress: [{hostname: lb}]}}}", Ready, ""},
		{"a load balancer without", "v1 Service", "{spec: {type: LoadBalancer, clusterIP: 10.0.0.1}, status: {loadBalancer: {}}}", Progressing, "its load balancer has no address yet"},
		{"another service needs none", "v1 Service", "spec: {type: ClusterIP}", Ready, ""},
		{"a token that was made", "v1 Secret", "{type: kubernetes.io/service-account-token, data: {token: YQ==, ca.crt: YQ==}}", Ready, ""},
		{"a token that was not", "v1 Secret", "{type: kubernetes.io/service-account-token, data: {ca.crt: YQ==}}", Progressing, "its token is not there yet"},
		{"another Secret", "v1 Secret", "{type: Opaque}", Ready, ""},
		{"a webhook with its CA", "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration", "{" + istio + ", webhooks: [{clientConfig: {caBundle: YQ==}}]}", Ready, ""},
		{"a webhook without", "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration", "{" + istio + ", webhooks: [{clientConfig: {caBundle: YQ==}}, {clientConfig: {url: u}}]}", Progressing, "its webhooks have no CA yet"},
		{"one that fails open holds nobody up", "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration", "{" + istio + ", webhooks: [{failurePolicy: Ignore, clientConfig: {}}]}", Joined, "its webhooks have no CA yet"},
		{"one that fails closed does", "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration", "{" + istio + ", webhooks: [{failurePolicy: Ignore, clientConfig: {}}, {failurePolicy: Fail, clientConfig: {}}]}", Progressing, "its webhooks have no CA yet"},
		{"an ordinary webhook without", "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration", "webhooks: [{clientConfig: {url: u}}]", Ready, ""},
		{"Gatekeeper's without", "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration", "{metadata: {labels: {gatekeeper.sh/system: 'yes'}}, webhooks: [{clientConfig: {}}]}", Progressing, "its webhooks have no CA yet"},
		{"a gateway that is programmed", "gateway.networking.k8s.io/v1 Gateway", "status: {conditions: [{type: Programmed, status: 'True'}]}", Ready, ""},
		{"a gateway that is not", "gateway.networking.k8s.io/v1 Gateway", "status: {conditions: [{type: Programmed, status: 'False', message: no address}]}", Progressing, "no address"},
		{"a new gateway of the Gateway API", "gateway.networking.k8s.io/v1 Gateway", "{}", Progressing, "is not healthy yet"},
		{"a definition that is established", "apiextensions.k8s.io/v1 CustomResourceDefinition", "status: {conditions: [{type: Established, status: 'True'}]}", Ready, ""},
		{"a definition whose name is taken", "apiextensions.k8s.io/v1 CustomResourceDefinition", "status: {conditions: [{type: NamesAccepted, status: 'False', message: taken}]}", Failed, "taken"},
		{"a new definition", "apiextensions.k8s.io/v1 CustomResourceDefinition", "{}", Progressing, "Install in progress"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			u := object(t, row.object)
			version, kind, _ := strings.Cut(row.kind, " ")
			u.SetAPIVersion(version)
			u.SetKind(kind)
			if r := (&Rules{}).of(u); r != nil {
				used[r.Kind+"."+r.Group] = true
			}
			if got := (&Rules{}).Assess(t.Context(), u); got.State != row.want || got.Message != row.says {
				t.Errorf("%+v", got)
			}
		})
	}
	for _, b := range Builtins() {
		if name := b.Kind + "." + b.Group; !used[name] {
			t.Errorf("no row tells about %s", name)
		}
		if broken := (&rule{Builtin: b}).compile(); broken != nil {
			t.Errorf("%s.%s: %v", b.Kind, b.Group, broken)
		}
	}
}
