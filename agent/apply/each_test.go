package apply

import (
	"sync/atomic"
	"testing"
	"time"

	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/bundle/layer"
)

func TestAnAccountIsThereBeforeTheSecretOfItsToken(t *testing.T) {
	t.Parallel()
	objects := []plan.Wanted{
		{Key: layer.Key{Kind: "Secret", Namespace: "app", Name: "token"}}, {Key: layer.Key{Kind: "ServiceAccount", Namespace: "app", Name: "account"}},
	}
	var there atomic.Bool
	Each(objects, func(w plan.Wanted) error {
		if w.Key.Kind == "ServiceAccount" {
			time.Sleep(50 * time.Millisecond) // a slow API server
			there.Store(true)
		} else if !there.Load() {
			t.Error("the Secret came first: its token's account does not exist, and Kubernetes deletes it")
		}
		return nil
	})
}
