package joining

import (
	"context"
	"os"
	"regexp"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/install"
	"flotilla.io/flotilla/integrationtests/world"
)

// What the hub refuses is told on the hub, and by the agent with what to do. An agent that waits joins by itself once a
// person, or a rule, says yes.
func TestRefusalsAndApproval(t *testing.T) {
	t.Parallel()
	w := fleetOf(t)
	for _, name := range []string{"outsider", "ruled"} {
		w.StartCluster(name)
		target, err := install.NewTarget(w.Configs[name])
		w.Check(err)
		w.Check(target.Agent(context.Background(), map[string]any{}, true))
	}
	t.Run("refused", func(t *testing.T) { refused(t, w) })
	t.Run("approved by hand", func(t *testing.T) { approvedByHand(t, in(t, w)) })
	t.Run("approved by rule", func(t *testing.T) { approvedByRule(t, in(t, w)) })
}

func refused(t *testing.T, w *world.World) {
	spend(in(t, w), "spent")
	lapse(in(t, w), "expired")
	stranger := token(w, "stranger", fleet.ClusterRegistrationTokenSpec{TTL: hour})
	stranger["tokenName"] = "never-was"
	deleted := token(w, "deleted", fleet.ClusterRegistrationTokenSpec{TTL: hour})
	w.Check(w.Hub.Client.Delete(context.Background(), named("deleted")))
	for _, row := range []struct {
		rule   string
		values map[string]any
		reason string // on the hub; "" where a request does not get there
		says   []string
	}{
		{"an expired token", token(w, "expired", fleet.ClusterRegistrationTokenSpec{}), fleet.ReasonTokenExpired, []string{"expired at", "make a new ClusterRegistrationToken"}},
		{"a token that was used up", token(w, "spent", fleet.ClusterRegistrationTokenSpec{}), fleet.ReasonTokenUsed, []string{"used 1 times", "raise its spec.uses"}},
		{"a token that is not this hub's", stranger, fleet.ReasonTokenUnknown, []string{"there is no ClusterRegistrationToken never-was"}},
		{"a token that was deleted", deleted, "", []string{"the hub does not know the token deleted"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			w := in(t, w)
			asks(w, "outsider", row.values)
			logs(w, "outsider", append(row.says, row.reason)...)
			if row.reason != "" {
				c := granted(w, row.values["tokenName"].(string), row.reason)
				if c.Status != "False" || !has(c.Message, row.says[0]) {
					t.Errorf("the hub says %s %q", c.Status, c.Message)
				}
			}
		})
	}
	if out := w.Kubectl("hub", "get", "clusters.fleet.cattle.io", "-A", "--no-headers"); has(out, "outsider") {
		t.Errorf("a cluster that was refused is in the fleet:\n%s", out)
	}
}

// asks gives the agent of a cluster values to join with, and has it ask as long as the test runs.
func asks(w *world.World, cluster string, values map[string]any) {
	w.T.Helper()
	values["clusterName"] = cluster
	secret := bootstrap(values)
	w.Check(client.IgnoreNotFound(w.Clients[cluster].Delete(context.Background(), secret.DeepCopy())))
	w.Check(w.Clients[cluster].Create(context.Background(), secret))
	if err := os.Remove(agentLog(w, cluster)); err != nil && !os.IsNotExist(err) {
		w.T.Fatal(err)
	}
	runs(w, cluster)
}

func named(token string) *fleet.ClusterRegistrationToken {
	return &fleet.ClusterRegistrationToken{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: token}}
}

// spend makes a token whose only use another cluster took.
func spend(w *world.World, name string) {
	w.T.Helper()
	token(w, name, fleet.ClusterRegistrationTokenSpec{TTL: hour, Uses: 1})
	taken := []byte(`{"status":{"used":1,"usedBy":["the UID of another request"]}}`)
	w.Check(w.Hub.Client.Status().Patch(context.Background(), named(name), client.RawPatch("application/merge-patch+json", taken)))
}

// lapse makes a token and waits until it has expired.
func lapse(w *world.World, name string) {
	w.T.Helper()
	token(w, name, fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: time.Second}})
	w.Kubectl("hub", "-n", world.Workspace, "wait", "--timeout=2m", "--for=condition=Ready=false", "clusterregistrationtoken/"+name)
}

var approval = regexp.MustCompile(`flotilla approve registration/[a-z0-9-]+ -n [a-z0-9-]+`)

func approvedByHand(t *testing.T, w *world.World) {
	asks(w, "outsider", token(w, "manual", fleet.ClusterRegistrationTokenSpec{TTL: hour, Approval: fleet.TokenApprovalManual}))
	line := logs(w, "outsider", fleet.ReasonAwaitingApproval)
	if c := granted(w, "manual", fleet.ReasonAwaitingApproval); c.Status != "Unknown" {
		t.Errorf("what waits for a person is %s", c.Status)
	}
	command := approval.FindString(line)
	if command == "" {
		t.Fatalf("the agent does not log the command that approves:\n%s", line)
	}
	p := atHand(t).With("KUBECONFIG=" + hub(w))
	out := p.MustRun(world.Bin(w.T) + "/" + command)
	if !has(out, "is approved") {
		t.Errorf("%s says\n%s", command, out)
	}
	logs(w, "outsider", "the cluster has joined", "outsider")
	reads(w, "outsider", "Healthy")
}

func approvedByRule(t *testing.T, w *world.World) {
	rule := fleet.ClusterRegistrationTokenSpec{TTL: hour, Approval: fleet.TokenApprovalManual, AllowedLabels: map[string]string{"env": "staging"}}
	t.Run("labels beyond the rule wait for a person", func(t *testing.T) {
		w := in(t, w)
		values := token(w, "rule", rule)
		values["labels"] = map[string]any{"env": "production"}
		asks(w, "ruled", values)
		logs(w, "ruled", fleet.ReasonAwaitingApproval)
	})
	t.Run("labels within the rule let the cluster in", func(t *testing.T) {
		w := in(t, w)
		values := token(w, "rule", rule)
		values["labels"] = map[string]any{"env": "staging"}
		asks(w, "ruled", values)
		logs(w, "ruled", "the cluster has joined", "ruled")
		reads(w, "ruled", "Healthy")
	})
}
