package argocd

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// git is a set for each directory, or for each object in each file.
func (i *importing) git(g *node, outer *set) ([]set, error) {
	filledIn, err := i.deep(map[string]any{
		"repoURL": g.get("repoURL"), "revision": g.get("revision"), "directories": g.get("directories"), "files": g.get("files"),
	}, outer)
	if err != nil {
		return nil, &problem{g.path, err.Error()}
	}
	g.take("requeueAfterSeconds")
	in := newNode(g.path, filledIn)
	tree, err := i.open(in.plain("repoURL"), in.plain("revision"))
	if err != nil {
		return nil, &problem{g.path, fmt.Sprintf("looking into %s: %v", in.plain("repoURL"), err)}
	}
	var found []map[string]any
	if directories := in.list("directories"); len(directories) > 0 {
		found, err = directoriesOf(tree, directories)
	} else {
		found, err = filesOf(tree, in.list("files"))
	}
	if err != nil {
		return nil, &problem{g.path, err.Error()}
	}
	if len(found) == 0 {
		return nil, &problem{g.path, fmt.Sprintf("it finds nothing in %s", in.plain("repoURL"))}
	}
	var sets []set
	for _, one := range found {
		s := set{at: g.path, template: g.object("template"), params: i.gitParams(one, g.plain("pathParamPrefix"))}.clone()
		if err := i.values(g, &s, outer); err != nil {
			return nil, err
		}
		sets = append(sets, s)
	}
	g.rest(i.report)
	return sets, nil
}

// notForLater tells which generators were read once, where Argo CD looks again and again.
func (i *importing) notForLater(g *node) {
	for _, kind := range []string{"matrix", "merge"} {
		inside, _ := asObject(g.value[kind])["generators"].([]any)
		for index, inner := range inside {
			i.notForLater(newNode(fmt.Sprintf("%s.%s.generators[%d]", g.path, kind, index), asObject(inner)))
		}
	}
	git := asObject(g.value["git"])
	switch {
	case !empty(git["directories"]):
		i.report.add(g.at("git.directories"), "directories that are added later: give each a fleet.yaml and add it to paths of the GitRepo")
	case !empty(git["files"]):
		i.report.add(g.at("git.files"), "what changes in these files later: import again, or change the fleet.yaml files")
	}
}

// gitParams are the parameters of a directory or file; path is an object that Go templates see as it is.
func (i *importing) gitParams(one map[string]any, prefix string) params {
	where := asObject(one["path"])
	if i.goTemplate {
		out := params{}
		for key, value := range one {
			out[key] = value
		}
		if prefix != "" {
			delete(out, "path")
			out[prefix] = map[string]any{"path": where}
		}
		return out
	}
	rest := params{}
	for key, value := range one {
		if key != "path" {
			flattened(key, value, rest)
		}
	}
	name := strings.TrimPrefix(prefix+".path", ".")
	rest[name] = where["path"]
	for _, key := range []string{"basename", "basenameNormalized", "filename", "filenameNormalized"} {
		if value, ok := where[key]; ok {
			rest[name+"."+key] = value
		}
	}
	for index, segment := range where["segments"].([]any) {
		rest[fmt.Sprintf("%s[%d]", name, index)] = segment
	}
	return rest
}

func pathParams(directory string) map[string]any {
	var segments []any
	for _, segment := range strings.Split(directory, "/") {
		segments = append(segments, segment)
	}
	base := path.Base(directory)
	return map[string]any{"path": directory, "basename": base, "basenameNormalized": normalized(base), "segments": segments}
}

// directoriesOf lists the directories that the patterns pick, without hidden ones.
func directoriesOf(tree fs.FS, patterns []any) (found []map[string]any, err error) {
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || !entry.IsDir() || name == ".":
			return err
		case strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		}
		if picked(patterns, func(pattern string) bool { ok, err := path.Match(pattern, name); return ok && err == nil }) {
			found = append(found, map[string]any{"path": pathParams(name)})
		}
		return nil
	})
	return found, err
}

// picked tells whether a pattern fits and none that excludes does.
func picked(patterns []any, fits func(pattern string) bool) bool {
	with := func(exclude bool) bool {
		return slices.ContainsFunc(patterns, func(p any) bool {
			return (asText(asObject(p)["exclude"]) == "true") == exclude && fits(asText(asObject(p)["path"]))
		})
	}
	return with(false) && !with(true)
}

// filesOf lists the objects in the files that the patterns pick. A file may hold a list of objects.
func filesOf(tree fs.FS, patterns []any) (found []map[string]any, err error) {
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !picked(patterns, func(pattern string) bool { return globbed(pattern, name) }) {
			return err
		}
		objects, err := objectsIn(tree, name)
		if err != nil {
			return err
		}
		for _, object := range objects {
			where := pathParams(path.Dir(name))
			where["filename"], where["filenameNormalized"] = path.Base(name), normalized(path.Base(name))
			found = append(found, merged(object, map[string]any{"path": where}))
		}
		return nil
	})
	return found, err
}

func objectsIn(tree fs.FS, name string) ([]map[string]any, error) {
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(data, &object); err == nil {
		return []map[string]any{object}, nil
	}
	var list []map[string]any
	if err := yaml.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return list, nil
}

var wildcards = strings.NewReplacer(`\*\*/`, `(.*/)?`, `\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`)

// globbed matches a file's name, where ** stands for directories, any number of them.
func globbed(pattern, name string) bool {
	matched, err := regexp.MatchString("^"+wildcards.Replace(regexp.QuoteMeta(pattern))+"$", name)
	return err == nil && matched
}

// open opens a repository, once.
func (i *importing) open(url, revision string) (fs.FS, error) {
	if tree, ok := i.trees[url]; ok {
		return tree, nil
	}
	tree, err := i.repository(url, revision)
	if err == nil {
		i.trees[url] = tree
	}
	return tree, err
}
