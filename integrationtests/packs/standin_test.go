//go:build packs

package packs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
)

// StandInProgram starts the program of the folder standin for a member.
func (w *World) StandInProgram(cluster string) {
	w.T.Helper()
	program := filepath.Join(w.Dir, "standin")
	if _, err := os.Stat(program); err != nil {
		build := exec.Command("go", "build", "-o", program, "./integrationtests/packs/standin")
		build.Dir = root()
		if out, err := build.CombinedOutput(); err != nil {
			w.T.Fatalf("building the stand-in: %v\n%s", err, out)
		}
	}
	p, err := embedded.Command{
		Program: program, Log: filepath.Join(w.Dir, "standin-"+cluster+".log"),
		Args: []string{"--kubeconfig", w.Kubeconfig(cluster, standIn), "--cluster-id", cluster},
	}.Start()
	w.Check(err)
	w.test.Cleanup(p.Stop) // as its Pods would, it stays
	w.standIns = append(w.standIns, p.Stop)
}

// gatewayOf is the node of a member that its tunnels end on.
func gatewayOf(w *World, cluster string) string {
	nodes := &corev1.NodeList{}
	w.Check(w.Lists(cluster, nodes))
	if len(nodes.Items) == 0 {
		w.T.Fatalf("%s has no node", cluster)
	}
	return nodes.Items[0].Name
}

// connected: without what Pods write nobody says that all is well; with it both members show the tunnel to the other.
func connected(w *World) {
	for _, name := range submariners {
		w.says("submariner-join", name, fleet.HealthProgressing, "no gateway is active")
	}
	w.Prove("with the stand-in off the pack reads Progressing", "submariner", "bundle submariner-join is Progressing on both clusters: no gateway is active", Proved)
	for _, name := range submariners {
		w.StandInProgram(name)
	}
	for i, name := range submariners {
		other := submariners[1-i]
		w.Eventually("waiting for "+name+" to show its tunnel", func() error {
			gateway := object("submariner.io/v1", "Gateway", "submariner-operator", gatewayOf(w, name))
			if err := w.Reads(name, gateway); err != nil {
				return err
			}
			list, _, _ := unstructured.NestedSlice(gateway.Object, "status", "connections")
			if len(list) != 1 {
				return fmt.Errorf("it shows %v", list)
			}
			shown := list[0].(map[string]any)
			id, _, _ := unstructured.NestedString(shown, "endpoint", "cluster_id")
			driver, _, _ := unstructured.NestedString(shown, "endpoint", "backend")
			if id != other || driver != "wireguard" || shown["status"] != "connected" {
				return fmt.Errorf("it shows %v", shown)
			}
			return nil
		})
	}
	w.Prove("connections shown", "submariner", "Gateway of each cluster shows the tunnel to the other, wireguard, connected, after both put Endpoint and Cluster on the broker with their own tokens", Simulated)
	w.healthy("submariner-join", "submariner-broker", "submariner-operator", "submariner-gateway")
	w.Prove("both clusters verified", "submariner", "all four bundles are Healthy on both clusters", Simulated)
}
