package migration

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	writeDown   = "1 Write down what there is"
	controllers = "2 Turn Fleet's controllers off"
)

func TestTheWayFromFleetAndBack(t *testing.T) {
	p := newPlace(t)
	g := p.page()
	p.installFleet()
	p.follow(g, "")
	p.sh("kubectl --context edge-1 -n web rollout status deploy/web --timeout=60s; kubectl --context edge-1 -n shop rollout status deploy/shop --timeout=60s")
	deployed, kept := p.deployed(), p.kept()
	p.runPods()
	for _, name := range g.order[1:8] {
		t.Log(name)
		p.follow(g, name)
	}
	p.settled("apps-web", "apps-shop")
	p.same("after the way there", deployed, p.deployed())
	p.same("on the hub", kept, p.kept())
	_ = context.Background
	_ = corev1.Secret{}
	_ = client.ObjectKey{}
	_ = fleet.Ready
	_ = strings.Cut
}
