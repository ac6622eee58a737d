package argocd

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
)

// output is what all ApplicationSets become.
type output struct {
	sets    int
	objects []map[string]any
	files   map[File][]byte
	report  *reports
}

func newOutput() *output {
	return &output{files: map[File][]byte{}, report: &reports{seen: map[string]bool{}}}
}

func (o *output) result() (*Result, error) {
	var hub bytes.Buffer
	for n, object := range o.objects {
		data, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			hub.WriteString("---\n")
		}
		hub.Write(data)
	}
	return &Result{Hub: hub.Bytes(), Files: o.files, Notes: o.report.notes, NotCarried: o.report.losses}, nil
}

// write makes GitRepos and HelmOps of the apps: a GitRepo for each repository and revision, a HelmOp for each chart.
func (i *importing) write() {
	type where struct{ repo, revision, chart string }
	var order []where
	groups := map[where][]app{}
	for _, a := range i.apps {
		key := where{a.repo, a.revision, a.chart}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], a)
	}
	names := 0
	name := func() string {
		names++
		if names == 1 {
			return i.name
		}
		return fmt.Sprintf("%s-%d", i.name, names)
	}
	for _, key := range order {
		if key.chart == "" {
			i.gitRepo(name(), groups[key])
			continue
		}
		for _, variant := range variants(groups[key]) {
			i.helmOp(name(), variant)
		}
	}
	i.tellWhatIsAsked()
}

// gitRepo writes a GitRepo and a fleet.yaml for each of its directories.
func (i *importing) gitRepo(name string, apps []app) {
	var union []place
	byPath := map[string][]app{}
	for _, a := range apps {
		union = append(union, a.place)
		byPath[a.path] = append(byPath[a.path], a)
	}
	union = widest(union)
	var bundles []any
	driven := false
	for _, dir := range sortedKeys(byPath) {
		for _, variant := range variants(byPath[dir]) {
			file := i.fleetFile(dir, variant)
			i.fleetYAML(path.Join(dir, file), variant, union)
			base := map[string]any{"base": orRoot(dir)}
			if file != "fleet.yaml" {
				driven = true
				base["options"] = file
			}
			bundles = append(bundles, base)
		}
	}
	spec := map[string]any{"repo": apps[0].repo, "targets": targets(union)}
	revision := revisionOf(apps[0].revision)
	if tag := asText(revision["revision"]); tag != "" {
		i.report.note(fmt.Sprintf("%s is a tag or a commit, without the files to commit: commit them, and name in GitRepo %s what has them", tag, name))
	}
	maps.Copy(spec, revision)
	if driven {
		spec["bundles"] = bundles
	} else {
		var paths []any
		for _, dir := range sortedKeys(byPath) {
			paths = append(paths, orRoot(dir))
		}
		spec["paths"] = paths
	}
	i.out.object("GitRepo", name, spec)
}

func orRoot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

func (o *output) object(kind, name string, spec map[string]any) {
	o.objects = append(o.objects, map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": kind, "spec": spec,
		"metadata": map[string]any{"name": name, "namespace": v1alpha1.DefaultWorkspace},
	})
}

var aCommit, aTag = regexp.MustCompile(`^[0-9a-f]{40}$`), regexp.MustCompile(`^v?\d+\.\d+(\.\d+.*)?$`)

// revisionOf is a targetRevision as branch or revision.
func revisionOf(revision string) map[string]any {
	branch, isBranch := strings.CutPrefix(revision, "refs/heads/")
	tag, isTag := strings.CutPrefix(revision, "refs/tags/")
	switch {
	case revision == "" || revision == "HEAD":
		return nil
	case isTag || !isBranch && (aCommit.MatchString(revision) || aTag.MatchString(revision)):
		return map[string]any{"revision": tag}
	}
	return map[string]any{"branch": branch}
}

// fleetFile is the name of the file for a variant of a directory: fleet.yaml, unless that is taken. It is taken on another branch
// too: branches are merged.
func (i *importing) fleetFile(dir string, apps []app) string {
	taken := func(file string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(i.out.files)), func(f File) bool { return f.Repository == apps[0].repo && f.Path == path.Join(dir, file) })
	}
	if !taken("fleet.yaml") {
		return "fleet.yaml"
	}
	name := apps[0].name
	if name == "" {
		name = i.name
	}
	for n := 1; ; n++ {
		file := "fleet-" + name + ".yaml"
		if n > 1 {
			file = fmt.Sprintf("fleet-%s-%d.yaml", name, n)
		}
		if !taken(file) {
			return file
		}
	}
}

// fleetYAML writes the fleet.yaml of one bundle, and what lies beside it.
func (i *importing) fleetYAML(file string, apps []app, union []place) {
	doc := maps.Clone(apps[0].bundle)
	common, own := split(apps)
	maps.Copy(doc, common)
	if customizations := customizationsOf(apps, own); len(customizations) > 0 {
		doc["targetCustomizations"] = customizations
	}
	var places []place
	for _, a := range apps {
		places = append(places, a.place)
	}
	if mine := widest(places); !reflect.DeepEqual(targets(mine), targets(union)) {
		doc["overrideTargets"] = targets(mine)
	}
	data, _ := yaml.Marshal(doc) // made of what YAML gave
	i.out.files[apps[0].file(file)] = data
	for _, a := range apps {
		for name, content := range a.files {
			i.out.files[a.file(path.Join(path.Dir(file), name))] = content
		}
		i.ignore(a, path.Join(path.Dir(file), ".fleetignore"))
	}
}

// customizationsOf are what each app says besides. One that says nothing is needed only to keep its clusters from a later one.
func customizationsOf(apps []app, own []map[string]any) (all []any) {
	for n, a := range apps {
		later := false
		for m := n + 1; m < len(apps); m++ {
			_, meet := a.place.and(apps[m].place)
			later = later || meet && len(own[m]) > 0
		}
		if len(own[n]) > 0 || later {
			all = append(all, merged(a.place.target(), own[n]))
		}
	}
	return all
}

// ignore adds lines to a .fleetignore, which the repository may have already.
func (i *importing) ignore(a app, file string) {
	if len(a.ignored) == 0 {
		return
	}
	data, ok := i.out.files[a.file(file)]
	if !ok && i.trees[a.repo] != nil {
		data, _ = fs.ReadFile(i.trees[a.repo], file) // none is as good as an empty one
	}
	for _, line := range a.ignored {
		if !slices.Contains(strings.Split(string(data), "\n"), line) {
			data = append(data, line+"\n"...)
		}
	}
	i.out.files[a.file(file)] = data
}

// helmOp writes a HelmOp. Of its targets the first that picks a cluster counts, so that each can say all that differs.
func (i *importing) helmOp(name string, apps []app) {
	spec := maps.Clone(apps[0].bundle)
	common, own := split(apps)
	maps.Copy(spec, common)
	chart := map[string]any{"chart": apps[0].chart, "version": apps[0].revision, "repo": apps[0].repo}
	if strings.HasPrefix(apps[0].repo, "oci://") || !strings.Contains(apps[0].repo, "://") {
		delete(chart, "chart")
		chart["repo"] = "oci://" + strings.TrimPrefix(apps[0].repo, "oci://") + "/" + apps[0].chart
	}
	spec["helm"] = merged(asObject(spec["helm"]), chart)
	var all []any
	for n, a := range apps {
		all = append(all, merged(a.place.target(), own[n]))
	}
	spec["targets"] = all
	i.out.object("HelmOp", name, spec)
}

// split tells what all apps of a bundle say, and what each says besides.
func split(apps []app) (common map[string]any, own []map[string]any) {
	var all []map[string]any
	for _, a := range apps {
		all = append(all, a.options)
	}
	return splitObjects(all, true)
}

func splitObjects(all []map[string]any, deeper bool) (common map[string]any, own []map[string]any) {
	common, own = map[string]any{}, make([]map[string]any, len(all))
	keys := map[string]bool{}
	for n := range all {
		own[n] = map[string]any{}
		for key := range all[n] {
			keys[key] = true
		}
	}
	for _, key := range sortedKeys(keys) {
		same, objects := true, deeper && (key == "helm" || key == "kustomize")
		var inner []map[string]any
		for n := range all {
			same = same && reflect.DeepEqual(all[n][key], all[0][key])
			inner = append(inner, asObject(all[n][key]))
		}
		switch {
		case same:
			common[key] = all[0][key]
		case objects:
			shared, rest := splitObjects(inner, false)
			if len(shared) > 0 {
				common[key] = shared
			}
			for n := range rest {
				if len(rest[n]) > 0 {
					own[n][key] = rest[n]
				}
			}
		default:
			for n := range all {
				if value, ok := all[n][key]; ok {
					own[n][key] = value
				}
			}
		}
	}
	return common, own
}

// variants are the bundles that apps of one directory or chart make: apps that may meet on a cluster are bundles of their own,
// unless they come from one merge, where the first that picks a cluster counts.
func variants(apps []app) (all [][]app) {
	for _, a := range apps {
		fits := slices.IndexFunc(all, func(variant []app) bool {
			return !slices.ContainsFunc(variant, func(b app) bool {
				_, meet := a.place.and(b.place)
				return meet && (a.family == 0 || a.family != b.family || reflect.DeepEqual(a.place, b.place))
			})
		})
		if fits < 0 {
			all = append(all, []app{a})
			continue
		}
		all[fits] = append(all[fits], a)
	}
	return all
}

// widest are the places that lie in no other.
func widest(places []place) (kept []place) {
	for n, p := range places {
		if !slices.ContainsFunc(places[:n], func(q place) bool { return p.within(q) }) &&
			!slices.ContainsFunc(places[n+1:], func(q place) bool { return p.within(q) && !q.within(p) }) {
			kept = append(kept, p)
		}
	}
	return kept
}

func targets(places []place) (all []any) {
	for _, p := range places {
		all = append(all, p.target())
	}
	return all
}

// tellWhatIsAsked notes what Clusters must have, which Argo CD had in its Secrets.
func (i *importing) tellWhatIsAsked() {
	asked := map[string][]string{}
	for in := range i.asked {
		if in.key != "" {
			asked[in.kind] = append(asked[in.kind], in.key)
		}
	}
	named := i.asked[input{kind: "name"}]
	for _, a := range i.apps {
		for _, need := range a.place.needs {
			asked["label"] = append(asked["label"], need.Key)
		}
		named = named || a.place.name != ""
	}
	for _, kind := range []string{"label", "annotation"} {
		if len(asked[kind]) > 0 {
			i.report.note(fmt.Sprintf("the Clusters carry the %ss that the Secrets of Argo CD's clusters have: %s", kind, strings.Join(unique(asked[kind]), ", ")))
		}
	}
	if named {
		i.report.note("the Clusters have the names that they have in Argo CD")
	}
}
