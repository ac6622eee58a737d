package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/importer"
	"flotilla.io/flotilla/controller/cluster/token"
)

// pullSecret is the Secret beside the hub that agents' images are pulled with.
const pullSecret = "registry"

// orders keeps what the importer would have had installed; that it is installed is for integrationtests/joining to see.
type orders struct {
	mu  sync.Mutex
	all []importer.Order
}

func (o *orders) install(_ context.Context, order importer.Order) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, order)
	if string(order.Kubeconfig) == "out of reach" {
		return fmt.Errorf("dialling: no route to host")
	}
	return nil
}

// with are the orders with a kubeconfig, in order.
func (o *orders) with(kubeconfig string) (found []importer.Order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, order := range o.all {
		if string(order.Kubeconfig) == kubeconfig {
			found = append(found, order)
		}
	}
	return found
}

func kubeconfigSecret(t *testing.T, ws, name, kubeconfig string, more map[string]string) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: name}, StringData: map[string]string{"value": kubeconfig}}
	for key, value := range more {
		s.StringData[key] = value
	}
	must(t, theHub.client.Create(t.Context(), s))
}

// importSays waits until condition Imported has a status and a message.
func importSays(t *testing.T, ws, name string, verdict corev1.ConditionStatus, parts ...string) *fleet.Cluster {
	t.Helper()
	var c *fleet.Cluster
	eventually(t, func() error {
		c = get(t, ws, name, &fleet.Cluster{})
		said := fleet.Condition(c.Status.Conditions, fleet.ConditionImported)
		if said == nil || said.Status != verdict {
			return fmt.Errorf("Imported is %+v", said)
		}
		for _, part := range parts {
			if !strings.Contains(said.Message, part) {
				return fmt.Errorf("Imported says %q, want %q in it", said.Message, part)
			}
		}
		return nil
	})
	return c
}

func TestAClusterIsImportedOnce(t *testing.T) {
	ws := workspace(t)
	kubeconfigSecret(t, ws, "kubeconfig", "of "+ws, map[string]string{"apiServerURL": "https://hub.example"})
	must(t, theHub.client.Create(t.Context(), &fleet.Cluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: "edge", Labels: map[string]string{"env": "test"}},
		Spec:       fleet.ClusterSpec{KubeConfigSecret: "kubeconfig", AgentEnvVars: []corev1.EnvVar{{Name: "A", Value: "b"}}},
	}))
	c := importSays(t, ws, "edge", corev1.ConditionTrue)
	st := c.Status
	if c.Spec.ClientID == "" || st.AgentDeployedGeneration == nil || *st.AgentDeployedGeneration != 0 || st.APIServerURL != "https://hub.example" ||
		st.AgentEnvVarsHash == "" || st.Agent.Namespace != fleet.SystemNamespace || st.AgentTLSMode != "strict" {
		t.Errorf("clientID %q, status %+v", c.Spec.ClientID, st)
	}
	order := theHub.orders.with("of " + ws)[0]
	if order.Namespace != fleet.SystemNamespace || order.Values["clientID"] != c.Spec.ClientID || order.Values["tokenName"] != "import-token-edge" || order.Values["apiServerURL"] != "https://hub.example" {
		t.Errorf("the order is for %s with %v", order.Namespace, order.Values)
	}
	if s := order.PullSecrets; len(s) != 1 || s[0].Name != pullSecret || string(s[0].Data[corev1.DockerConfigJsonKey]) != "{}" {
		t.Errorf("the hub's credentials for registries are handed on as %+v", s)
	}
	importToken := get(t, ws, "import-token-edge", &fleet.ClusterRegistrationToken{})
	if importToken.Spec.TTL.Duration != 12*time.Hour || importToken.Spec.Uses != 1 || !metav1.IsControlledBy(importToken, c) {
		t.Errorf("the token is %+v", importToken)
	}

	// The agent joins with it, unasked, as this Cluster.
	var v token.Values
	data, err := yaml.Marshal(order.Values)
	must(t, err)
	must(t, yaml.Unmarshal(data, &v))
	if joined := newJoiner(t, v, c.Spec.ClientID).join(); joined.ClusterName != "edge" {
		t.Errorf("the agent joined as %s", joined.ClusterName)
	}

	// What does not describe the agent dials nobody; what does, once more.
	change := func(what func(*fleet.Cluster)) {
		before := get(t, ws, "edge", &fleet.Cluster{})
		after := before.DeepCopy()
		what(after)
		must(t, theHub.client.Patch(t.Context(), after, client.MergeFrom(before)))
	}
	change(func(c *fleet.Cluster) { c.Spec.Paused, c.Labels["env"] = true, "production" })
	change(func(c *fleet.Cluster) { c.Spec.RedeployAgentGeneration = 1 })
	eventually(t, func() error {
		c := get(t, ws, "edge", &fleet.Cluster{})
		if n := len(theHub.orders.with("of " + ws)); n != 2 || *c.Status.AgentDeployedGeneration != 1 {
			return fmt.Errorf("%d imports, generation %d, %+v", n, *c.Status.AgentDeployedGeneration, c.Status.Conditions)
		}
		return nil
	})
	if again := get(t, ws, "import-token-edge", &fleet.ClusterRegistrationToken{}); again.Spec.Uses != 2 || again.UID != importToken.UID {
		t.Errorf("the token that was used is good for %d", again.Spec.Uses)
	}
	change(func(c *fleet.Cluster) { c.Spec.AgentNamespace = "elsewhere" })
	importSays(t, ws, "edge", corev1.ConditionFalse, "is not moved to elsewhere")
	if n := len(theHub.orders.with("of " + ws)); n != 2 {
		t.Errorf("it was dialled %d times", n)
	}
}

func TestAnImportThatFailsSaysWhyAndIsTriedAgain(t *testing.T) {
	for _, row := range []struct {
		rule  string
		spec  fleet.ClusterSpec
		make  func(t *testing.T, ws, other string)
		says  string
		mends func(t *testing.T, ws, other string) // nil: nothing can
	}{
		{"a Secret that is not there", fleet.ClusterSpec{KubeConfigSecret: "kubeconfig"}, nil, "kubeconfig that spec.kubeConfigSecret names",
			func(t *testing.T, ws, _ string) { kubeconfigSecret(t, ws, "kubeconfig", "late", nil) }},
		{"a Secret without a kubeconfig", fleet.ClusterSpec{KubeConfigSecret: "empty"},
			func(t *testing.T, ws, _ string) { kubeconfigSecret(t, ws, "empty", "", nil) }, `has no key "value"`, nil},
		{"a cluster out of reach", fleet.ClusterSpec{KubeConfigSecret: "far"},
			func(t *testing.T, ws, _ string) { kubeconfigSecret(t, ws, "far", "out of reach", nil) }, "no route to host", nil},
		{"a Secret of another workspace, until that lends it", fleet.ClusterSpec{KubeConfigSecret: "theirs"},
			func(t *testing.T, _, other string) { kubeconfigSecret(t, other, "theirs", "lent", nil) }, "kubectl annotate secret -n ",
			func(t *testing.T, ws, other string) {
				s := get(t, other, "theirs", &corev1.Secret{})
				before := s.DeepCopy()
				s.Annotations = map[string]string{fleet.ImportIntoAnnotation: "somewhere, " + ws}
				must(t, theHub.client.Patch(t.Context(), s, client.MergeFrom(before)))
			}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			t.Parallel()
			ws, other := workspace(t), workspace(t)
			if row.make != nil {
				row.make(t, ws, other)
			}
			if strings.Contains(row.rule, "another workspace") {
				row.spec.KubeConfigSecretNamespace = other
			}
			must(t, theHub.client.Create(t.Context(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: "edge"}, Spec: row.spec}))
			importSays(t, ws, "edge", corev1.ConditionFalse, row.says)
			if row.mends != nil {
				row.mends(t, ws, other)
				importSays(t, ws, "edge", corev1.ConditionTrue)
			}
		})
	}
}
