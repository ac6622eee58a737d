// Package migration moves a hub and a cluster from Rancher Fleet to Flotilla, back, and there again, by the commands of
// docs/migrate-from-fleet.md, word for word.
//
// What Fleet had deployed is deployed here by Helm's own program under the name of Fleet's agent, with Fleet's marks; what
// Fleet has on a hub stands in testdata/hub.yaml, under Fleet's CustomResourceDefinitions. API servers, Helm, kubectl and
// all programs of ours are real. Nodes are simulated: where a Deployment of ours has Pods, the test runs the program beside
// the cluster, under the Pod's account.
package migration
