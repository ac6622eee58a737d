// Package reader turns a tree of files into bundles, as a GitRepo asks: which directories are bundles, how they are named, which
// files they have, and whom they are for.
//
// It is pure: a tree and a spec in, bundles out. Discovery and names are Fleet's, byte for byte. What a tenant wrote wrongly is
// an error of that one bundle; only what concerns all bundles is an error of Read.
package reader

import (
	"io/fs"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
)

// Tree is the files of one revision, as bundle/source gives them. Reading follows symbolic links inside the tree.
type Tree interface {
	fs.FS
	// Hash changes whenever anything below path changes.
	Hash(path string) (string, error)
}

// Repo is the GitRepo to read for.
type Repo struct {
	Name, Namespace string
	Spec            v1alpha1.GitRepoSpec
	Labels          map[string]string // copied to each bundle
}

// Found is one bundle of the tree, or what is left of it when it is broken.
type Found struct {
	// Bundle has its name, labels, annotations and spec, with values inline and values files merged into them. It has no
	// resources, contentsId and commit label: those are the caller's. Of a broken bundle only the name is to be relied on.
	Bundle *v1alpha1.Bundle
	// Path is the bundle's directory in the tree, "." for its root.
	Path string
	// Files are the bundle's files by their path from its directory. Kustomize bases and charts outside of it have keys that
	// begin with "../".
	Files map[string][]byte
	// TreeHash changes whenever a file changes that the bundle was made from.
	TreeHash string
	// NotServed are settings of the bundle's files that a Bundle has no field for and that have no effect yet.
	NotServed []target.Unserved
	// Err says why this bundle cannot be deployed, with file and line. Other bundles are not concerned.
	Err error
}
