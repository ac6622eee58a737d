package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
)

// basis is all that a rendering depends on besides the answers of a cluster. What the bundle's style does not read is left
// empty, so that values meant for a chart do not tell apart the renderings of a Kustomize bundle.
type basis struct {
	Version       string
	Bundle        string
	Files         string                     // contentHash
	Release       *release                   `json:",omitempty"`
	Chart         string                     `json:",omitempty"`
	Dir           string                     `json:",omitempty"` // of the kustomization
	Overlays      []string                   `json:",omitempty"`
	Customization *v1alpha1.KustomizeOptions `json:",omitempty"`
	// From names objects of a cluster; what is in them is no part of this.
	From []v1alpha1.ValuesFrom `json:",omitempty"`
}

// release is what templates see of the options.
type release struct {
	Name, Namespace      string
	Values               map[string]any `json:",omitempty"`
	SkipSchemaValidation bool           `json:",omitempty"`
}

// Base is the hash of all that rendering in depends on besides the capabilities of the cluster. It is 64 hex digits.
func Base(in Input) (string, error) {
	files, err := clean(in.Files)
	if err != nil {
		return "", err
	}
	in.Files = files
	st, err := detect(in)
	if err != nil {
		return "", err
	}
	b := basis{Version: Version, Bundle: in.Bundle, Files: contentHash(files), Chart: st.chart, Dir: st.kustomization,
		Customization: customization(&in.Options)}
	if st.templated {
		if b.Release, err = newRelease(in); err != nil {
			return "", err
		}
		if in.Options.Helm != nil {
			b.From = in.Options.Helm.ValuesFrom
		}
	}
	if st.raw() && in.Options.YAML != nil {
		b.Overlays = in.Options.YAML.Overlays
	}
	canonical, err := json.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("hashing the options of %s: %w", in.Bundle, err)
	}
	return digest(canonical), nil
}

// Key names a rendering: its base and what its templates asked and were answered. It is 64 hex digits.
func Key(base string, asked []v1alpha1.CapabilityAnswer) string {
	sorted := slices.SortedFunc(slices.Values(asked), byQuestion)
	canonical, err := json.Marshal(sorted)
	if err != nil {
		panic(err) // strings always marshal
	}
	return digest([]byte(base + "\n" + string(canonical)))
}

func byQuestion(a, b v1alpha1.CapabilityAnswer) int { return cmp.Compare(a.Question, b.Question) }

// contentHash is a hash of files and their names.
func contentHash(files map[string][]byte) string {
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&all, "%q %s\n", name, digest(files[name]))
	}
	return digest([]byte(all.String()))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// clean checks the names of files and leaves out the bundle's own fleet.yaml, whose meaning is in the options.
func clean(files map[string][]byte) (map[string][]byte, error) {
	kept := maps.Clone(files)
	for name := range files {
		if path.IsAbs(name) || path.Clean(name) != name || strings.Contains(name, "\\") || name == "." || name == ".." {
			return nil, &Error{ReasonPathEscape, name, "a file of a bundle needs a clean relative path with slashes"}
		}
	}
	delete(kept, "fleet.yaml")
	delete(kept, "fleet.yml")
	return kept, nil
}

// newRelease reads from the options what templates see, with the defaults of Fleet.
func newRelease(in Input) (*release, error) {
	r := &release{
		Name:      v1alpha1.HelmReleaseName(in.Bundle),
		Namespace: cmp.Or(in.Options.TargetNamespace, in.Options.DefaultNamespace, "default"),
	}
	helm := in.Options.Helm
	if helm == nil {
		return r, nil
	}
	r.Name = cmp.Or(helm.ReleaseName, r.Name)
	r.SkipSchemaValidation = helm.SkipSchemaValidation
	if helm.Values == nil {
		return r, nil
	}
	// Through JSON: a copy of our own whose numbers are float64, as Helm reads them from any values file.
	data, err := json.Marshal(helm.Values.Data)
	if err == nil {
		err = json.Unmarshal(data, &r.Values)
	}
	if err != nil {
		return nil, &Error{ReasonValuesMismatch, "helm.values", err.Error()}
	}
	return r, nil
}
