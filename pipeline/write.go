package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/controller/values"
)

// maxBundle is what fits into etcd with its default limit of 1.5 MiB for a request, and leaves room for the status.
const maxBundle = 1_250_000

// Hub writes Bundles to a hub.
type Hub struct {
	Client client.Client
	Out    io.Writer // what was done, a line for each Bundle
	AtOnce int       // how many Bundles are written at a time
}

// Write brings the Bundles to the hub. Those that a source made are left to it, and a Bundle that is as wanted is not written.
// Errors stop one Bundle each.
func (h Hub) Write(ctx context.Context, bundles []*fleet.Bundle) []error {
	var mu sync.Mutex
	var failed []error
	var group errgroup.Group
	group.SetLimit(max(h.AtOnce, 1))
	for _, b := range bundles {
		group.Go(func() error {
			done, err := h.write(ctx, b.DeepCopy())
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("bundle %s/%s: %w", b.Namespace, b.Name, err))
			} else {
				h.say(b, done)
			}
			return nil
		})
	}
	_ = group.Wait()
	slices.SortFunc(failed, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return failed
}

func (h Hub) say(b *fleet.Bundle, done string) {
	fmt.Fprintf(h.Out, "%s (bundle): %s/%s\n", done, b.Namespace, b.Name)
}

func (h Hub) write(ctx context.Context, b *fleet.Bundle) (string, error) {
	if err := fits(b); err != nil {
		return "", err
	}
	old := &fleet.Bundle{}
	err := h.Client.Get(ctx, client.ObjectKeyFromObject(b), old)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return "", err
	}
	if !missing {
		if err := h.mayWrite(ctx, old); err != nil {
			return "", err
		}
	}
	secret, err := values.Extract(b)
	if err != nil {
		return "", err
	}
	if err := b.Spec.AsStored(); err != nil {
		return "", err
	}
	if err := secret.Write(ctx, h.Client, h.Client, b); err != nil {
		return "", fmt.Errorf("writing its values: %w", err)
	}
	if missing {
		return "created", h.Client.Create(ctx, b)
	}
	now := old.DeepCopy()
	now.Spec, now.Labels = b.Spec, b.Labels
	now.Annotations = maps.Clone(old.Annotations)
	if now.Annotations == nil {
		now.Annotations = map[string]string{}
	}
	maps.Copy(now.Annotations, b.Annotations) // others are a person's: a hold, an approval
	if equality.Semantic.DeepEqual(old.Spec, now.Spec) && maps.Equal(old.Labels, now.Labels) && maps.Equal(old.Annotations, now.Annotations) {
		return "unchanged", nil
	}
	return "updated", h.Client.Patch(ctx, now, client.MergeFrom(old))
}

// mayWrite refuses Bundles that are going, and those that a source on the hub makes: it would write over ours.
func (h Hub) mayWrite(ctx context.Context, old *fleet.Bundle) error {
	if !old.DeletionTimestamp.IsZero() {
		return errors.New("it is being deleted; apply it again when it is gone")
	}
	if name := old.Labels[fleet.HelmOpLabel]; name != "" || old.Spec.HelmOpOptions != nil {
		return fmt.Errorf("HelmOp %s makes it; give this one another name", cmp.Or(name, old.Name))
	}
	name := old.Labels[fleet.RepoLabel]
	made, err := h.hasGitRepo(ctx, old.Namespace, name)
	if made {
		return fmt.Errorf("GitRepo %s makes it; give this one another name, or change it in Git", name)
	}
	return err
}

func (h Hub) hasGitRepo(ctx context.Context, namespace, name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	err := h.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &fleet.GitRepo{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Prune deletes the Bundles that carry the name as their repository's and are not among those given. While a GitRepo of that
// name exists, they are its own, and nothing is deleted.
func (h Hub) Prune(ctx context.Context, namespace, name string, bundles []*fleet.Bundle) error {
	list := &fleet.BundleList{}
	if err := h.Client.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{fleet.RepoLabel: name}); err != nil {
		return fmt.Errorf("listing the bundles of %s: %w", name, err)
	}
	if made, err := h.hasGitRepo(ctx, namespace, name); err != nil || made {
		return err
	}
	for i := range list.Items {
		b := &list.Items[i]
		if !b.DeletionTimestamp.IsZero() || slices.ContainsFunc(bundles, func(f *fleet.Bundle) bool { return f.Name == b.Name }) {
			continue
		}
		if err := h.Client.Delete(ctx, b, client.Preconditions{UID: &b.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting bundle %s/%s, which is not at the paths any more: %w", namespace, b.Name, err)
		}
		h.say(b, "deleted")
	}
	return nil
}

// fits refuses a Bundle that the hub could not store, and names what is large in it.
func fits(b *fleet.Bundle) error {
	data, err := json.Marshal(b)
	if err != nil || len(data) <= maxBundle {
		return err
	}
	files := slices.Clone(b.Spec.Resources)
	slices.SortStableFunc(files, func(a, b fleet.BundleResource) int { return cmp.Compare(len(b.Content), len(a.Content)) })
	var largest []string
	for _, f := range files[:min(len(files), 3)] {
		largest = append(largest, fmt.Sprintf("%s (%d KB)", f.Name, len(f.Content)/1000))
	}
	return fmt.Errorf("it has %d KB with its files compressed, and the hub can store %d; the largest files are %s. "+
		"Leave some out with .fleetignore, or let a GitRepo deploy it, for which there is no such limit",
		len(data)/1000, maxBundle/1000, strings.Join(largest, ", "))
}
