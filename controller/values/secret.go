// Package values moves Helm values, and patches, out of Bundles into the Secret that bears the Bundle's name, and back.
//
// A Bundle can be read by more people than its values should be. The Secret is Fleet's: type
// fleet.cattle.io/bundle-values/v1alpha1, key values.yaml for the bundle and one key for each target's name, each
// holding JSON. spec.valuesHash ties the two: a reader that finds another hash waits for the other half.
package values

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	baseKey         = "values.yaml"
	templatesSuffix = ".templates"
	patchesSuffix   = ".patches"
)

// Secret holds the values of one Bundle on their way to or from the hub.
type Secret struct {
	Data map[string][]byte
}

// Extract takes values, templateValues and patches out of b and sets its valuesHash.
func Extract(b *fleet.Bundle) (*Secret, error) {
	s := &Secret{Data: map[string][]byte{}}
	for _, p := range places(b) {
		if helm := p.options.Helm; helm != nil {
			if helm.Values != nil && len(helm.Values.Data) > 0 {
				if err := s.put(p.key, "helm.values", helm.Values.Data); err != nil {
					return nil, err
				}
				helm.Values = nil
			}
			if len(helm.TemplateValues) > 0 {
				if err := s.put(p.key+templatesSuffix, "helm.templateValues", helm.TemplateValues); err != nil {
					return nil, err
				}
				helm.TemplateValues = nil
			}
		}
		if k := p.options.Kustomize; k != nil && len(k.Patches) > 0 {
			if err := s.put(p.key+patchesSuffix, "kustomize.patches", k.Patches); err != nil {
				return nil, err
			}
			k.Patches = nil
		}
	}
	b.Spec.ValuesHash = s.hash()
	return s, nil
}

func (s *Secret) put(key, field string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding %s of %s: %w", field, key, err)
	}
	s.Data[key] = data
	return nil
}

// Write brings the Secret of b on the hub to s. The Bundle itself must be written after it.
func (s *Secret) Write(ctx context.Context, c client.Client, live client.Reader, b *fleet.Bundle) error {
	if len(s.Data) == 0 {
		return nil // one that is there is not referred to any more; it goes with the Bundle
	}
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: b.Name, Namespace: b.Namespace, Labels: map[string]string{fleet.BundleLabel: b.Name, fleet.ManagedLabel: "true"}},
		Type:       fleet.SecretTypeBundleValues, Data: s.Data,
	}
	err := c.Create(ctx, want)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	have := &corev1.Secret{}
	if err := live.Get(ctx, client.ObjectKeyFromObject(want), have); err != nil {
		return err
	}
	if have.Type != fleet.SecretTypeBundleValues {
		return fmt.Errorf("secret %s/%s is there already and is of type %q; rename it or the bundle", have.Namespace, have.Name, have.Type)
	}
	now := have.DeepCopy()
	now.Data = s.Data
	if equality.Semantic.DeepEqual(have.Data, now.Data) {
		return nil
	}
	return c.Patch(ctx, now, client.MergeFrom(have))
}

// ErrWaiting says that the Secret does not hold the values that the Bundle was written with (yet).
type ErrWaiting struct{ Name string }

func (e ErrWaiting) Error() string { return fmt.Sprintf("waiting for the values in Secret %s", e.Name) }

// Restore puts the values back into a copy of b. A Bundle without valuesHash keeps what it has inline.
func Restore(ctx context.Context, live client.Reader, b *fleet.Bundle) (*fleet.Bundle, error) {
	if b.Spec.ValuesHash == "" {
		return b, nil
	}
	have := &corev1.Secret{}
	err := live.Get(ctx, client.ObjectKeyFromObject(b), have)
	if apierrors.IsNotFound(err) {
		return nil, ErrWaiting{b.Name}
	}
	if err != nil {
		return nil, err
	}
	s := &Secret{Data: have.Data}
	if s.hash() != b.Spec.ValuesHash {
		return nil, ErrWaiting{b.Name}
	}
	out := b.DeepCopy()
	return out, s.into(out)
}

func (s *Secret) into(b *fleet.Bundle) error {
	for _, p := range places(b) {
		if s.Data[p.key] != nil || s.Data[p.key+templatesSuffix] != nil {
			p.options.Helm = orNew(p.options.Helm)
		}
		if s.Data[p.key] != nil {
			p.options.Helm.Values = &fleet.GenericMap{}
			if err := s.take(p.key, b.Name, p.options.Helm.Values); err != nil {
				return err
			}
		}
		if key := p.key + templatesSuffix; s.Data[key] != nil {
			if err := s.take(key, b.Name, &p.options.Helm.TemplateValues); err != nil {
				return err
			}
		}
		if key := p.key + patchesSuffix; s.Data[key] != nil {
			p.options.Kustomize = orNew(p.options.Kustomize)
			if err := s.take(key, b.Name, &p.options.Kustomize.Patches); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Secret) take(key, name string, into any) error {
	if err := json.Unmarshal(s.Data[key], into); err != nil {
		return fmt.Errorf("reading key %s of Secret %s: %w", key, name, err)
	}
	return nil
}

// hash is Fleet's: hex SHA-256 over the JSON of the data map; empty for no values.
func (s *Secret) hash() string {
	if len(s.Data) == 0 {
		return ""
	}
	data, err := json.Marshal(s.Data)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// place is where a Bundle can carry values.
type place struct {
	key     string
	options *fleet.BundleDeploymentOptions
}

func orNew[T any](have *T) *T {
	if have == nil {
		return new(T)
	}
	return have
}

func places(b *fleet.Bundle) []place {
	out := []place{{baseKey, &b.Spec.BundleDeploymentOptions}}
	seen := map[string]bool{baseKey: true}
	for i := range b.Spec.Targets {
		t := &b.Spec.Targets[i]
		key := t.Name
		if len(validation.IsConfigMapKey(key)) > 0 || seen[key] || len(key) > 200 {
			key = fmt.Sprintf("target-%d", i) // a name that is no key of a Secret, or stands twice
		}
		seen[key] = true
		out = append(out, place{key, &t.BundleDeploymentOptions})
	}
	return out
}
