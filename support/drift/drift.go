// Package drift tells what of the objects on clusters is not as it was deployed, from what the agents reported.
package drift

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Difference is what one deployment reports. Its keys are Fleet's, but for drift.
type Difference struct {
	BundleDeploymentName string                 `json:"bundleDeploymentName"`
	BundleName           string                 `json:"bundleName"`
	Namespace            string                 `json:"namespace"`
	Cluster              string                 `json:"cluster,omitempty"`
	ModifiedResources    []fleet.ModifiedStatus `json:"modifiedResources"`
	NonReadyResources    []fleet.NonReadyStatus `json:"nonReadyResources,omitempty"`
	Drift                []fleet.DriftedField   `json:"drift,omitempty"`
}

// Of gives the deployments that report anything, sorted by bundle and then by namespace.
func Of(deployments []fleet.BundleDeployment) (all []Difference) {
	for i := range deployments {
		d := &deployments[i]
		if len(d.Status.ModifiedStatus)+len(d.Status.NonReadyStatus)+len(d.Status.Drift) == 0 {
			continue
		}
		all = append(all, Difference{
			BundleDeploymentName: d.Name, BundleName: d.Labels[fleet.BundleLabel], Namespace: d.Namespace, Cluster: d.Labels[fleet.ClusterLabel],
			ModifiedResources: d.Status.ModifiedStatus, NonReadyResources: d.Status.NonReadyStatus, Drift: d.Status.Drift,
		})
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return strings.Compare(a.BundleName+"\x00"+a.Namespace, b.BundleName+"\x00"+b.Namespace)
	})
	return all
}

// JSON writes the differences for programs, as Fleet does.
func JSON(w io.Writer, bundle, namespace string, all []Difference) error {
	if all == nil {
		all = []Difference{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		BundleName            string       `json:"bundleName,omitempty"`
		Namespace             string       `json:"namespace"`
		BundleDeploymentDiffs []Difference `json:"bundleDeploymentDiffs"`
	}{bundle, namespace, all})
}

// Text writes the differences for people, by bundle.
func Text(w io.Writer, all []Difference) {
	if len(all) == 0 {
		fmt.Fprintln(w, "No modified resources found.")
		return
	}
	bundle := ""
	for i, d := range all {
		if i == 0 || d.BundleName != bundle {
			bundle = d.BundleName
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "Bundle: %s\n", bundle)
		}
		fmt.Fprintf(w, "\n  BundleDeployment: %s/%s", d.Namespace, d.BundleDeploymentName)
		if d.Cluster != "" {
			fmt.Fprintf(w, " (cluster %s)", d.Cluster)
		}
		fmt.Fprintln(w)
		d.modified(w)
		d.notReady(w)
	}
}

func (d Difference) modified(w io.Writer) {
	if len(d.ModifiedResources) > 0 {
		fmt.Fprintf(w, "  Modified Resources (%d):\n", len(d.ModifiedResources))
	}
	for _, m := range d.ModifiedResources {
		fmt.Fprintf(w, "    %s: %s\n", object(m.Kind, m.APIVersion, m.Namespace, m.Name), status(m))
		for _, f := range d.Drift {
			if f.Path != "" && f.Kind == m.Kind && f.APIVersion == m.APIVersion && f.Namespace == m.Namespace && f.Name == m.Name {
				fmt.Fprintf(w, "      %s\n", field(f))
			}
		}
	}
}

func (d Difference) notReady(w io.Writer) {
	if len(d.NonReadyResources) > 0 {
		fmt.Fprintf(w, "  Non-Ready Resources (%d):\n", len(d.NonReadyResources))
	}
	for _, n := range d.NonReadyResources {
		fmt.Fprintf(w, "    %s: %s\n", object(n.Kind, n.APIVersion, n.Namespace, n.Name),
			strings.Join(append([]string{n.Summary.State}, n.Summary.Message...), ", "))
	}
}

func object(kind, apiVersion, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	return fmt.Sprintf("%s.%s %s", kind, apiVersion, name)
}

func status(m fleet.ModifiedStatus) string {
	switch {
	case m.Create && m.Exist, m.Exist:
		return "exists but is not owned by Fleet"
	case m.Create:
		return "is missing (should be created)"
	case m.Delete:
		return "is extra (should be deleted)"
	}
	return "is modified"
}

func field(f fleet.DriftedField) string {
	text := f.Path + ": "
	switch {
	case f.Found == "":
		text += f.Wanted + " was removed"
	case f.Wanted == "":
		text += f.Found + " was added"
	case f.Wanted == f.Found:
		text += "changed (its values are not shown)"
	default:
		text += f.Wanted + " → " + f.Found
	}
	if f.Manager != "" {
		text += " by " + f.Manager
	}
	if !f.At.IsZero() {
		text += f.At.UTC().Format(" at 2006-01-02T15:04:05Z")
	}
	return text
}

// FleetYAML writes the part of a fleet.yaml that leaves what drifted to whoever changed it, beside what the bundle leaves to
// others already. Nothing is written when nothing drifted.
func FleetYAML(w io.Writer, d Difference, have []fleet.ComparePatch) error {
	patches := patches(d)
	if len(patches) == 0 {
		return nil
	}
	data, err := yaml.Marshal(map[string]any{"diff": map[string]any{"comparePatches": merge(have, patches)}})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// patches leave a field out of the comparison, or, of an object that is missing, the object.
func patches(d Difference) (all []fleet.ComparePatch) {
	for _, f := range d.Drift {
		operation := fleet.Operation{Op: "remove", Path: f.Path}
		if f.Path == "" {
			operation = fleet.Operation{Op: fleet.IgnoreOp}
		}
		all = append(all, fleet.ComparePatch{
			APIVersion: f.APIVersion, Kind: f.Kind, Namespace: f.Namespace, Name: f.Name, Operations: []fleet.Operation{operation},
		})
	}
	return all
}

// merge joins the operations of patches for the same object, and sorts them by object.
func merge(lists ...[]fleet.ComparePatch) (merged []fleet.ComparePatch) {
	at := map[string]int{}
	for _, p := range slices.Concat(lists...) {
		i, known := at[identity(p)]
		if !known {
			at[identity(p)] = len(merged)
			merged = append(merged, *p.DeepCopy())
			continue
		}
		for _, o := range p.Operations {
			if !slices.Contains(merged[i].Operations, o) {
				merged[i].Operations = append(merged[i].Operations, o)
			}
		}
	}
	slices.SortStableFunc(merged, func(a, b fleet.ComparePatch) int { return strings.Compare(identity(a), identity(b)) })
	return merged
}

func identity(p fleet.ComparePatch) string {
	return strings.Join([]string{p.APIVersion, p.Kind, p.Namespace, p.Name}, "|")
}
