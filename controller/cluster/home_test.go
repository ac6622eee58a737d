package cluster_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/cluster/home"
)

// newCluster makes a Cluster and waits until its namespace is furnished.
func newCluster(t *testing.T, ws, name string, spec fleet.ClusterSpec, labels map[string]string) *fleet.Cluster {
	t.Helper()
	c := &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: name, Labels: labels}, Spec: spec}
	must(t, theHub.client.Create(t.Context(), c))
	eventually(t, func() error {
		c = get(t, ws, name, &fleet.Cluster{})
		if !fleet.ConditionIs(c.Status.Conditions, fleet.ConditionProcessed, corev1.ConditionTrue) {
			return fmt.Errorf("%s: %+v", name, c.Status.Conditions)
		}
		return nil
	})
	return c
}

func TestAClusterNamespaceIsFurnished(t *testing.T) {
	ws := workspace(t)
	c := newCluster(t, ws, "edge", fleet.ClusterSpec{}, nil)
	ns := fleet.ClusterNamespace(ws, "edge")
	if c.Status.Namespace != ns {
		t.Errorf("status.namespace is %q, want %q", c.Status.Namespace, ns)
	}
	if key := get(t, ns, fleet.ClusterKeySecret, &corev1.Secret{}); len(key.Data[fleet.ClusterKeyKey]) != 32 {
		t.Errorf("the key has %d bytes", len(key.Data[fleet.ClusterKeyKey]))
	}
	lease := get(t, ns, fleet.AgentName, &coordinationv1.Lease{})
	if *lease.Spec.LeaseDurationSeconds != 3*leaseSeconds || lease.Spec.RenewTime != nil {
		t.Errorf("the lease is %+v", lease.Spec)
	}
}

func TestARequestOfAnotherManagerIsLeftAlone(t *testing.T) {
	ws := workspace(t)
	values := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{})
	other := newJoiner(t, values, "theirs").named("theirs")
	other.marks = map[string]string{fleet.ClusterManagementLabel: "somebody"}
	other.ask()
	newJoiner(t, values, "ours").named("ours").join() // asked later, and answered
	err := theHub.client.Get(t.Context(), client.ObjectKey{Namespace: ws, Name: "theirs"}, &fleet.Cluster{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the request made a Cluster: %v", err)
	}
}

func TestTheLeaseTellsOfTheAgentObject(t *testing.T) {
	ws := workspace(t)
	newCluster(t, ws, "edge", fleet.ClusterSpec{}, nil)
	ns := fleet.ClusterNamespace(ws, "edge")
	agent := get(t, ns, fleet.AgentName, &flotilla.Agent{})
	for range 2 {
		before := agent.DeepCopy()
		agent.Spec.PublicKey = append(agent.Spec.PublicKey, 'k')
		must(t, theHub.client.Patch(t.Context(), agent, client.MergeFrom(before)))
		eventually(t, func() error {
			lease := get(t, ns, fleet.AgentName, &coordinationv1.Lease{})
			if got := lease.Annotations[home.GenerationAnnotation]; got != strconv.FormatInt(agent.Generation, 10) {
				return fmt.Errorf("the lease says generation %s, the Agent has %d", got, agent.Generation)
			}
			return nil
		})
	}
	must(t, theHub.client.Delete(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fleet.AgentName}}))
	eventually(t, func() error {
		return theHub.client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: fleet.AgentName}, &coordinationv1.Lease{})
	})
}

func TestANamespaceOfOthersIsNotTaken(t *testing.T) {
	ws := workspace(t)
	for name, annotations := range map[string]map[string]string{
		"unmarked":  nil,
		"anothers":  {fleet.ClusterAnnotation: "other", fleet.ClusterNamespaceAnnotation: ws},
		"elsewhere": {fleet.ClusterAnnotation: "elsewhere", fleet.ClusterNamespaceAnnotation: "another-workspace"},
	} {
		ns := fleet.ClusterNamespace(ws, name)
		must(t, theHub.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Annotations: annotations}}))
		must(t, theHub.client.Create(t.Context(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: name}}))
		eventually(t, func() error {
			c := fleet.Condition(get(t, ws, name, &fleet.Cluster{}).Status.Conditions, fleet.ConditionProcessed)
			if c == nil || c.Status != corev1.ConditionFalse || c.Reason != "NamespaceFailed" || !strings.Contains(c.Message, ns) {
				return fmt.Errorf("%s: Processed = %+v", name, c)
			}
			return nil
		})
		if err := theHub.client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: fleet.ClusterKeySecret}, &corev1.Secret{}); err == nil {
			t.Errorf("%s: a key was put into a namespace that is not the cluster's", name)
		}
	}
}

// The hub does not reach into a cluster that joined by itself.
func TestFieldsThatDescribeTheAgentAreNamedWhereTheyHaveNoEffect(t *testing.T) {
	ws := workspace(t)
	yes := true
	c := newCluster(t, ws, "edge", fleet.ClusterSpec{HostNetwork: &yes, PrivateRepoURL: "registry"}, nil)
	got := fleet.Condition(c.Status.Conditions, fleet.ConditionNotServed)
	for _, field := range []string{"hostNetwork", "privateRepoURL", "joined by itself"} {
		if got == nil || !strings.Contains(got.Message, field) {
			t.Errorf("NotServed = %+v; it should name %s", got, field)
		}
	}
	before := c.DeepCopy()
	c.Spec.KubeConfigSecret = "kubeconfig" // by which it does
	must(t, theHub.client.Patch(t.Context(), c, client.MergeFrom(before)))
	eventually(t, func() error {
		if c := fleet.Condition(get(t, ws, "edge", &fleet.Cluster{}).Status.Conditions, fleet.ConditionNotServed); c != nil {
			return fmt.Errorf("NotServed = %+v", c)
		}
		return nil
	})
}

// Deleting a Cluster ends its agent's access. Nothing that was deployed is ordered away.
func TestDeletingAClusterRevokes(t *testing.T) {
	t.Parallel()
	ws := workspace(t)
	v := newToken(t, ws, "join", fleet.ClusterRegistrationTokenSpec{})
	j := newJoiner(t, v, "edge").named("edge")
	c := j.join()
	ns := c.ClusterNamespace
	must(t, theHub.client.Create(t.Context(), &fleet.BundleDeployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}}))
	agentOf := client.ObjectKey{Namespace: ns, Name: fleet.AgentName}
	must(t, as(t, c.Token).Get(t.Context(), agentOf, &flotilla.Agent{}))
	oldKey := get(t, ns, fleet.ClusterKeySecret, &corev1.Secret{}).Data[fleet.ClusterKeyKey]

	must(t, theHub.client.Delete(t.Context(), &fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: ws, Name: "edge"}}))
	began := time.Now()
	wantRevoked(t, c.Token, agentOf)
	t.Logf("the agent's token was unknown %s after the Cluster was deleted", time.Since(began).Round(time.Millisecond))
	eventually(t, func() error {
		if err := theHub.client.Get(t.Context(), client.ObjectKey{Namespace: ws, Name: "edge"}, &fleet.Cluster{}); err == nil {
			return fmt.Errorf("the Cluster is still there")
		}
		return nil
	})
	bd := get(t, ns, "web", &fleet.BundleDeployment{})
	if !bd.DeletionTimestamp.IsZero() || bd.Spec.Deletion != nil {
		t.Errorf("deleting the Cluster ordered the deletion of a bundle: %+v", bd)
	}
	if got := get(t, "", ns, &corev1.Namespace{}).Annotations[home.OrphanedAnnotation]; got == "" {
		t.Error("the namespace is not marked as orphaned")
	}
	list := &fleet.ClusterRegistrationList{}
	must(t, theHub.client.List(t.Context(), list, client.InNamespace(ws)))
	if len(list.Items) != 0 {
		t.Errorf("%d registrations of the deleted cluster are left", len(list.Items))
	}

	newCluster(t, ws, "edge", fleet.ClusterSpec{ClientID: "edge"}, nil) // added again, say from Git
	again := newJoiner(t, v, "edge").named("edge").join()               // with a key of its own: the old one counts no more
	if newKey := get(t, ns, fleet.ClusterKeySecret, &corev1.Secret{}).Data[fleet.ClusterKeyKey]; bytes.Equal(oldKey, newKey) {
		t.Error("the cluster of the same name got the key of the deleted one")
	}
	eventually(t, func() error { return as(t, again.Token).Get(t.Context(), agentOf, &flotilla.Agent{}) })
	eventually(t, func() error {
		if get(t, "", ns, &corev1.Namespace{}).Annotations[home.OrphanedAnnotation] != "" {
			return fmt.Errorf("the namespace is still marked as orphaned")
		}
		return nil
	})
	must(t, theHub.client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "web"}, &fleet.BundleDeployment{}))
}
