// Package packs proves the packs of examples/packs for real: four clusters, a hub and a Git server, the packs pushed as they
// are, and the real controllers as plain processes. `make packs` runs it, `make packs RUN=Istio` one pack of it; `make test`
// does not, because the controllers take long to build the first time. The result is a table: what was asked for, what was
// pushed, what proved it.
//
// # How to write a proof
//
// Make NAME_test.go with the build tag packs, write func name(w *World), and add it to the list in packs_test.go. w.T is the
// subtest's. All subtests share the clusters cluster-aws, cluster-gcp, cluster-azure and cluster-edge.
//
//	w.Label("cluster-aws", "packs.flotilla.io/velero", "source") // "" takes it off
//	w.Push("velero", map[string]string{"dr/values.yaml": "…"})   // the pack, with these files changed; "" drops one
//	w.Settled("velero-install")                                  // Healthy wherever it goes
//	w.Reads("cluster-gcp", &restore)                             // reads as the test: nobody else reads on members
//	p := w.Controller(Controller{Name: "velero", On: "cluster-aws", …}) // builds, starts, ends with the run
//	w.Prove("daily schedule", "velero", "Schedule daily-backup is Enabled", Proved)
//
// On a member cluster the test has three accounts, and TestPacks ends with a look into the audit logs that nobody else but the
// agent and the cluster's own controllers touched it:
//
//   - reader reads (w.Reads, w.Lists, w.Kubectl);
//   - stand-in does what only pods, kubelets and clouds would: write Pods, statuses, take tokens (w.StandIn), and what
//     Submariner's own Pods would, by the program in standin (w.StandInProgram);
//   - person does by hand what must be survived: deletes what a pack made (w.Person). Each such write is told in the end.
//
// Controllers act as the service account that the pack made for them (Controller.As), as in a Pod.
//
// # Charts from elsewhere
//
// Push serves each chart that a fleet.yaml names with repo and version from a repository of our own: made of the project's Go
// module where that has it, else of charts/ here, which are stand-ins with no more than the objects and fields that the packs
// use; their kinds are the project's own where its Go module has those.
//
// # Controllers
//
// Each folder in controllers is a Go module of its own, since their Kubernetes versions differ. Its programs (main.go, and the
// tools that its go.mod names) are built when first asked for, into the cache that localfleet is in.
package packs
