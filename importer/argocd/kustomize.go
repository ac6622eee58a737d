package argocd

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// kustomize reads what an Application says to Kustomize.
func (r *reading) kustomize(k *node, one *app) {
	out := map[string]any{}
	if prefix := r.text(k, "namePrefix"); len(prefix) > 0 {
		out["namePrefix"] = prefix.template()
	}
	var patches, images, replicas []any
	for index, p := range k.list("patches") {
		patches = append(patches, r.kustomizePatch(newNode(fmt.Sprintf("%s[%d]", k.at("patches"), index), asObject(p))))
	}
	for index, image := range texts(k.list("images")) {
		images = append(images, imageOf(r.fill(fmt.Sprintf("%s[%d]", k.at("images"), index), image)))
	}
	for index, one := range k.list("replicas") {
		n := newNode(fmt.Sprintf("%s[%d]", k.at("replicas"), index), asObject(one))
		replicas = append(replicas, map[string]any{"name": r.text(n, "name").template(), "count": number(r.text(n, "count").template())})
		n.rest(r.report)
	}
	for key, list := range map[string][]any{"patches": patches, "images": images, "replicas": replicas} {
		if len(list) > 0 {
			out[key] = list
		}
	}
	k.rest(r.report)
	if len(out) > 0 {
		one.options["kustomize"] = out
	}
}

func (r *reading) kustomizePatch(p *node) map[string]any {
	out := map[string]any{}
	if patch := r.text(p, "patch"); len(patch) > 0 {
		out["patch"] = patch.template()
	}
	if file := r.fixed(p, "path"); file != "" {
		out["path"] = file
	}
	target := map[string]any{}
	t := p.child("target")
	for _, key := range []string{"group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"} {
		if value := r.text(t, key); len(value) > 0 {
			target[key] = value.template()
		}
	}
	t.rest(r.report)
	if len(target) > 0 {
		out["target"] = target
	}
	if options := p.object("options"); len(options) > 0 {
		out["options"] = options
	}
	p.rest(r.report)
	return out
}

// imageOf opens Kustomize's short form: name=new-name:tag@digest, of which all but name may be missing.
func imageOf(image text) map[string]any {
	held, restore := image.held()
	out := map[string]any{}
	put := func(key, value string) {
		if value != "" {
			out[key] = restore(value).template()
		}
	}
	name, rest, renamed := strings.Cut(held, "=")
	if !renamed {
		rest = name
	}
	rest, digest, _ := strings.Cut(rest, "@")
	tag := ""
	if colon := strings.LastIndex(rest, ":"); colon > strings.LastIndex(rest, "/") {
		rest, tag = rest[:colon], rest[colon+1:]
	}
	if !renamed {
		name, rest = rest, ""
	}
	put("name", name)
	put("newName", rest)
	put("newTag", tag)
	put("digest", digest)
	return out
}

func number(value string) any {
	if n, err := strconv.ParseInt(value, 10, 32); err == nil {
		return n
	}
	return value
}

var holder = regexp.MustCompile(`zz(\d+)held`)

// held is the text with words in place of what varies, so that it can be read as something, and how to get the text of a part back.
func (t text) held() (string, func(string) text) {
	var out strings.Builder
	for index, p := range t {
		if p.action != "" {
			fmt.Fprintf(&out, "zz%dheld", index)
			continue
		}
		out.WriteString(p.literal)
	}
	return out.String(), func(part string) (restored text) {
		from := 0
		for _, found := range holder.FindAllStringSubmatchIndex(part, -1) {
			index, err := strconv.Atoi(part[found[2]:found[3]])
			if err != nil || index >= len(t) || t[index].action == "" {
				continue // the input's own word
			}
			restored = append(append(restored, literal(part[from:found[0]])...), t[index])
			from = found[1]
		}
		return append(restored, literal(part[from:])...)
	}
}
