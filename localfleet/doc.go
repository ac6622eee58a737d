// Package localfleet starts and steers local clusters made of real Kubernetes parts: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler and kwok, which simulates nodes.
//
// A Fleet owns a folder and the clusters in it; a Cluster's parts can be stopped, paused and killed one by one with their
// data kept. All parts are personalities of one program, cmd/localfleet, which this package only executes: it imports
// nothing of Kubernetes and is cheap to link. Everything listens on loopback unless told otherwise, every port asks for a
// client certificate or a token, and no part outlives the process that started it, however that ends.
//
//	fleet, err := localfleet.New(localfleet.Options{Dir: dir})
//	defer fleet.Close()
//	hub, err := fleet.Start(ctx, "hub", localfleet.ClusterOptions{})
//	edge, err := fleet.Start(ctx, "edge", localfleet.ClusterOptions{Nodes: 2, AuditLog: true})
//	err = edge.Pause(localfleet.KubeAPIServer)
package localfleet
