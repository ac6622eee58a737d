// Package v1alpha1 holds the kinds of group flotilla.io: those that Rancher Fleet has no counterpart for.
//
// +kubebuilder:object:generate=true
// +groupName=flotilla.io
package v1alpha1

//go:generate go tool controller-gen object crd paths=. output:object:dir=. output:crd:dir=../../../charts/flotilla-crd/templates
