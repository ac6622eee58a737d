package render

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The Kustomize library fetches over HTTP and runs git for whatever path looks like an address, before or after it looks at
// the file system. So every path of every kustomization that a build can reach is judged first, and only then is it built.

// pathFields are the fields, of a kustomization or of a plugin's configuration at any depth, that Kustomize loads from.
var pathFields = []string{
	"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators",
	"patchesStrategicMerge", "path", "paths", "files", "envs", "env",
}

// directoryFields may name a directory with a kustomization of its own.
var directoryFields = []string{"resources", "bases", "components", "generators", "transformers", "validators"}

// pluginFields hold the configuration of plugins: inline, as a file, or as a directory.
var pluginFields = []string{"generators", "transformers", "validators"}

// helmFields make Kustomize run the helm command.
var helmFields = []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"}

// remote finds what Kustomize takes for an address: more than it does, never less.
var remote = regexp.MustCompile(`(?i)^(git::)?([a-z][a-z0-9+.-]*://|https?:|[a-z][a-z0-9-]*@|github\.com[/:])`)

// refuseRemote judges the kustomization in dir and all that it leads to.
func (t *tree) refuseRemote(dir string) error {
	return judge{t, map[string]bool{}}.directory(dir)
}

// judge goes through kustomizations and the configurations of plugins, each once.
type judge struct {
	*tree
	seen map[string]bool
}

func (j judge) directory(dir string) error {
	file := kustomizationFile(j.files, dir)
	if j.seen[file] {
		return nil
	}
	j.seen[file] = true
	content, err := manifest{file: file}.decode(document{1, 1, j.files[file]})
	if err != nil {
		return err
	}
	for _, field := range slices.Sorted(maps.Keys(content)) {
		if isOne(helmFields, field) {
			return forbidden(file, field, "it runs the helm command; make the chart the bundle's own (helm.chart), and this kustomization is applied to what the chart renders")
		}
	}
	return j.fields(file, "", content)
}

// fields looks at every field of content, which stands in file at the path at.
func (j judge) fields(file, at string, content any) error {
	switch content := content.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(content)) {
			below := strings.TrimPrefix(at+"."+key, ".")
			if isOne(pathFields, key) {
				if err := j.entries(file, key, below, content[key]); err != nil {
					return err
				}
			}
			if err := j.fields(file, below, content[key]); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range content {
			if err := j.fields(file, fmt.Sprintf("%s[%d]", at, i), item); err != nil {
				return err
			}
		}
	}
	return nil
}

// entries looks at a path field, which holds one string or several.
func (j judge) entries(file, key, at string, value any) error {
	if text, ok := value.(string); ok {
		return j.entry(file, key, at, text)
	}
	items, _ := value.([]any)
	for i, item := range items {
		if text, ok := item.(string); ok {
			if err := j.entry(file, key, fmt.Sprintf("%s[%d]", at, i), text); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry refuses an address, and judges in turn what a directory field or a plugin field leads to.
func (j judge) entry(file, key, at, text string) error {
	address := text[strings.Index(text, "=")+1:] // files: [key=path]
	if remote.MatchString(text) || remote.MatchString(address) {
		return forbidden(file, at, text+" is an address; copy it into the repository and name it by its path")
	}
	target := path.Join(path.Dir(file), text)
	data, isFile := j.files[target]
	isPlugin := isOne(pluginFields, key)
	switch {
	case !isOne(directoryFields, key):
		return nil
	case kustomizationFile(j.files, target) != "":
		return j.directory(target)
	case isPlugin && isFile && !j.seen[target]:
		j.seen[target] = true
		return j.plugins(manifest{file: target, data: data}, "")
	case isPlugin && !isFile && strings.Contains(text, ":"):
		return j.plugins(manifest{file: file, data: []byte(text)}, at)
	case !isFile:
		return &Error{ReasonPathMissing, file, fmt.Sprintf("%s: no file and no kustomization at %s", at, target)}
	}
	return nil
}

// plugins looks at the configurations in m, which stands in a file of its own or in the field at. Builtin plugins are part
// of the library; all others would be programs.
func (j judge) plugins(m manifest, at string) error {
	for _, d := range m.documents() {
		config, err := m.decode(d)
		if err != nil {
			return err
		}
		if kind, _ := config["kind"].(string); config["apiVersion"] != "builtin" || strings.HasPrefix(kind, "HelmChart") {
			return forbidden(m.file, strings.TrimPrefix(at+" document "+fmt.Sprint(d.number), " "), fmt.Sprintf("%s is a plugin that runs a program; only Kustomize's builtin ones without a program are served", kind))
		}
		if err := j.fields(m.file, at, config); err != nil {
			return err
		}
	}
	return nil
}

// isOne compares as Kustomize reads fields: Resources is resources.
func isOne(fields []string, key string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return strings.EqualFold(field, key) })
}

func forbidden(file, at, message string) error {
	return &Error{ReasonRemoteForbidden, file, at + ": " + message}
}
