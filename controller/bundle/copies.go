package bundle

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/controller/content"
)

// copies reads the ConfigMaps and Secrets of the bundle's workspace that its clusters get copies of. A copy is an object of
// the bundle like any other: it lies in a sealed layer, is applied before what may need it, belongs to the deployment and
// is pruned with it. One that changes wakes the bundle.
func (r *Reconciler) copies(ctx context.Context, in *run) error {
	needed, all := in.originals()
	r.originals.want(client.ObjectKeyFromObject(in.bundle), all) // first: whatever changes from here on wakes the bundle
	read := make(map[original]copied, len(all))
	for _, s := range all {
		c := copied{}
		c.entry, c.err = r.copyOf(ctx, s)
		read[s] = c
	}
	for p, sources := range needed {
		for _, s := range sources {
			p.err = cmp.Or(p.err, read[s].err)
			p.copies = append(p.copies, read[s].entry)
		}
	}
	return nil
}

// originals are what each place gets copies of, and all of them.
func (in *run) originals() (needed map[*place][]original, all []original) {
	needed, seen := map[*place][]original{}, map[original]bool{}
	for _, p := range in.places {
		if p.match == nil {
			continue
		}
		for _, res := range p.match.Options.DownstreamResources {
			s, err := originalOf(in.bundle.Namespace, res)
			if err != nil {
				p.err = err
				break
			}
			needed[p] = append(needed[p], s)
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
		if p.err == nil {
			p.err = p.make(in.bundle)
		}
	}
	return needed, all
}

// copied is what a source came to.
type copied struct {
	entry layer.Entry
	err   error
}

func originalOf(namespace string, res fleet.DownstreamResource) (original, error) {
	for _, kind := range []string{"ConfigMap", "Secret"} {
		if strings.EqualFold(res.Kind, kind) && res.Name != "" {
			return original{kind, client.ObjectKey{Namespace: namespace, Name: res.Name}}, nil
		}
	}
	return original{}, fmt.Errorf("downstreamResources: %q of kind %q cannot be copied; name a ConfigMap or a Secret of workspace %s", res.Name, res.Kind, namespace)
}

func (r *Reconciler) copyOf(ctx context.Context, s original) (layer.Entry, error) {
	object := map[string]any{"apiVersion": "v1", "kind": s.kind, "metadata": map[string]any{"name": s.key.Name}}
	var err error
	if s.kind == "Secret" {
		err = r.secretInto(ctx, s, object)
	} else {
		err = r.configMapInto(ctx, s, object)
	}
	if apierrors.IsNotFound(err) {
		return layer.Entry{}, fmt.Errorf("downstreamResources: %s %s does not exist in workspace %s; create it, or drop it from the bundle", s.kind, s.key.Name, s.key.Namespace)
	}
	if err != nil {
		return layer.Entry{}, err
	}
	return layer.NewEntry(&unstructured.Unstructured{Object: object})
}

func (r *Reconciler) configMapInto(ctx context.Context, s original, object map[string]any) error {
	cm := &corev1.ConfigMap{}
	if err := r.Reader.Get(ctx, s.key, cm); err != nil {
		return err
	}
	whole, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.ConfigMap{Data: cm.Data, BinaryData: cm.BinaryData})
	return into(object, whole, err)
}

// secretInto refuses what would hand over more than data: tokens of accounts, and what Flotilla itself keeps in a workspace.
func (r *Reconciler) secretInto(ctx context.Context, s original, object map[string]any) error {
	secret := &corev1.Secret{}
	if err := r.Reader.Get(ctx, s.key, secret); err != nil {
		return err
	}
	if secret.Type == corev1.SecretTypeServiceAccountToken || strings.HasPrefix(string(secret.Type), fleet.LabelPrefix) {
		return fmt.Errorf("downstreamResources: Secret %s is of type %s, which is never copied", s.key.Name, secret.Type)
	}
	whole, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.Secret{Data: secret.Data, Type: secret.Type})
	return into(object, whole, err)
}

func into(object, whole map[string]any, err error) error {
	for _, field := range []string{"data", "binaryData", "type"} {
		if value, ok := whole[field]; ok {
			object[field] = value
		}
	}
	return err
}

// withCopies is the render base of a place that gets copies. What they hold is in it as a digest under the hub's secret:
// whoever reads a BundleDeployment shall not be able to guess it.
func (r *Reconciler) withCopies(base string, copies []layer.Entry) string {
	if len(copies) == 0 {
		return base
	}
	sum := sha256.Sum256([]byte(base + "\n" + r.Store.Secret().Layer(copies).ID))
	return hex.EncodeToString(sum[:])
}

// with adds the copies to what was rendered.
func (out *rendering) with(copies []layer.Entry) error {
	for _, c := range copies {
		for _, e := range out.entries {
			if e.Key == c.Key {
				return fmt.Errorf("%s comes from downstreamResources or inputs, and is an object of the bundle too; drop one of the two", c.Key)
			}
		}
		out.entries = append(out.entries, c)
	}
	return nil
}

// copied counts how often the copies of a place were made or changed, with this order.
func (r *Reconciler) copied(ctx context.Context, p *place, want *fleet.BundleDeployment) (int64, error) {
	var before []layer.Entry
	var times int64
	if p.have != nil {
		times = p.have.Spec.DownstreamResourcesGeneration
		if len(p.copies) == 0 || p.have.Spec.DeploymentID == want.Spec.DeploymentID {
			return times, nil
		}
		var err error
		if before, err = r.entries(ctx, p.have); err != nil && !content.IsLost(err) {
			return 0, err
		}
	}
	if anyNew(p.copies, before) {
		times++
	}
	return times, nil
}

// anyNew tells whether a copy is not among the objects that were there before, or differs.
func anyNew(copies, before []layer.Entry) bool {
	return slices.ContainsFunc(copies, func(c layer.Entry) bool {
		return !slices.ContainsFunc(before, func(b layer.Entry) bool { return b.Key == c.Key && b.Digest == c.Digest })
	})
}
