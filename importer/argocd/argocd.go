// Package argocd turns Argo CD's ApplicationSets into GitRepos, HelmOps and fleet.yaml files.
//
// An ApplicationSet makes an Application for each set of parameters that its generators give. Here the sets stay sets as long as
// they can: a clusters generator becomes a target with its selector, and what a template asks of a cluster becomes ${ }, so that a
// cluster that is relabelled, or joins later, is served without another import. Only what ${ } cannot stand for (a path, a
// namespace, a branch) is written out for each cluster, and then the clusters must be known.
//
// What cannot be carried over is told, each with its reason; nothing is dropped in silence. An Application that would deploy
// something else than before is not written at all.
package argocd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Input is what there is to import from.
type Input struct {
	ApplicationSets []byte // YAML, one or several documents; other kinds among them are passed over
	Clusters        []byte // Argo CD's cluster Secrets or Cluster objects, as YAML; may be empty
	// Repository opens the files of a repository, for the generators that look into one.
	Repository func(url, revision string) (fs.FS, error)
}

// Result is what to apply and to commit, and what is missing from it.
type Result struct {
	Hub        []byte          // objects for the hub, as YAML
	Files      map[File][]byte // to commit
	Notes      []string        // what to know or do; nothing is lost by it
	NotCarried []Loss
}

// File is a file of a repository. Revision is a branch, a tag or a commit, empty where Argo CD takes the default branch.
type File struct{ Repository, Revision, Path string }

// Loss is something that was not carried over.
type Loss struct{ Where, Reason string }

func (l Loss) String() string { return l.Where + ": " + l.Reason }

// Import turns all ApplicationSets of the input.
func Import(in Input) (*Result, error) {
	documents, err := documentsOf(in.ApplicationSets)
	if err != nil {
		return nil, fmt.Errorf("reading the ApplicationSets: %w", err)
	}
	known, err := clustersOf(in.Clusters)
	if err != nil {
		return nil, fmt.Errorf("reading the clusters: %w", err)
	}
	out := newOutput()
	for _, document := range documents {
		if document["kind"] != "ApplicationSet" {
			continue
		}
		if err := importOne(document, known, in.Repository, out); err != nil {
			return nil, err
		}
	}
	if out.sets == 0 {
		return nil, errors.New("there is no ApplicationSet in it")
	}
	return out.result()
}

// importOne turns one ApplicationSet.
func importOne(document map[string]any, known []cluster, repository func(string, string) (fs.FS, error), out *output) error {
	whole := newNode("", document)
	meta, spec := whole.child("metadata"), whole.child("spec")
	name := meta.plain("name")
	if name == "" {
		return errors.New("an ApplicationSet has no metadata.name")
	}
	whole.take("apiVersion", "kind", "status")
	out.sets++
	i := &importing{
		name: name, known: known, repository: repository, report: out.report.of(name),
		goTemplate: spec.flag("goTemplate"), template: spec.object("template"), out: out, trees: map[string]fs.FS{}, asked: map[input]bool{},
	}
	i.strict = slices.Contains(texts(spec.list("goTemplateOptions")), "missingkey=error")
	spec.take("applyNestedSelectors")
	i.setPolicies(spec)
	for index, g := range spec.list("generators") {
		at := fmt.Sprintf("spec.generators[%d]", index)
		sets, err := i.generate(newNode(at, asObject(g)), nil)
		if err != nil {
			i.report.lose(err)
			continue
		}
		i.notForLater(newNode(at, asObject(g)))
		for _, s := range sets {
			i.applications(s)
		}
	}
	spec.rest(i.report)
	i.write()
	return nil
}

// importing is one ApplicationSet on its way.
type importing struct {
	name       string
	known      []cluster
	repository func(url, revision string) (fs.FS, error)
	report     report
	goTemplate bool
	strict     bool // a missing key is an error wherever a Go template asks for it
	template   map[string]any
	keep       bool             // the objects stay when the ApplicationSet goes
	patch      string           // templatePatch
	trees      map[string]fs.FS // repositories that a generator looked into, by URL
	families   int              // of sets that a merge generator made
	apps       []app
	asked      map[input]bool // what templates ask of clusters
	out        *output
}

// setPolicies reads what the ApplicationSet says about all its Applications.
func (i *importing) setPolicies(spec *node) {
	i.patch = spec.plain("templatePatch")
	policy := spec.child("syncPolicy")
	i.keep = policy.flag("preserveResourcesOnDeletion")
	policy.rest(i.report)
	if spec.object("strategy") != nil {
		i.report.add("spec.strategy", "which clusters move together is said in rolloutStrategy of fleet.yaml, by partitions")
	}
}

// documentsOf reads YAML documents; Lists are opened.
func documentsOf(data []byte) (all []map[string]any, err error) {
	for reader := utilyaml.NewYAMLReader(newReader(data)); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var object map[string]any
		if err := yaml.Unmarshal(document, &object); err != nil {
			return nil, err
		}
		if items, ok := object["items"].([]any); ok {
			for _, item := range items {
				all = append(all, asObject(item))
			}
		} else if len(object) > 0 {
			all = append(all, object)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func trimmed(data []byte) []byte { return bytes.TrimSpace(data) }
