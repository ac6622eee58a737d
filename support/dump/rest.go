package dump

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func (a *archive) sortedNamespaces() []string { return slices.Sorted(maps.Keys(a.namespaces)) }

// metrics are read from the Services that are named for it, through the API server.
func (a *archive) metrics(ctx context.Context) error {
	services, err := a.hub.Kube.CoreV1().Services(fleet.SystemNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return a.skip(ctx, "services of "+fleet.SystemNamespace, err)
	}
	for _, s := range services.Items {
		if !strings.HasPrefix(s.Name, "monitoring-") || len(s.Spec.Ports) == 0 {
			continue
		}
		port := fmt.Sprint(s.Spec.Ports[0].Port)
		data, err := a.hub.Kube.CoreV1().Services(s.Namespace).ProxyGet("http", s.Name, port, "metrics", nil).DoRaw(ctx)
		if err != nil {
			if err := a.skip(ctx, "metrics of service "+s.Name, err); err != nil {
				return err
			}
			continue
		}
		if err := a.add(fmt.Sprintf("metrics_%s_%s", s.Namespace, s.Name), data); err != nil {
			return err
		}
	}
	return nil
}

// reduced leaves out of an object what may be confidential and was not asked for: files and values that somebody wrote into a
// Bundle, and what kubectl copied into an annotation.
func reduced(u *unstructured.Unstructured, o Options) *unstructured.Unstructured {
	u = u.DeepCopy()
	if annotations := u.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" && !(o.Content && o.Secrets) {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
		u.SetAnnotations(annotations)
	}
	spec, _ := u.Object["spec"].(map[string]any)
	if !o.Content {
		resources, _ := spec["resources"].([]any)
		for _, r := range resources {
			if file, ok := r.(map[string]any); ok {
				content, _ := file["content"].(string)
				file["content"] = fmt.Sprintf("(%d bytes, left out)", len(content))
			}
		}
	}
	if o.Secrets {
		return u
	}
	for _, options := range optionsOf(spec) {
		helm, _ := options["helm"].(map[string]any)
		for _, field := range []string{"values", "templateValues"} {
			if values, ok := helm[field].(map[string]any); ok {
				helm[field] = leftOut(values)
			}
		}
	}
	if values, ok := spec["templateValues"].(map[string]any); ok { // of a Cluster
		spec["templateValues"] = leftOut(values)
	}
	return u
}

// optionsOf are the places of a spec that have options: itself, its targets, and those of a BundleDeployment.
func optionsOf(spec map[string]any) []map[string]any {
	all := []map[string]any{spec}
	for _, field := range []string{"options", "stagedOptions"} {
		if options, ok := spec[field].(map[string]any); ok {
			all = append(all, options)
		}
	}
	targets, _ := spec["targets"].([]any)
	for _, t := range targets {
		if target, ok := t.(map[string]any); ok {
			all = append(all, target)
		}
	}
	return all
}

// leftOut keeps the keys of values.
func leftOut(values map[string]any) map[string]any {
	kept := map[string]any{}
	for key, value := range values {
		if below, ok := value.(map[string]any); ok {
			kept[key] = leftOut(below)
			continue
		}
		kept[key] = "(left out)"
	}
	return kept
}
