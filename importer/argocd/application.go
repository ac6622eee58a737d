package argocd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// app is what Applications have in common that differ by their cluster only.
type app struct {
	name           string // empty: it depends on the cluster
	repo, revision string
	path, chart    string // one of them
	place          place
	family         int
	bundle         map[string]any    // what fleet.yaml says of the whole bundle
	options        map[string]any    // what it says of the app's clusters
	files          map[string][]byte // that lie beside fleet.yaml
	ignored        []string          // lines for .fleetignore
}

// file is a file of the app's repository.
func (a app) file(path string) File { return File{a.repo, a.revision, path} }

// applications makes apps of a set. Where a field that cannot be a template depends on the cluster, the set is taken apart first.
func (i *importing) applications(s set) {
	r := &reading{importing: i, s: s, needs: map[input][]string{}}
	apps, err := r.application()
	if err == nil && len(r.needs) > 0 {
		apps, err = i.apart(s, r.needs)
	}
	if err != nil {
		i.report.lose(err)
		return
	}
	i.apps = append(i.apps, apps...)
}

// apart makes apps for each part of a set's clusters, within which some inputs have one value.
func (i *importing) apart(s set, needs map[input][]string) (apps []app, err error) {
	var fields []string
	for in, all := range needs {
		fields = append(fields, fmt.Sprintf("%s: depends on %s", strings.Join(unique(all), ", "), in))
	}
	why := strings.Join(unique(fields), "; ")
	if len(i.known) == 0 {
		return nil, &problem{s.at, why + ", and cannot be a template; give --clusters, and it is written out for each of them"}
	}
	parts := i.parts(s, needs)
	if len(parts) == 0 {
		return nil, &problem{s.at, "of the clusters in --clusters it picks none"}
	}
	i.report.add(s.at, why+", and is written out for the clusters of --clusters; for others import again, or add a target")
	for _, part := range parts {
		r := &reading{importing: i, s: part, needs: map[input][]string{}}
		more, err := r.application()
		if err == nil && len(r.needs) > 0 {
			err = &problem{s.at, why + ", and " + part.place.String() + " has none; nothing is written for it"}
		}
		if err != nil {
			i.report.lose(err)
			continue
		}
		apps = append(apps, more...)
	}
	return apps, nil
}

// parts are the parts of a set's clusters: by the values of the labels when these are all that is asked for, so that other
// clusters with them are served too; else each cluster by itself.
func (i *importing) parts(s set, needs map[input][]string) (parts []set) {
	byLabel := true
	for in := range needs {
		byLabel = byLabel && in.kind == "label" && in.key != ""
	}
	seen := map[string]bool{}
	for _, c := range at(i.known, s.place) {
		part := s.clone()
		if !byLabel {
			part.place.name = normalized(c.name)
		}
		for in := range needs {
			values := map[string]map[string]string{"label": c.labels, "annotation": c.annotations}[in.kind]
			value, ok := values[in.key]
			switch in.kind {
			case "name":
				value, ok = c.name, true
			case "server":
				value, ok = c.server, c.server != ""
			}
			need := metav1.LabelSelectorRequirement{Key: in.key, Operator: metav1.LabelSelectorOpDoesNotExist}
			if in.key == "" && values != nil {
				for key, value := range values {
					part.bound[input{in.kind, key}] = value
				}
				part.bound[in] = "all"
			}
			if ok {
				part.bound[in] = value
				need.Operator, need.Values = metav1.LabelSelectorOpIn, []string{value}
			}
			if byLabel {
				part.place, _ = part.place.and(place{needs: []metav1.LabelSelectorRequirement{need}})
			}
		}
		if key := part.place.String(); !seen[key] {
			seen[key] = true
			parts = append(parts, part)
		}
	}
	return parts
}

// reading is a set on its way through the template.
type reading struct {
	*importing
	s     set
	needs map[input][]string // what is asked for by fields that cannot be templates, and these
	left  []string           // notes on what is no parameter
	err   error              // the first
}

// text fills in a field that may be a template.
func (r *reading) text(n *node, key string) text { return r.fill(n.at(key), n.plain(key)) }

func (r *reading) fill(where, template string) text {
	filled, err := r.evaluate(template, r.s)
	if err != nil {
		r.fail(where, err.Error())
	}
	if left := tag.FindString(filled.fixed()); left != "" && !r.goTemplate {
		r.left = append(r.left, fmt.Sprintf("%s: the generators give no %s, and it stays as it is", where, left))
	}
	for _, in := range filled.inputs() {
		r.asked[in] = true
		if in.kind == "server" {
			r.needs[in] = append(r.needs[in], where)
		}
	}
	return filled
}

// fixed fills in a field that cannot be a template.
func (r *reading) fixed(n *node, key string) string { return r.settle(n.at(key), r.text(n, key)) }

func (r *reading) settle(where string, filled text) string {
	if left := tag.FindString(filled.fixed()); left != "" {
		r.fail(where, "the generators give no "+left)
	}
	for _, in := range filled.inputs() {
		r.needs[in] = append(r.needs[in], where)
	}
	return filled.fixed()
}

func (r *reading) fail(where, reason string) {
	if r.err == nil {
		r.err = &problem{where, reason + "; the Application is not written"}
	}
}

// application reads the template with the set's parameters.
func (r *reading) application() ([]app, error) {
	template := merged(r.template, r.s.template)
	if r.patch != "" {
		filled := r.fill("spec.templatePatch", r.patch)
		var patch map[string]any
		if err := yaml.Unmarshal([]byte(r.settle("spec.templatePatch", filled)), &patch); err != nil && len(r.needs) == 0 {
			r.fail("spec.templatePatch", err.Error())
		}
		template = merged(template, patch)
	}
	t := newNode("spec.template", template)
	meta, spec := t.child("metadata"), t.child("spec")
	one := app{family: r.s.family, bundle: map[string]any{}, options: map[string]any{}, files: map[string][]byte{}}
	name, err := r.evaluate(meta.plain("name"), r.s) // names are for releases only
	if err != nil {
		r.fail(meta.at("name"), err.Error())
	}
	if !name.varies() {
		one.name = name.fixed()
	}
	if project := spec.plain("project"); project != "default" && project != "" {
		r.report.note("spec.template.spec.project: " + project + ": what a project allows is said by a GitRepoRestriction or Policy in the workspace")
	}
	one.place = r.destination(spec.child("destination"), one.options)
	r.policies(spec.child("syncPolicy"), &one)
	r.ignoreDifferences(spec, &one)
	apps := r.sources(spec, one, name)
	for _, n := range []*node{meta, spec, t} {
		n.rest(r.report)
	}
	if r.err == nil {
		for _, note := range r.left {
			r.report.note(note)
		}
	}
	return apps, r.err
}

// destination is which clusters, and the namespace there.
func (r *reading) destination(d *node, options map[string]any) place {
	if namespace := r.fixed(d, "namespace"); namespace != "" {
		options["defaultNamespace"] = namespace
	}
	name, server := r.text(d, "name"), r.text(d, "server")
	d.rest(r.report)
	key, picked := "name", name
	if len(picked) == 0 {
		key, picked = "server", server
	}
	if in := picked.inputs(); len(picked) == 1 && len(in) == 1 && (in[0].kind == "name" || in[0].kind == "server") && r.itself(picked) {
		delete(r.needs, input{kind: "server"})
		return r.s.place
	}
	where := r.settle(d.at(key), picked)
	if len(r.needs) > 0 || r.err != nil {
		return r.s.place
	}
	if key == "server" {
		var err error
		if where, err = r.nameOf(where); err != nil {
			r.fail(d.at(key), err.Error())
		}
	}
	p, fits := r.s.place.and(place{name: normalized(where)})
	switch {
	case where == "":
		r.fail(d.path, "it names no cluster")
	case !fits && r.s.place.name == "":
		r.fail(d.at(key), "no cluster can be "+p.String())
	}
	return place{name: normalized(where)}
}

// itself tells whether a text is a cluster's name or address and nothing else.
func (r *reading) itself(t text) bool {
	return slices.Contains([]string{".ClusterName", "?"}, t.expression())
}

// sources makes an app of each source.
func (r *reading) sources(spec *node, one app, name text) (apps []app) {
	nodes := []*node{spec.child("source")}
	if list := spec.list("sources"); len(list) > 0 {
		nodes = nil
		for index, source := range list {
			nodes = append(nodes, newNode(fmt.Sprintf("%s[%d]", spec.at("sources"), index), asObject(source)))
		}
	}
	for _, n := range nodes {
		if n.has("ref") {
			r.fail(n.at("ref"), "values files of another repository cannot be read; copy them beside the chart")
			continue
		}
		a, err := r.source(n, one, name)
		if err != nil {
			r.fail(n.path, err.Error())
			continue
		}
		apps = append(apps, a)
	}
	return apps
}

func (r *reading) source(n *node, one app, name text) (app, error) {
	one.options = merged(one.options, nil)
	one.repo, one.revision = r.fixed(n, "repoURL"), r.fixed(n, "targetRevision")
	one.path, one.chart = strings.Trim(strings.TrimPrefix(r.fixed(n, "path"), "./"), "/"), r.fixed(n, "chart")
	if one.path == "." {
		one.path = ""
	}
	switch {
	case len(r.needs) > 0 || r.err != nil:
	case one.repo == "":
		return one, errors.New("it has no repoURL")
	case one.chart == "" && strings.ContainsAny(one.revision, "*^~<>= "):
		return one, fmt.Errorf("targetRevision %s is a range of tags; name a branch, a tag or a commit", one.revision)
	}
	isChart := n.has("helm") || one.chart != ""
	if isChart {
		r.helm(n.child("helm"), &one, name)
	}
	if n.has("kustomize") {
		r.kustomize(n.child("kustomize"), &one)
	}
	r.directory(n, &one, isChart)
	n.take("name")
	n.rest(r.report)
	return one, nil
}
