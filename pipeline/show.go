package pipeline

import (
	"context"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/apply"
	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/plan"
	"flotilla.io/flotilla/bundle/preview"
	"flotilla.io/flotilla/bundle/render"
)

// In puts objects that name no namespace into one, of a deployment that names none either.
func (d Deployment) In(namespace string) Deployment {
	o := d.Object.Spec.Options
	if namespace != "" && o.DefaultNamespace == "" && o.TargetNamespace == "" {
		d.Object = d.Object.DeepCopy()
		d.Object.Spec.Options.DefaultNamespace = namespace
	}
	return d
}

func (d Deployment) owner() apply.Owner {
	return apply.Owner{ClusterNamespace: d.Object.Namespace, Deployment: d.Object.Name}
}

func (d Deployment) input() render.Input {
	return render.Input{Bundle: d.Object.Name, Files: d.Files, Options: d.Object.Spec.Options}
}

// Render shows what would be deployed, without a cluster: namespaces are as they were written, since only a cluster knows
// which kinds have one. Notes tell what a cluster may get otherwise.
func Render(ctx context.Context, d Deployment, caps *render.Capabilities) (objects []*unstructured.Unstructured, notes []string, err error) {
	out, err := render.Sketch(ctx, d.input(), caps)
	if err != nil {
		return nil, nil, fmt.Errorf("bundle %s: %w", d.Object.Name, err)
	}
	entries, err := entriesOf(out.Objects)
	if err != nil {
		return nil, nil, fmt.Errorf("bundle %s: %w", d.Object.Name, err)
	}
	for i, e := range entries {
		u := out.Objects[i]
		if !hooks.Is(e) {
			if u, err = apply.Prepare(e, plan.Wanted{Key: e.Key}, d.owner()); err != nil {
				return nil, nil, err
			}
		}
		objects = append(objects, u)
	}
	return objects, preview.Notes(d.Object.Name, out), nil
}

// PrintObjects writes objects as one YAML list, in Fleet's form. Secrets show no values unless they are asked for.
func PrintObjects(w io.Writer, objects []*unstructured.Unstructured, secrets bool) error {
	list := []map[string]any{}
	for _, u := range objects {
		if !secrets && u.GetKind() == "Secret" && u.GetAPIVersion() == "v1" {
			u = hide(u)
		}
		list = append(list, u.Object)
	}
	data, err := yaml.Marshal(list)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", data)
	return err
}

// hide leaves of a Secret its keys.
func hide(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	for _, field := range []string{"data", "stringData"} {
		values, _ := u.Object[field].(map[string]any)
		for key := range values {
			values[key] = "(hidden)"
		}
	}
	return u
}
