//go:build packs

package packs

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const helloLabel = "packs.flotilla.io/hello"

// hello is a pack of its own, which shows that the world turns.
var hello = map[string]string{
	"fleet.yaml": `name: hello
defaultNamespace: hello
overrideTargets:
- clusterSelector: {matchLabels: {packs.flotilla.io/hello: "true"}}
helm:
  values: {cluster: "${ .ClusterName }"}
`,
	"Chart.yaml":           "apiVersion: v2\nname: hello\nversion: 1.0.0\n",
	"templates/hello.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hello}\ndata: {cluster: '{{ .Values.cluster }}'}\n",
}

// theWorld brings an application to all four clusters by a push and a label, and takes it away by the label alone.
func theWorld(w *World) {
	for name := range clusters {
		w.Label(name, helloLabel, "true")
	}
	start := time.Now()
	w.push("hello", hello)
	w.Settled("hello")
	w.T.Logf("from push to Ready on four clusters: %s", time.Since(start).Round(10*time.Millisecond))
	for name := range clusters {
		config := greeting()
		w.Check(w.Reads(name, config))
		if got := config.Data["cluster"]; got != name {
			w.T.Errorf("on %s the value is %q", name, got)
		}
	}
	for name := range clusters { // one after the other: to leave all at once would be held until somebody approves
		w.Label(name, helloLabel, "")
		w.Eventually("waiting for hello to leave "+name, func() error {
			err := w.Reads(name, greeting())
			if err == nil {
				return fmt.Errorf("it is on %s", name)
			}
			return client.IgnoreNotFound(err)
		})
	}
	w.Prove("a label is all that takes a cluster in or out", "an application for clusters with a label",
		"its ConfigMap comes to four clusters with the label and goes with it", Proved)
}

func greeting() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "hello", Name: "hello"}}
}
