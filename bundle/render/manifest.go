package render

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// object is an object and where it was written.
type object struct {
	*unstructured.Unstructured
	source string // file:line, or a template and the number of its document
}

// manifest is a file of YAML documents or one JSON document.
type manifest struct {
	file string
	data []byte
	// rendered: data is what the template in file gave. Its lines are not the file's, so documents are counted; keys given
	// twice pass, as Helm lets them; and what is no object is an error.
	rendered bool
	template string // of a rendered one, to find the line that a line of data came from
}

type document struct {
	number int // from 1
	line   int // of its first line, from 1
	text   []byte
}

// objects reads a manifest. Plain files may hold documents that are no objects (values, snippets): they are passed over, as
// Fleet does.
func (m manifest) objects() ([]object, error) {
	var objects []object
	for _, d := range m.documents() {
		content, err := m.decode(d)
		if err != nil {
			return nil, err
		}
		if content == nil {
			continue
		}
		found, err := m.unpack(d, content)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// where names a document for people: the line it begins at, or for templates its number.
func (m manifest) where(d document) string {
	switch {
	case !m.rendered:
		return fmt.Sprintf("%s:%d", m.file, d.line)
	case d.number > 1:
		return fmt.Sprintf("%s (document %d)", m.file, d.number)
	}
	return m.file
}

// unpack checks that content is an object and takes lists apart.
func (m manifest) unpack(d document, content map[string]any) ([]object, error) {
	u := &unstructured.Unstructured{Object: content}
	if u.GetAPIVersion() == "" || u.GetKind() == "" {
		if !m.rendered {
			return nil, nil
		}
		return nil, m.invalid(d, "an object needs apiVersion and kind")
	}
	if items, ok := content["items"].([]any); ok && strings.HasSuffix(u.GetKind(), "List") {
		return m.unpackList(d, u, items)
	}
	if problem := flaw(u); problem != "" {
		return nil, m.invalid(d, fmt.Sprintf("document %d, a %s, %s", d.number, u.GetKind(), problem))
	}
	return []object{{u, m.where(d)}}, nil
}

func (m manifest) unpackList(d document, list *unstructured.Unstructured, items []any) ([]object, error) {
	var objects []object
	for i, item := range items {
		content, ok := item.(map[string]any)
		if !ok {
			return nil, m.invalid(d, fmt.Sprintf("items[%d] of the %s is no object", i, list.GetKind()))
		}
		if kind := strings.TrimSuffix(list.GetKind(), "List"); kind != "" && content["kind"] == nil {
			content["kind"], content["apiVersion"] = kind, list.GetAPIVersion()
		}
		found, err := m.unpack(d, content)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

func (m manifest) invalid(d document, message string) error {
	return &Error{ReasonInvalidObject, m.where(d), message}
}

// flaw tells what is wrong with an object's metadata, "" when nothing.
func flaw(u *unstructured.Unstructured) string {
	if strings.HasPrefix(u.GetAPIVersion(), "kustomize.config.k8s.io/") {
		return "is no object of a cluster; give its directory a fleet.yaml, or name it in kustomize.dir"
	}
	if strings.HasPrefix(u.GetAPIVersion(), PackedGroup+"/") {
		return "is of group " + PackedGroup + ", which is Flotilla's own; give it another"
	}
	metadata, _ := u.Object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	switch {
	case name == "" && metadata["generateName"] != nil:
		return "has metadata.generateName; give it a metadata.name, so that it can be updated and pruned"
	case name == "":
		return "has no metadata.name"
	}
	if namespace, ok := metadata["namespace"]; ok && namespace != nil {
		if _, ok := namespace.(string); !ok {
			return "has a metadata.namespace that is no string; put it in quotes"
		}
	}
	for _, field := range []string{"labels", "annotations"} {
		pairs, ok := metadata[field].(map[string]any)
		if !ok && metadata[field] != nil {
			return fmt.Sprintf("has metadata.%s that are no map", field)
		}
		for _, key := range slices.Sorted(maps.Keys(pairs)) {
			if _, ok := pairs[key].(string); !ok {
				return fmt.Sprintf("has metadata.%s[%s] that is no string; put it in quotes", field, key)
			}
		}
	}
	return ""
}

// documents splits at lines that begin a document.
func (m manifest) documents() []document {
	data := bytes.TrimPrefix(m.data, []byte("\ufeff"))
	if path.Ext(m.file) == ".json" && !m.rendered {
		return []document{{1, 1, data}}
	}
	var documents []document
	current := document{number: 1, line: 1}
	flush := func() {
		if len(bytes.TrimSpace(current.text)) > 0 {
			documents = append(documents, current)
			current.number++
		}
	}
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		rest, ok := m.separator(line)
		if !ok {
			current.text = append(current.text, line...)
			continue
		}
		flush()
		current = document{current.number, i + 1, bytes.Clone(rest)}
	}
	flush()
	return documents
}

// separator tells whether a line ends a document, and what on it belongs to the next. Helm takes every "---" at the start
// of a line for one, also where a template ate the line break behind it.
func (m manifest) separator(line []byte) (rest []byte, ok bool) {
	for _, marker := range []string{"---", "..."} {
		rest, ok := bytes.CutPrefix(line, []byte(marker))
		glued := len(rest) > 0 && !bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0]))
		if ok && (!glued || m.rendered && marker == "---") {
			return bytes.TrimLeft(rest, " \t"), true
		}
	}
	return nil, false
}

// decode reads a document. It returns nil for one that is empty, or comments only.
func (m manifest) decode(d document) (map[string]any, error) {
	data, err := m.json(d)
	if err != nil {
		return nil, err
	}
	var content any
	if err := json.UnmarshalCaseSensitivePreserveInts(data, &content); err != nil {
		return nil, m.syntaxError(d, err.Error())
	}
	switch content := content.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return content, nil
	}
	return nil, &Error{ReasonInvalidYAML, m.where(d), fmt.Sprintf("document %d is no map; if it is no manifest, name the file in .fleetignore", d.number)}
}

// json turns a document into JSON.
func (m manifest) json(d document) ([]byte, error) {
	convert := yaml.YAMLToJSONStrict
	switch {
	case m.rendered:
		convert = yaml.YAMLToJSON
	case path.Ext(m.file) == ".json":
		return d.text, nil
	}
	data, err := convert(d.text)
	if err != nil {
		return nil, m.syntaxError(d, err.Error())
	}
	return data, nil
}

var (
	yamlLine    = regexp.MustCompile(`line (\d+): (.*)`)
	yamlPrefix  = regexp.MustCompile(`^(error converting YAML to JSON: )?(yaml: )?(unmarshal errors:\n\s*)?`)
	yamlContent = regexp.MustCompile(`invalid map key: .*`)
)

// syntaxError names the line of the file: the library counts from the beginning of the document.
func (m manifest) syntaxError(d document, message string) error {
	message = yamlPrefix.ReplaceAllString(message, "")
	message = yamlContent.ReplaceAllString(message, "a map or list as key; is a template written {{ }} without quotes?")
	found := yamlLine.FindStringSubmatch(message)
	if found == nil { // the library does not always tell
		return &Error{ReasonInvalidYAML, m.where(d), message}
	}
	line, _ := strconv.Atoi(found[1])
	line, message = line+d.line-1, found[2]
	if !m.rendered {
		return &Error{ReasonInvalidYAML, fmt.Sprintf("%s:%d", m.file, line), message}
	}
	where := m.where(d)
	if from := m.templateLine(line); from > 0 {
		where = fmt.Sprintf("%s:%d", m.file, from)
	}
	return &Error{ReasonInvalidYAML, where, fmt.Sprintf("line %d of what the template gives: %s", line, message)}
}

// action is what stands between the braces of a template.
var action = regexp.MustCompile(`\{\{.*?\}\}`)

// templateLine returns the only line of the template whose fixed text stands in a line of its output, 0 when there are none
// or several.
func (m manifest) templateLine(line int) int {
	given := strings.Split(string(m.data), "\n")
	if line > len(given) {
		return 0
	}
	found := 0
	for i, text := range strings.Split(m.template, "\n") {
		fixed := action.Split(strings.TrimSpace(text), -1)
		if strings.TrimSpace(strings.Join(fixed, "")) == "" {
			continue
		}
		for j := range fixed {
			fixed[j] = regexp.QuoteMeta(fixed[j])
		}
		if regexp.MustCompile("^" + strings.Join(fixed, ".*") + "$").MatchString(strings.TrimSpace(given[line-1])) {
			if found > 0 {
				return 0
			}
			found = i + 1
		}
	}
	return found
}
