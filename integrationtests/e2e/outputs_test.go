package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// brokerAndMember are two bundles that join clusters: the broker makes a token for each member, from the list of them, and each
// member gets its own.
var brokerAndMember = map[string]string{
	"broker/fleet.yaml": `defaultNamespace: broker
overrideTargets: [{name: production, clusterSelector: {matchLabels: {env: production}}}]
inputs:
- {name: members, from: {fact: cluster.name}, clusters: all, clusterSelector: {matchLabels: {env: development}}}
helm: {templateValues: {members: "${ .Inputs.members | toJson }"}}
outputs:
- {name: psk, generate: {bytes: 48}}
- {name: version, value: cluster.facts.kubernetesVersion}
- {name: server, value: "cluster.facts.apiServer.replace('https://', '')"}
- name: address
  object: {apiVersion: v1, kind: Service, namespace: broker, name: gateway}
  value: self.spec.clusterIP
- name: services
  object: {apiVersion: v1, kind: Service, namespace: broker, labelSelector: {matchExpressions: [{key: hidden, operator: DoesNotExist}]}}
  value: "{'names': self.items.map(s, s.metadata.name).sort().join(' '), 'commit': bundle.commit, 'age': string(timestamp(bundle.committed) > timestamp('2020-01-01T00:00:00Z'))}"
- name: join
  forEach: {clusterSelector: {matchLabels: {env: development}}}
  object: {apiVersion: v1, kind: Secret, namespace: broker, name: "cluster-${ .Each.Name }-token"}
  value: "{'token': string(base64.decode(self.data.token)), 'ca.crt': string(base64.decode(self.data['ca.crt']))}"
  sensitive: true
`,
	"broker/Chart.yaml": "apiVersion: v2\nname: broker\nversion: 1.0.0\n",
	"broker/templates/gateway.yaml": `apiVersion: v1
kind: Service
metadata: {name: gateway}
spec: {ports: [{port: 443}], selector: {app: gateway}}
`,
	"broker/templates/members.yaml": `{{- range .Values.members }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: cluster-{{ . }}}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: cluster-{{ . }}-token, annotations: {kubernetes.io/service-account.name: cluster-{{ . }}}}
{{- end }}
`,
	"join/fleet.yaml": `defaultNamespace: join
overrideTargets: [{name: development, clusterSelector: {matchLabels: {env: development}}}]
inputs:
- {name: join, from: {bundle: fleet-broker, output: join}, into: {kind: Secret, name: broker}}
- {name: psk, from: {bundle: fleet-broker, output: psk}}
- {name: address, from: {bundle: fleet-broker, output: address}, into: {kind: ConfigMap, name: address, key: text}}
- {name: version, from: {bundle: fleet-broker, output: version}}
- {name: services, from: {bundle: fleet-broker, output: services}, into: {kind: ConfigMap, name: services}}
- {name: api, from: {bundle: fleet-broker, output: server}, into: {kind: ConfigMap, name: api, key: text}}
helm: {values: {psk: "${ .Inputs.psk }", server: "${ .Inputs.address }:443", version: "${ .Inputs.version }"}}
`,
	"join/Chart.yaml": "apiVersion: v2\nname: join\nversion: 1.0.0\n",
	"join/templates/all.yaml": `apiVersion: v1
kind: Secret
metadata: {name: psk}
stringData: {psk: {{ .Values.psk }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: server}
data: {text: {{ .Values.server }}, version: {{ .Values.version }}}
`,
}

// TestValuesCrossClusters: a push alone makes a token on one cluster and brings it to the other, sealed on its way.
func TestValuesCrossClusters(t *testing.T) {
	t.Parallel()
	w := twoClusters(t)
	w.GitRepo("fleet", w.Repo("fleet", brokerAndMember), func(s *fleet.GitRepoSpec) { s.Targets = everyone() })
	w.Settled("fleet-broker", "fleet-join")

	secret := func(cluster, namespace, name string) map[string][]byte {
		s := &corev1.Secret{}
		w.Check(w.Clients[cluster].Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, s))
		return s.Data
	}
	made, came := secret("production", "broker", "cluster-development-token"), secret("development", "join", "broker")
	if len(made["token"]) == 0 || string(made["token"]) != string(came["token"]) || string(made["ca.crt"]) != string(came["ca.crt"]) {
		t.Errorf("the token that production made, %d bytes, is not the one that development has, %d", len(made["token"]), len(came["token"]))
	}
	psk := string(secret("development", "join", "psk")["psk"])
	if raw, err := base64.StdEncoding.DecodeString(psk); err != nil || len(raw) != 48 {
		t.Errorf("the key that was made has %d bytes, not 48: %v", len(raw), err)
	}
	addressIs(w, w.Kubectl("production", "-n", "broker", "get", "service", "gateway", "-o", "jsonpath={.spec.clusterIP}"))
	for what, value := range map[string]string{"token": string(made["token"]), "token as stored": base64.StdEncoding.EncodeToString(made["token"]), "psk": psk} {
		for _, place := range objectsWith(w, w.Hub.Config, value) {
			t.Errorf("the hub shows the %s in %s", what, place)
		}
	}

	if got, _, err := text(w, "development", "join", "api"); err != nil || "https://"+got != w.Configs["production"].Host {
		t.Errorf("the API server of production is told as %q: %v", got, err)
	}

	// Whoever asks is told who takes what, and nothing that is sensitive.
	hub, err := w.Fleet.Cluster("hub")
	w.Check(err)
	listed := w.Flotilla("outputs", "--kubeconfig", hub.Kubeconfig())
	for _, want := range []string{"fleet-broker   psk", "(sensitive)", "fleet-default/development", "fleet-join"} {
		if !strings.Contains(listed, want) {
			t.Errorf("the list of outputs lacks %q:\n%s", want, listed)
		}
	}
	address := w.Kubectl("production", "-n", "broker", "get", "service", "gateway", "-o", "jsonpath={.spec.clusterIP}")
	variables := w.Flotilla("outputs", "fleet-broker", "--format", "tfvars", "--healthy", "--kubeconfig", hub.Kubeconfig())
	if want := fmt.Sprintf("address = {\n  production = %q\n}\n", address); !strings.Contains(variables, want) || strings.Contains(listed+variables, psk) || strings.Contains(listed+variables, string(made["token"])) {
		t.Errorf("the variables lack %s, or show what is sensitive:\n%s\n%s", want, variables, listed)
	}

	// An address that goes stays what it was; one that moves reaches its consumer, without a push.
	w.Kubectl("production", "-n", "broker", "delete", "service", "gateway")
	w.Eventually("the output saying that its object is gone", func() error {
		got := w.Kubectl("hub", "get", "bundledeployments", "-A", "-o", "jsonpath={.items[*].status.outputs[?(@.name=='address')]}")
		if !strings.Contains(got, "Service broker/gateway does not exist") || !strings.Contains(got, `"value"`) {
			return fmt.Errorf("it says %s", got)
		}
		return nil
	})
	w.Kubectl("production", "-n", "broker", "create", "service", "clusterip", "gateway", "--tcp=443", "--clusterip=10.96.7.7")
	addressIs(w, "10.96.7.7")

	// An output over many objects changes when one comes, and knows the commit that is deployed.
	w.Kubectl("production", "-n", "broker", "create", "service", "clusterip", "second", "--tcp=443")
	head := w.Kubectl("hub", "-n", world.Workspace, "get", "gitrepo", "fleet", "-o", "jsonpath={.status.commit}")
	w.Eventually("the list of the services on the other cluster", func() error {
		got := w.Kubectl("development", "-n", "join", "get", "configmap", "services", "-o", "jsonpath={.data}")
		if want := fmt.Sprintf(`{"age":"true","commit":%q,"names":"gateway second"}`, head); got != want {
			return fmt.Errorf("it is %s, want %s", got, want)
		}
		return nil
	})

	// An output that is added to what is deployed already is taken like the others.
	w.Push("fleet", map[string]string{
		"broker/fleet.yaml": brokerAndMember["broker/fleet.yaml"] + "- {name: port, object: {apiVersion: v1, kind: Service, namespace: broker, name: gateway}, value: 'self.spec.ports[0].port'}\n",
		"join/fleet.yaml":   strings.Replace(brokerAndMember["join/fleet.yaml"], "helm:", "- {name: port, from: {bundle: fleet-broker, output: port}, into: {kind: ConfigMap, name: port, key: text}}\nhelm:", 1),
	})
	w.Eventually("the port on the other cluster", func() error {
		if got, _, err := text(w, "development", "join", "port"); err != nil || got != "443" {
			return fmt.Errorf("it is %q: %w", got, err)
		}
		return nil
	})
}

func addressIs(w *world.World, want string) {
	w.T.Helper()
	w.Eventually("the address on the other cluster", func() error {
		for name, wanted := range map[string]string{"address": want, "server": want + ":443"} {
			if got, _, err := text(w, "development", "join", name); err != nil || got != wanted {
				return fmt.Errorf("%s is %q, want %q: %w", name, got, wanted, err)
			}
		}
		return nil
	})
}
