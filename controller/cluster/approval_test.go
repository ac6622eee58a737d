package cluster_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// approve is what a person does.
func approve(t *testing.T, reg *fleet.ClusterRegistration, yes bool) {
	t.Helper()
	now := get(t, reg.Namespace, reg.Name, &fleet.ClusterRegistration{})
	before := now.DeepCopy()
	now.Spec.Approved = yes
	must(t, theHub.client.Patch(t.Context(), now, client.MergeFrom(before)))
}

func TestApproval(t *testing.T) {
	ws := workspace(t)
	tests := map[string]string{"env": "test"}
	manual := newToken(t, ws, "manual", fleet.ClusterRegistrationTokenSpec{Approval: fleet.TokenApprovalManual})
	byRule := newToken(t, ws, "by-rule", fleet.ClusterRegistrationTokenSpec{Approval: fleet.TokenApprovalManual, AllowedLabels: tests})
	short := newToken(t, ws, "short", fleet.ClusterRegistrationTokenSpec{Approval: fleet.TokenApprovalManual, TTL: &metav1.Duration{Duration: time.Hour}})

	t.Run("a person lets a cluster in", func(t *testing.T) {
		j := newJoiner(t, manual, "a").named("a")
		reg := j.answer(j.ask(), fleet.ReasonAwaitingApproval)
		c := fleet.Condition(reg.Status.Conditions, fleet.ConditionGranted)
		if c.Status != corev1.ConditionUnknown || !strings.Contains(c.Message, "flotilla approve registration/"+reg.Name) {
			t.Errorf("Granted = %s %q; it should name the command", c.Status, c.Message)
		}
		if err := theHub.client.Get(t.Context(), client.ObjectKey{Namespace: ws, Name: "a"}, &fleet.Cluster{}); err == nil {
			t.Error("the Cluster was made before anybody approved")
		}
		approve(t, reg, true)
		j.open(j.answer(reg, fleet.ReasonGranted))
	})
	t.Run("an agent cannot approve itself", func(t *testing.T) {
		j := newJoiner(t, manual, "b")
		j.spec.Approved = true
		reg := j.answer(j.ask(), fleet.ReasonAwaitingApproval)
		before := reg.DeepCopy()
		reg.Spec.Approved = false
		if err := j.hub.Patch(t.Context(), reg, client.MergeFrom(before)); err == nil {
			t.Error("an agent changed its request")
		}
		approve(t, reg, false)
		j.answer(reg, fleet.ReasonAwaitingApproval)
		approve(t, reg, true)
		j.answer(reg, fleet.ReasonGranted)
	})
	t.Run("a rule lets in the labels that it names", func(t *testing.T) {
		newJoiner(t, byRule, "c").labelled(tests).join()
	})
	t.Run("and leaves others to a person", func(t *testing.T) {
		j := newJoiner(t, byRule, "d").labelled(map[string]string{"env": "production"})
		reg := j.answer(j.ask(), fleet.ReasonAwaitingApproval)
		approve(t, reg, true)
		j.answer(reg, fleet.ReasonGranted)
	})
	t.Run("a person may take longer than the token lasts", func(t *testing.T) {
		j := newJoiner(t, short, "e")
		reg := j.answer(j.ask(), fleet.ReasonAwaitingApproval)
		tok := get(t, ws, "short", &fleet.ClusterRegistrationToken{})
		before := tok.DeepCopy()
		tok.Spec.TTL.Duration = reg.CreationTimestamp.Sub(tok.CreationTimestamp.Time) + time.Second // it asked just in time
		must(t, theHub.client.Patch(t.Context(), tok, client.MergeFrom(before)))
		eventually(t, func() error {
			if reason := tokenReason(t, ws, "short"); reason != fleet.ReasonTokenExpired {
				return fmt.Errorf("the token's reason is %q", reason)
			}
			return nil
		})
		approve(t, reg, true)
		j.answer(reg, fleet.ReasonGranted)
	})
	t.Run("raising the uses of a token lets in who came too late", func(t *testing.T) {
		v := newToken(t, ws, "one", fleet.ClusterRegistrationTokenSpec{Uses: 1})
		newJoiner(t, v, "f").join()
		late := newJoiner(t, v, "g")
		reg := late.answer(late.ask(), fleet.ReasonTokenUsed)
		tok := get(t, ws, "one", &fleet.ClusterRegistrationToken{})
		before := tok.DeepCopy()
		tok.Spec.Uses = 2
		must(t, theHub.client.Patch(t.Context(), tok, client.MergeFrom(before)))
		late.answer(reg, fleet.ReasonGranted)
	})
}

func tokenReason(t *testing.T, ws, name string) string {
	t.Helper()
	if c := fleet.Condition(get(t, ws, name, &fleet.ClusterRegistrationToken{}).Status.Conditions, fleet.ConditionReady); c != nil {
		return c.Reason
	}
	return ""
}

// A cluster that is known is handed to another key by a person only.
func TestTakingOver(t *testing.T) {
	t.Parallel()
	ws := workspace(t)
	v := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{})

	t.Run("the same key is granted again and keeps the labels of the first time", func(t *testing.T) {
		j := newJoiner(t, v, "a").named("a").labelled(map[string]string{"env": "test"})
		first := j.join()
		j.spec.ClientRandom += "again"
		j.labelled(map[string]string{"env": "production"})
		second := j.join()
		if got := get(t, ws, "a", &fleet.Cluster{}).Labels["env"]; got != "test" {
			t.Errorf("an agent changed its cluster's label to %q", got)
		}
		for _, c := range []string{first.Token, second.Token} {
			must(t, as(t, c).Get(t.Context(), client.ObjectKey{Namespace: first.ClusterNamespace, Name: fleet.AgentName}, &flotilla.Agent{}))
		}
		eventually(t, func() error {
			list := &fleet.ClusterRegistrationList{}
			must(t, theHub.client.List(t.Context(), list, client.InNamespace(ws)))
			if len(list.Items) != 1 {
				return fmt.Errorf("%d registrations of the cluster are kept, want the last one", len(list.Items))
			}
			return nil
		})
	})
	t.Run("another key waits for a person, and then ends the access of the first", func(t *testing.T) {
		first := newJoiner(t, v, "b").named("b").join()
		copied := newJoiner(t, v, "b").named("b")
		reg := copied.answer(copied.ask(), fleet.ReasonAwaitingApproval)
		agentOf := client.ObjectKey{Namespace: first.ClusterNamespace, Name: fleet.AgentName}
		must(t, as(t, first.Token).Get(t.Context(), agentOf, &flotilla.Agent{}))
		approve(t, reg, true)
		second := copied.open(copied.answer(reg, fleet.ReasonGranted))
		must(t, as(t, second.Token).Get(t.Context(), agentOf, &flotilla.Agent{}))
		wantRevoked(t, first.Token, agentOf)
	})
	t.Run("a cluster that was made with the clientID takes the first key", func(t *testing.T) {
		newCluster(t, ws, "c", fleet.ClusterSpec{ClientID: "c"}, nil)
		if c := newJoiner(t, v, "c").join(); c.ClusterName != "c" {
			t.Errorf("joined as %s", c.ClusterName)
		}
	})
	t.Run("a cluster that was made without one waits for a person", func(t *testing.T) {
		newCluster(t, ws, "d", fleet.ClusterSpec{}, nil)
		j := newJoiner(t, v, "d").named("d")
		reg := j.answer(j.ask(), fleet.ReasonAwaitingApproval)
		approve(t, reg, true)
		j.answer(reg, fleet.ReasonGranted)
		if got := get(t, ws, "d", &fleet.Cluster{}).Spec.ClientID; got != "d" {
			t.Errorf("the Cluster's clientID is %q", got)
		}
	})
	t.Run("a request that is sent again with another key is refused", func(t *testing.T) {
		j := newJoiner(t, v, "e")
		j.join()
		thief := newJoiner(t, v, "e")
		thief.spec.ClientRandom = j.spec.ClientRandom
		thief.answer(thief.ask(), fleet.ReasonTokenUsed)
	})
}

// wantRevoked waits until the hub does not know a token any more; the API server remembers for some seconds.
func wantRevoked(t *testing.T, bearer string, key client.ObjectKey) {
	t.Helper()
	agent := as(t, bearer)
	eventually(t, func() error {
		if err := agent.Get(t.Context(), key, &flotilla.Agent{}); !apierrors.IsUnauthorized(err) {
			return fmt.Errorf("reading %s with a token that was revoked: %w", key, err)
		}
		return nil
	})
}

func TestUsesAreCountedExactly(t *testing.T) {
	ws := workspace(t)
	v := newToken(t, ws, "five", fleet.ClusterRegistrationTokenSpec{Uses: 5})
	const clusters = 12
	verdicts := make([]string, clusters)
	var all sync.WaitGroup
	for i := range clusters {
		j := newJoiner(t, v, fmt.Sprint("client-", i))
		reg := j.ask()
		all.Go(func() {
			for deadline := time.Now().Add(patience); verdicts[i] == "" && time.Now().Before(deadline); {
				if j.hub.Get(t.Context(), client.ObjectKeyFromObject(reg), reg) != nil {
					return
				}
				if c := fleet.Condition(reg.Status.Conditions, fleet.ConditionGranted); c != nil {
					verdicts[i] = c.Reason
				}
			}
		})
	}
	all.Wait()
	granted := 0
	for _, verdict := range verdicts {
		switch verdict {
		case fleet.ReasonGranted:
			granted++
		case fleet.ReasonTokenUsed:
		default:
			t.Errorf("a verdict is %q", verdict)
		}
	}
	list := &fleet.ClusterList{}
	must(t, theHub.client.List(t.Context(), list, client.InNamespace(ws)))
	if granted != 5 || len(list.Items) != 5 {
		t.Errorf("%d clusters were let in and %d were made, want 5", granted, len(list.Items))
	}
}
