package argocd

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// policies are what an Application says about syncing.
func (r *reading) policies(policy *node, one *app) {
	automated := policy.child("automated")
	enabled := policy.value["automated"] != nil && automated.plain("enabled") != "false"
	automated.take("enabled")
	if !enabled {
		one.bundle["paused"] = true
		r.report.note("it is not synced automatically, so its bundles are paused: what changes is staged, and deployed when paused is taken out of fleet.yaml")
	}
	if automated.flag("selfHeal") {
		one.options["correctDrift"] = map[string]any{"enabled": true}
	}
	if !automated.flag("prune") && enabled {
		r.report.add(automated.at("prune"), "objects that leave Git are deleted, always; annotate those that are to stay with helm.sh/resource-policy: keep")
	}
	if r.keep {
		one.options["keepResources"] = true
	}
	automated.rest(r.report)
	r.syncOptions(policy, one)
	managed := policy.child("managedNamespaceMetadata")
	for key, option := range map[string]string{"labels": "namespaceLabels", "annotations": "namespaceAnnotations"} {
		values := map[string]any{}
		for name, value := range managed.object(key) {
			values[name] = r.settle(managed.at(key+"."+name), r.fill(managed.at(key+"."+name), asText(value)))
		}
		if len(values) > 0 {
			one.options[option] = values
		}
	}
	managed.rest(r.report)
	policy.rest(r.report)
}

// ignoreDifferences are fields that are left to others.
func (r *reading) ignoreDifferences(spec *node, one *app) {
	var patches []any
	for index, difference := range spec.list("ignoreDifferences") {
		d := newNode(fmt.Sprintf("%s[%d]", spec.at("ignoreDifferences"), index), asObject(difference))
		apiVersion := "v1" // the version does not count
		if group := r.fixed(d, "group"); group != "" {
			apiVersion = group + "/v1"
		}
		patch := map[string]any{"apiVersion": apiVersion, "kind": r.fixed(d, "kind"), "jsonPointers": d.get("jsonPointers")}
		for _, key := range []string{"name", "namespace"} {
			if value := r.fixed(d, key); value != "" {
				patch[key] = value
			}
		}
		if d.has("jsonPointers") {
			patches = append(patches, patch)
		}
		d.rest(r.report)
	}
	if len(patches) > 0 {
		one.options["diff"] = map[string]any{"comparePatches": patches}
	}
}

// byItself are sync options that ask for what is done anyway.
var byItself = []string{
	"CreateNamespace=true", "ServerSideApply=true", "ApplyOutOfSyncOnly=true", "SkipDryRunOnMissingResource=true", "PruneLast=true",
	"FailOnSharedResource=true", "RespectIgnoreDifferences=true", "ClientSideApplyMigration=true",
}

func (r *reading) syncOptions(policy *node, one *app) {
	for _, option := range texts(policy.list("syncOptions")) {
		switch {
		case slices.Contains(byItself, option) || strings.HasSuffix(option, "=false") && !strings.HasPrefix(option, "Prune=") &&
			!strings.HasPrefix(option, "Validate=") && !strings.HasPrefix(option, "CreateNamespace="):
		case option == "CreateNamespace=false":
			one.options["createNamespace"] = false
		case option == "Replace=true" || option == "Force=true":
			r.report.add(policy.at("syncOptions")+": "+option, "objects are applied; helm.force or correctDrift.force makes one anew whose field cannot be changed")
		case option == "Prune=false":
			r.report.add(policy.at("syncOptions")+": "+option, "objects that leave Git are deleted; annotate those that are to stay with helm.sh/resource-policy: keep")
		default:
			r.report.add(policy.at("syncOptions")+": "+option, "there is nothing like it")
		}
	}
}

// directory is what plain manifests ask for, and what there is to know of a directory whose kind nobody told.
func (r *reading) directory(source *node, one *app, isChart bool) {
	d := source.child("directory")
	recurse := d.flag("recurse")
	for _, pattern := range patternsOf(d.plain("exclude")) {
		if strings.Contains(pattern, "/") {
			r.fail(d.at("exclude"), pattern+" is a path, and .fleetignore knows names only")
		}
		ignore(one, pattern)
	}
	if d.has("include") || d.has("jsonnet") {
		r.fail(d.path, "include and jsonnet have no counterpart")
	}
	d.take("include", "jsonnet")
	d.rest(r.report)
	if isChart || source.has("kustomize") || one.path == "" || len(r.needs) > 0 {
		return
	}
	tree, known := r.trees[one.repo]
	if !known {
		if !recurse {
			r.report.note(fmt.Sprintf("%s: if it is a chart, set helm.releaseName in its fleet.yaml to the Application's name; "+
				"if it holds plain manifests, those of directories below it are deployed too", one.path))
		}
		return
	}
	r.look(tree, one, recurse)
}

// look settles with a look into the directory what it is.
func (r *reading) look(tree fs.FS, one *app, recurse bool) {
	has := func(name string) bool { _, err := fs.Stat(tree, path.Join(one.path, name)); return err == nil }
	switch {
	case has("Chart.yaml"):
		if one.name == "" {
			r.needs[input{kind: "name"}] = []string{"spec.template.metadata.name, the release name of " + one.path}
		}
		one.options["helm"] = merged(map[string]any{"releaseName": one.name}, asObject(one.options["helm"]))
	case has("kustomization.yaml"), has("kustomization.yml"), has("Kustomization"), recurse:
	default:
		entries, _ := fs.ReadDir(tree, one.path)
		for _, entry := range entries {
			if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
				ignore(one, entry.Name()+"/*")
			}
		}
	}
}

// ignore adds a line to the .fleetignore of the app's directory.
func ignore(one *app, pattern string) {
	one.ignored = append(one.ignored, pattern)
}

// patternsOf opens {a,b}.
func patternsOf(pattern string) []string {
	pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "{"), "}")
	if pattern == "" {
		return nil
	}
	return strings.Split(pattern, ",")
}
