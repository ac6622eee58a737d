// Command localfleet starts and steers local clusters of real Kubernetes parts, and is all of these parts: etcd,
// kube-apiserver, kube-controller-manager, kube-scheduler, kwok's controller and kubectl are linked into this one program.
package main

import (
	"fmt"
	"os"
)

func main() {
	becomePersonality()
	if err := newCommand().Execute(); err != nil {
		exit(err)
	}
}

// exit ends the program with a message.
func exit(err error) {
	fmt.Fprintln(os.Stderr, "localfleet:", err)
	os.Exit(1)
}
