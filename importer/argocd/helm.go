package argocd

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	goyaml "gopkg.in/yaml.v3"
	"sigs.k8s.io/yaml"
)

// leaf is a value of a chart: a text that may vary, and whether it is a text however it reads.
type leaf struct {
	text
	isText bool
}

// helm reads what an Application says about its chart.
func (r *reading) helm(h *node, one *app, name text) {
	out := map[string]any{}
	release := r.text(h, "releaseName")
	if len(release) == 0 {
		release = name
	}
	out["releaseName"] = r.settle(h.at("releaseName"), release)
	files := r.valuesFiles(h, one)
	values := r.values(h)
	for index, p := range h.list("parameters") {
		n := newNode(fmt.Sprintf("%s[%d]", h.at("parameters"), index), asObject(p))
		value := leaf{r.text(n, "value"), n.flag("forceString")}
		if err := setValue(values, r.fixed(n, "name"), value); err != nil {
			r.fail(n.path, err.Error())
		}
	}
	if h.flag("skipSchemaValidation") {
		out["skipSchemaValidation"] = true
	}
	h.take("skipTests") // test hooks are dropped always
	varies := valuesVary(values)
	written := writtenValues(values, varies).(map[string]any)
	if len(files) > 0 && len(written) > 0 {
		// A values file goes over what stands inline, while in Argo CD it is the other way: so what stood inline is a file too, the last.
		file := valuesFile(r.name, one)
		data, _ := yaml.Marshal(written) // made of what YAML gave
		one.files[file] = data
		files, written = append(files, file), nil
	}
	if len(files) > 0 {
		out["valuesFiles"] = files
	}
	if len(written) > 0 {
		out["values"] = written
	}
	if text, _ := yaml.Marshal(values); !varies && (len(files) > 0 || strings.Contains(string(text), "${")) {
		out["disablePreProcess"] = true // Argo CD leaves ${ } alone
	}
	h.rest(r.report)
	one.options["helm"] = out
}

// valuesFile is the name of the file for the values of an app that has values files besides.
func valuesFile(appSet string, one *app) string {
	if one.name != "" {
		return one.name + ".values.yaml"
	}
	return appSet + "." + notInNames.ReplaceAllString(strings.ToLower(one.place.String()), "-") + ".values.yaml"
}

// valuesFiles are relative to the chart; one with a slash before it is relative to the repository.
func (r *reading) valuesFiles(h *node, one *app) (files []string) {
	for index, file := range texts(h.list("valueFiles")) {
		where := fmt.Sprintf("%s[%d]", h.at("valueFiles"), index)
		file = r.settle(where, r.fill(where, file))
		switch {
		case strings.HasPrefix(file, "$"):
			r.fail(where, "values files of another repository cannot be read; copy them beside the chart")
		case strings.Contains(file, "://"):
			r.fail(where, "values files are read from the repository only; copy it beside the chart")
		case one.chart != "":
			r.fail(where, "a HelmOp has no values files; put them into values")
		case strings.HasPrefix(file, "/") && one.path != "":
			file = path.Join(strings.Repeat("../", strings.Count(one.path, "/")+1), file)
		}
		files = append(files, strings.TrimPrefix(file, "/"))
	}
	return files
}

// values are those that stand inline. valuesObject counts before values.
func (r *reading) values(h *node) map[string]any {
	object, plain := h.object("valuesObject"), h.plain("values")
	if len(object) > 0 {
		return asObject(r.leaves(h.at("valuesObject"), object))
	}
	filled := r.fill(h.at("values"), plain)
	held, restore := filled.held()
	var document goyaml.Node
	err := goyaml.Unmarshal([]byte(held), &document)
	if err != nil && filled.varies() {
		r.settle(h.at("values"), filled) // a condition around several values, perhaps
		return map[string]any{}
	}
	if err != nil {
		r.fail(h.at("values"), "with its templates filled in it is no YAML")
	}
	if len(document.Content) == 0 {
		return map[string]any{}
	}
	values, ok := leavesOf(document.Content[0], func(part string) text {
		restored := restore(part)
		if !restored.whole() {
			r.settle(h.at("values"), filled) // a condition around several values does not survive their being sorted
		}
		return restored
	}).(map[string]any)
	if !ok {
		r.fail(h.at("values"), "it is no object")
		return map[string]any{}
	}
	return values
}

// leaves fills in the texts of valuesObject, which stay texts.
func (r *reading) leaves(where string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range value {
			out[key] = r.leaves(where+"."+key, item)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for index, item := range value {
			out[index] = r.leaves(fmt.Sprintf("%s[%d]", where, index), item)
		}
		return out
	case string:
		return leaf{r.fill(where, value), true}
	}
	return value
}

// leavesOf reads YAML in which what varies is held by words.
func leavesOf(n *goyaml.Node, restore func(string) text) any {
	switch n.Kind {
	case goyaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[restore(n.Content[i].Value).template()] = leavesOf(n.Content[i+1], restore)
		}
		return out
	case goyaml.SequenceNode:
		out := []any{}
		for _, item := range n.Content {
			out = append(out, leavesOf(item, restore))
		}
		return out
	case goyaml.AliasNode:
		return leavesOf(n.Alias, restore)
	}
	if filled := restore(n.Value); filled.varies() {
		return leaf{filled, n.Style&(goyaml.SingleQuotedStyle|goyaml.DoubleQuotedStyle) != 0}
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return n.Value
	}
	if s, ok := value.(string); ok {
		return leaf{literal(s), true}
	}
	return value
}

func valuesVary(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			if strings.Contains(key, "${") || valuesVary(item) {
				return true
			}
		}
	case []any:
		for _, item := range value {
			if valuesVary(item) {
				return true
			}
		}
	case leaf:
		return value.varies()
	}
	return false
}

// writtenValues are values as they stand in fleet.yaml, where they are templates or not.
func writtenValues(value any, template bool) any {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range value {
			out[key] = writtenValues(item, template)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for index, item := range value {
			out[index] = writtenValues(item, template)
		}
		return out
	case leaf:
		switch {
		case value.isText && value.varies():
			return value.quoted()
		case value.varies():
			return value.template()
		case value.isText && template:
			return value.template()
		case value.isText:
			return value.fixed()
		}
		return typed(value.fixed())
	}
	return value
}

// typed is a parameter's value as Helm reads it after --set.
func typed(value string) any {
	switch value {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && (value == "0" || value[0] != '0') {
		return n
	}
	return value
}

var step = regexp.MustCompile(`^((?:[^.\[\\]|\\.)+)((?:\[\d+\])*)(?:\.|$)`)

// setValue sets a value by a parameter's name, such as ingress.hosts[0].name; a dot that is part of a key has a backslash before it.
func setValue(values map[string]any, name string, value leaf) error {
	found := step.FindStringSubmatch(name)
	if found == nil {
		return fmt.Errorf("%q is no name of a parameter", name)
	}
	key, rest := strings.ReplaceAll(found[1], `\`, ""), name[len(found[0]):]
	var indexes []int
	for _, index := range strings.FieldsFunc(found[2], func(c rune) bool { return c == '[' || c == ']' }) {
		n, _ := strconv.Atoi(index) // digits only
		if n > 1000 {
			return fmt.Errorf("%q has an index above 1000", name)
		}
		indexes = append(indexes, n)
	}
	inner, err := within(values[key], indexes, rest, value)
	values[key] = inner
	return err
}

// within sets a value below another, which is made when it is not there.
func within(old any, indexes []int, rest string, value leaf) (any, error) {
	if len(indexes) > 0 {
		list, _ := old.([]any)
		for len(list) <= indexes[0] {
			list = append(list, nil)
		}
		inner, err := within(list[indexes[0]], indexes[1:], rest, value)
		list[indexes[0]] = inner
		return list, err
	}
	if rest == "" {
		return value, nil
	}
	object, ok := old.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	return object, setValue(object, rest, value)
}
