// Package values moves Helm values out of Bundles into the Secret that bears the Bundle's name, and back.
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
)

// Secret holds the values of one Bundle on their way to or from the hub.
type Secret struct {
	Data map[string][]byte
}

// Extract takes values and templateValues out of b and sets its valuesHash.
func Extract(b *fleet.Bundle) (*Secret, error) {
	s := &Secret{Data: map[string][]byte{}}
	for _, p := range places(b) {
		if p.helm == nil {
			continue
		}
		if p.helm.Values != nil && len(p.helm.Values.Data) > 0 {
			data, err := json.Marshal(p.helm.Values.Data)
			if err != nil {
				return nil, fmt.Errorf("encoding helm.values of %s: %w", p.key, err)
			}
			s.Data[p.key] = data
			p.helm.Values = nil
		}
		if len(p.helm.TemplateValues) > 0 {
			data, err := json.Marshal(p.helm.TemplateValues)
			if err != nil {
				return nil, fmt.Errorf("encoding helm.templateValues of %s: %w", p.key, err)
			}
			s.Data[p.key+templatesSuffix] = data
			p.helm.TemplateValues = nil
		}
	}
	b.Spec.ValuesHash = s.hash()
	return s, nil
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
		raw, templates := s.Data[p.key], s.Data[p.key+templatesSuffix]
		if raw == nil && templates == nil {
			continue
		}
		helm := p.ensure()
		if raw != nil {
			helm.Values = &fleet.GenericMap{}
			if err := json.Unmarshal(raw, helm.Values); err != nil {
				return fmt.Errorf("reading key %s of Secret %s: %w", p.key, b.Name, err)
			}
		}
		if templates != nil {
			if err := json.Unmarshal(templates, &helm.TemplateValues); err != nil {
				return fmt.Errorf("reading key %s%s of Secret %s: %w", p.key, templatesSuffix, b.Name, err)
			}
		}
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
	key  string
	helm *fleet.HelmOptions
	opts *fleet.BundleDeploymentOptions
}

func (p place) ensure() *fleet.HelmOptions {
	if p.opts.Helm == nil {
		p.opts.Helm = &fleet.HelmOptions{}
	}
	return p.opts.Helm
}

func places(b *fleet.Bundle) []place {
	out := []place{{baseKey, b.Spec.Helm, &b.Spec.BundleDeploymentOptions}}
	seen := map[string]bool{baseKey: true}
	for i := range b.Spec.Targets {
		t := &b.Spec.Targets[i]
		key := t.Name
		if len(validation.IsConfigMapKey(key)) > 0 || seen[key] || len(key) > 200 {
			key = fmt.Sprintf("target-%d", i) // a name that is no key of a Secret, or stands twice
		}
		seen[key] = true
		out = append(out, place{key, t.Helm, &t.BundleDeploymentOptions})
	}
	return out
}
