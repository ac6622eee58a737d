package health

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"flotilla.io/flotilla/api/v1alpha1"
)

// anyKind in a built-in rule means all kinds of its group.
const anyKind = "*"

// Builtin is a rule that needs nobody to write it.
type Builtin struct {
	v1alpha1.HealthRule
	// When tells which objects of the kind the rule is for; empty means all. It sees the live object, and before that the wanted one.
	When string
}

// Builtins lists the built-in rules. kstatus would call most of these objects ready at once, since they have no conditions, or none
// that it knows.
func Builtins() []Builtin {
	var list []Builtin
	for _, rules := range [][]Builtin{submariner, velero, certManager, gatekeeper, kubernetes} {
		list = append(list, rules...)
	}
	return list
}

var builtins = func() map[schema.GroupKind]*rule {
	all := map[schema.GroupKind]*rule{}
	for _, b := range Builtins() {
		all[schema.GroupKind{Group: b.Group, Kind: b.Kind}] = &rule{Builtin: b}
	}
	return all
}()

func builtin(kind schema.GroupKind) *rule {
	if r := builtins[kind]; r != nil {
		return r
	}
	kind.Kind = anyKind
	return builtins[kind]
}

func of(group, kind string, rule v1alpha1.HealthRule) Builtin {
	rule.Group, rule.Kind = group, kind
	return Builtin{HealthRule: rule}
}

// conditions begins an expression over the conditions.
const conditions = `self.?status.conditions.orValue([])`

// isTrue says that a condition is True, and not for an earlier spec.
func isTrue(kind string) string {
	return fmt.Sprintf(conditions+`.exists(c, c.type == '%s' && c.status == 'True'`+
		` && c.?observedGeneration.orValue(self.?metadata.generation.orValue(0)) >= self.?metadata.generation.orValue(0))`, kind)
}

// says is what a condition that is not True says.
func says(kind string) string {
	return fmt.Sprintf(conditions+`.filter(c, c.type == '%s' && c.status != 'True').map(c, c.?message.orValue('')).join('; ')`, kind)
}

// phase is what Velero's controllers write in place of conditions.
const phase = `self.?status.phase.orValue('')`

// phased shows the phase and what is wrong.
const phased = `[` + phase + `, self.?status.failureReason.orValue(''), self.?status.message.orValue('')].filter(s, s != '').join(': ') +` +
	` self.?status.validationErrors.orValue([]).map(e, ': ' + e).join('')`

// A gateway is connected only when another cluster has joined, so that no cluster may wait for the other's gateway to be.
var (
	gatewayUp  = `self.?status.haStatus.orValue('') == 'active' && self.?status.statusFailure.orValue('') == ''`
	passive    = `self.?status.haStatus.orValue('') == 'passive'`
	connected  = `size(%[1]s.?connections.orValue([])) > 0 && %[1]s.connections.all(c, c.?status.orValue('') == 'connected')`
	podReady   = `self.?status.gatewayDaemonSetStatus.status.numberReady.orValue(0) >= 1`
	submariner = []Builtin{
		of("submariner.io", "Submariner", v1alpha1.HealthRule{
			Ready: podReady + ` && self.?status.gateways.orValue([]).exists(g, g.?haStatus.orValue('') == 'active')`,
			Healthy: podReady + ` && !self.?status.gatewayDaemonSetStatus.mismatchedContainerImages.orValue(false)` +
				` && self.?status.gateways.orValue([]).exists(g, g.?haStatus.orValue('') == 'active' && ` + fmt.Sprintf(connected, "g") + `)`,
			Message: `!self.?status.gateways.orValue([]).exists(g, g.?haStatus.orValue('') == 'active') ? 'no gateway is active'` +
				` : !(` + podReady + `) ? 'no gateway pod is ready'` +
				` : self.status.gateways.all(g, size(g.?connections.orValue([])) == 0) ? 'no other cluster is connected yet'` +
				` : self.?status.gatewayDaemonSetStatus.mismatchedContainerImages.orValue(false) ? 'gateway pods run another image'` +
				` : 'not connected: ' + self.status.gateways.map(g, g.?connections.orValue([]).filter(c, c.?status.orValue('') != 'connected')` +
				`.map(c, c.?endpoint.cluster_id.orValue('a cluster'))).flatten().join(', ')`,
		}),
		of("submariner.io", "Gateway", v1alpha1.HealthRule{
			Ready:   passive + ` || (` + gatewayUp + `)`,
			Healthy: passive + ` || (` + gatewayUp + ` && ` + fmt.Sprintf(connected, "self.status") + `)`,
			Message: `self.?status.statusFailure.orValue('') != '' ? self.status.statusFailure : ` + gatewayUp + ` ? 'is not connected' : 'is not active'`,
		}),
		of("submariner.io", "RouteAgent", v1alpha1.HealthRule{
			Ready: `has(self.status) && self.?status.statusFailure.orValue('') == ''`,
			Healthy: `self.?status.statusFailure.orValue('') == '' && size(self.?status.remoteEndpoints.orValue([])) > 0` +
				` && self.status.remoteEndpoints.all(e, e.?status.orValue('') in ['connected', 'none'])`,
			Message: `self.?status.statusFailure.orValue('') != '' ? self.status.statusFailure : 'not all remote endpoints are connected'`,
		}),
		of("submariner.io", "GlobalIngressIP", allocated), of("submariner.io", "GlobalEgressIP", allocated),
		of("submariner.io", "ClusterGlobalEgressIP", allocated),
		of("multicluster.x-k8s.io", "ServiceExport", v1alpha1.HealthRule{
			Ready:   isTrue("Valid") + ` && ` + isTrue("Ready"),
			Healthy: isTrue("Valid") + ` && ` + isTrue("Ready") + ` && !` + conditions + `.exists(c, c.type == 'Conflict' && c.status == 'True')`,
			Message: conditions + `.filter(c, (c.status == 'True') == (c.type == 'Conflict')).map(c, c.type + ': ' + c.?message.orValue('')).join('; ')`,
		}),
		of("multicluster.x-k8s.io", "ServiceImport", v1alpha1.HealthRule{
			Ready:   `true`, // it waits for another cluster's export
			Healthy: `size(self.?status.clusters.orValue([])) > 0`,
			Message: `'no cluster exports it yet'`,
		}),
	}
	allocated = v1alpha1.HealthRule{Healthy: isTrue("Allocated"), Message: says("Allocated")}
)

// Phases that Velero does not leave again are told at once; all others but the last are on their way.
var velero = []Builtin{
	of("velero.io", "Backup", completes), of("velero.io", "Restore", completes),
	of("velero.io", "BackupStorageLocation", v1alpha1.HealthRule{Healthy: phase + ` == 'Available'`, Message: phased}),
	of("velero.io", "VolumeSnapshotLocation", v1alpha1.HealthRule{ // its phase is hardly ever written
		Healthy: `self.?status.phase.orValue('Available') in ['', 'Available']`, Message: phased,
	}),
	of("velero.io", "Schedule", v1alpha1.HealthRule{
		Failed:  phase + ` == 'FailedValidation'`,
		Healthy: phase + ` == 'Enabled' && size(self.?status.validationErrors.orValue([])) == 0`, Message: phased,
	}),
	of("velero.io", "BackupRepository", v1alpha1.HealthRule{Healthy: phase + ` == 'Ready'`, Message: phased}),
}

var completes = v1alpha1.HealthRule{
	Failed: phase + ` in ['Failed', 'PartiallyFailed', 'FailedValidation']`, Healthy: phase + ` == 'Completed'`, Message: phased,
}

var certManager = []Builtin{
	of("cert-manager.io", "Certificate", condition("Ready")), of("cert-manager.io", "Issuer", condition("Ready")),
	of("cert-manager.io", "ClusterIssuer", condition("Ready")),
}

func condition(kind string) v1alpha1.HealthRule {
	return v1alpha1.HealthRule{Healthy: isTrue(kind), Message: says(kind)}
}

// byPod is what each of Gatekeeper's pods says; seen tells that all of them looked at the newest spec. Violations are for reports: the
// constraint that finds them does its work.
const (
	byPod     = `self.?status.byPod.orValue([])`
	seen      = byPod + `.all(p, p.?observedGeneration.orValue(self.?metadata.generation.orValue(0)) >= self.?metadata.generation.orValue(0))`
	podErrors = byPod + `.map(p, p.?errors.orValue([]).map(e, e.?message.orValue(''))).flatten().distinct()`
)

var gatekeeper = []Builtin{
	of("templates.gatekeeper.sh", "ConstraintTemplate", v1alpha1.HealthRule{
		Failed:  seen + ` && ` + byPod + `.exists(p, size(p.?errors.orValue([])) > 0)`,
		Healthy: `self.?status.created.orValue(false) && ` + seen,
		Message: `size(` + podErrors + `) > 0 ? ` + podErrors + `.join('; ') : 'its kind is not there yet'`,
	}),
	of("constraints.gatekeeper.sh", anyKind, v1alpha1.HealthRule{
		Healthy: `size(` + byPod + `) > 0 && ` + seen + ` && ` + byPod + `.all(p, p.?enforced.orValue(false) && size(p.?errors.orValue([])) == 0)`,
		Message: `size(` + podErrors + `) > 0 ? ` + podErrors + `.join('; ') : 'is not enforced yet'`,
	}),
}

// injected names whose webhooks get their CA from a controller; one without is nothing special elsewhere. Those that fail open
// stand in nobody's way until then: Istio's base has one whose CA comes from an istiod that waits for the base.
const injected = `'istio.io/rev' in self.?metadata.labels.orValue({}) || 'gatekeeper.sh/system' in self.?metadata.labels.orValue({})` +
	` || self.?metadata.annotations.orValue({}).exists(k, k.startsWith('cert-manager.io/inject-'))`

var kubernetes = []Builtin{
	{When: `self.?spec.type.orValue('') == 'LoadBalancer'`, HealthRule: v1alpha1.HealthRule{
		Kind:    "Service",
		Healthy: `self.?status.loadBalancer.ingress.orValue([]).exists(i, i.?ip.orValue('') != '' || i.?hostname.orValue('') != '')`,
		Message: `'its load balancer has no address yet'`,
	}},
	{When: `self.?type.orValue('') == 'kubernetes.io/service-account-token'`, HealthRule: v1alpha1.HealthRule{
		Kind:    "Secret",
		Healthy: `size(self.?data.token.orValue('')) > 0 && size(self.?data[?'ca.crt'].orValue('')) > 0`,
		Message: `'its token is not there yet'`,
	}},
	{When: injected, HealthRule: webhooks("MutatingWebhookConfiguration")},
	{When: injected, HealthRule: webhooks("ValidatingWebhookConfiguration")},
	of("gateway.networking.k8s.io", "Gateway", condition("Programmed")),
}

func webhooks(kind string) v1alpha1.HealthRule {
	return v1alpha1.HealthRule{
		Group: "admissionregistration.k8s.io", Kind: kind,
		Healthy: `size(self.?webhooks.orValue([])) > 0 && self.webhooks.all(w, size(w.?clientConfig.caBundle.orValue('')) > 0)`,
		Ready: `size(self.?webhooks.orValue([])) > 0 && self.webhooks.all(w, size(w.?clientConfig.caBundle.orValue('')) > 0` +
			` || w.?failurePolicy.orValue('Fail') == 'Ignore')`,
		Message: `'its webhooks have no CA yet'`,
	}
}
