package cleanup

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestRegistrations(t *testing.T) {
	clusters := []fleet.Cluster{{ObjectMeta: metav1.ObjectMeta{Namespace: "ws", Name: "a"}}}
	at := func(name, namespace, cluster string, minute int, granted bool) fleet.ClusterRegistration {
		return fleet.ClusterRegistration{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Date(2026, 8, 1, 9, minute, 0, 0, time.UTC)},
			Status:     fleet.ClusterRegistrationStatus{ClusterName: cluster, Granted: granted},
		}
	}
	for _, c := range []struct {
		rule string
		all  []fleet.ClusterRegistration
		want string
	}{
		{"the latest that was granted stays", []fleet.ClusterRegistration{at("r", "ws", "a", 1, true)}, ""},
		{"one before it goes, granted or not", []fleet.ClusterRegistration{at("r1", "ws", "a", 1, true), at("r2", "ws", "a", 2, false), at("r3", "ws", "a", 3, true)},
			"r1: registration r3 took its place, r2: registration r3 took its place"},
		{"one after it stays: it is under way", []fleet.ClusterRegistration{at("r1", "ws", "a", 1, true), at("r2", "ws", "a", 2, false)}, ""},
		{"one of a cluster that is gone goes", []fleet.ClusterRegistration{at("r", "ws", "gone", 1, true)}, "r: there is no cluster ws/gone"},
		{"a cluster of that name elsewhere is another one", []fleet.ClusterRegistration{at("r", "other", "a", 1, true)}, "r: there is no cluster other/a"},
		{"one without an answer stays", []fleet.ClusterRegistration{at("r", "ws", "", 1, false)}, ""},
		{"while none was granted, all stay", []fleet.ClusterRegistration{at("r1", "ws", "a", 1, false), at("r2", "ws", "a", 2, false)}, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var got []string
			for _, o := range Registrations(clusters, c.all) {
				got = append(got, o.Name+": "+o.Why)
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}
