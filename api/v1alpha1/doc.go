// Package v1alpha1 holds the kinds of group fleet.cattle.io, with Rancher Fleet's names, fields and defaults, so that a
// Fleet user's manifests, scripts and dashboards go on working. What Flotilla adds to a kind is marked "Flotilla:" in the
// field's comment; nothing of Fleet's is left out or renamed.
//
// The package also fixes what all parts must spell alike: labels, annotations, Secret types and reasons (names.go), states
// (states.go), derived names (naming.go) and how a condition changes (conditions.go). It holds no behaviour beyond that and
// imports nothing of ours.
//
// +kubebuilder:object:generate=true
// +groupName=fleet.cattle.io
package v1alpha1

//go:generate go tool controller-gen object crd paths=. output:object:dir=. output:crd:dir=../../charts/flotilla-crd/templates
