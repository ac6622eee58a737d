//go:build packs

package packs

import (
	"testing"
)

// proofs are the subtests, in the order in which they run.
var proofs = []struct {
	name  string
	prove func(w *World)
}{
	{"World", theWorld},
	{"Submariner", submariner},
	{"SharedServices", sharedServices},
	{"Velero", velero},
	{"Gatekeeper", gatekeeper},
	{"CertManager", certManager},
	{"GlobalLoadBalancing", globalLB},
	{"AuditLog", auditLog},
	{"Istio", istio}, // the last: from then on Pods of production ask an istiod that no API server here can reach
}

func TestPacks(t *testing.T) {
	w := newWorld(t)
	for _, p := range proofs {
		t.Run(p.name, func(t *testing.T) { p.prove(w.with(t)) })
	}
	if !t.Failed() {
		w.allHealthy()
	}
	w.ways()
	nobodyElse(w)
	w.print(t)
}
