package bundle

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata/fake"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestWhatIsCopiedIsLookedAtCheaply(t *testing.T) {
	for _, row := range []struct {
		rule                string
		secrets, configMaps int
		least, most         int // requests in a minute
	}{
		{"a few Secrets are looked at every five seconds", 10, 0, 110, 130},
		{"many are looked at in turn, ten in a second", 100, 0, 590, 610},
		{"ConfigMaps are watched, and not looked at", 0, 100, 0, 0},
	} {
		t.Run(row.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := fake.NewSimpleMetadataClient(fake.NewTestScheme())
				s := newOriginals(hub)
				var needed []original
				for i := range row.secrets {
					needed = append(needed, original{"Secret", client.ObjectKey{Namespace: "ws", Name: fmt.Sprint(i)}})
				}
				for i := range row.configMaps {
					needed = append(needed, original{"ConfigMap", client.ObjectKey{Namespace: "ws", Name: fmt.Sprint(i)}})
				}
				s.want(client.ObjectKey{Namespace: "ws", Name: "web"}, needed)
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					for range s.events { // the reconciler's queue
					}
				}()
				go s.Start(ctx)
				time.Sleep(time.Minute)
				hub.ClearActions()
				time.Sleep(time.Minute)
				got := len(hub.Actions())
				cancel()
				synctest.Wait()
				close(s.events)
				if got < row.least || got > row.most {
					t.Errorf("%d requests in a minute, want %d to %d", got, row.least, row.most)
				}
			})
		})
	}
}

func TestAConfigMapWakesTheBundlesThatCopyIt(t *testing.T) {
	s := newOriginals(nil)
	settings := original{"ConfigMap", client.ObjectKey{Namespace: "ws", Name: "settings"}}
	web, shop := client.ObjectKey{Namespace: "ws", Name: "web"}, client.ObjectKey{Namespace: "ws", Name: "shop"}
	at := func(namespace, name string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	s.want(web, []original{settings})
	s.want(shop, []original{{"Secret", settings.key}})
	for _, row := range []struct {
		rule      string
		configMap *corev1.ConfigMap
		want      []ctrl.Request
	}{
		{"those that copy it, and not a Secret of that name", at("ws", "settings"), []ctrl.Request{{NamespacedName: web}}},
		{"none for another name", at("ws", "other"), nil},
		{"none for one of another workspace", at("elsewhere", "settings"), nil},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := s.ofConfigMap(t.Context(), row.configMap); !slices.Equal(got, row.want) {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
	t.Run("none that copies it no more", func(t *testing.T) {
		s.want(web, nil)
		if got := s.ofConfigMap(t.Context(), at("ws", "settings")); got != nil {
			t.Errorf("%v", got)
		}
	})
}
