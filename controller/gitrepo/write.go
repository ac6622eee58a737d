package gitrepo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	bundlereader "flotilla.io/flotilla/bundle/reader"
	gitsource "flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/origin"
	"flotilla.io/flotilla/controller/status"
	"flotilla.io/flotilla/controller/values"
)

const (
	// writtenAnnotation is the hash of the spec as this reconciler wrote it: another hash means that somebody edited it.
	writtenAnnotation = "flotilla.io/written"
	// AuthorAnnotation and SubjectAnnotation tell who changed a Bundle last, and with which words.
	AuthorAnnotation  = "flotilla.io/commit-author"
	SubjectAnnotation = "flotilla.io/commit-subject"
)

// write brings the Bundles to what was found: new ones first and then changed ones, so that an object that moves from
// one bundle to another is wanted by its new one before the old one lets go.
func (r *Reconciler) write(ctx context.Context, in *run) error {
	have, err := r.bundlesOf(ctx, in.repo)
	if err != nil {
		return err
	}
	in.walk = r.number(in.repo)
	for i := range have {
		in.written = max(in.written, walkOf(&have[i]))
	}
	var changed []func() error
	for i := range in.found {
		f := &in.found[i]
		old := existing(have, f)
		if f.Err != nil {
			if err := r.markBroken(ctx, in, old, f.Err); err != nil {
				return err
			}
			continue
		}
		if old == nil {
			if err := r.create(ctx, in, f); err != nil {
				return err
			}
			continue
		}
		changed = append(changed, func() error { return r.update(ctx, in, f, old) })
	}
	for _, update := range changed {
		if err := update(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) create(ctx context.Context, in *run, f *bundlereader.Found) error {
	b, secret, err := r.desired(ctx, in, f, "")
	if err != nil {
		return err
	}
	r.stampCommit(ctx, in, f, b, "")
	if err := secret.Write(ctx, r.Client, r.Reader, b); err != nil {
		return fmt.Errorf("writing the values Secret of bundle %s: %w", b.Name, err)
	}
	in.mark(b)
	err = r.Client.Create(ctx, b)
	if apierrors.IsAlreadyExists(err) {
		return r.explainTaken(ctx, in, b)
	}
	if err == nil {
		in.written = in.walk
	}
	return err
}

// mark gives a Bundle that is about to be written the number of this reading, so that who depends on others of its Bundles waits
// until all of them are written.
func (in *run) mark(b *fleet.Bundle) {
	b.Annotations[fleet.WalkAnnotation] = strconv.FormatInt(in.walk, 10)
}

func walkOf(b *fleet.Bundle) int64 {
	walk, _ := strconv.ParseInt(b.Annotations[fleet.WalkAnnotation], 10, 64) // 0 where nobody wrote one
	return walk
}

// explainTaken says who has the name: a Bundle of somebody else is never written over; one on its way out is waited for.
func (r *Reconciler) explainTaken(ctx context.Context, in *run, b *fleet.Bundle) error {
	old := &fleet.Bundle{}
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(b), old); err != nil {
		return err
	}
	if !old.DeletionTimestamp.IsZero() {
		in.problems = append(in.problems, fmt.Sprintf("bundle %s of an earlier deployment is still being taken away; it is made again after that", b.Name))
		return nil
	}
	owner := "a person"
	if name := old.Labels[fleet.RepoLabel]; name != "" {
		owner = "GitRepo " + name
	} else if name := old.Labels[fleet.HelmOpLabel]; name != "" {
		owner = "HelmOp " + name
	}
	in.problems = append(in.problems, fmt.Sprintf("%s: bundle name %s is taken by %s; give this one another `name:` in its fleet.yaml",
		b.Annotations[fleet.PathAnnotation], b.Name, owner))
	return nil
}

func (r *Reconciler) update(ctx context.Context, in *run, f *bundlereader.Found, old *fleet.Bundle) error {
	published := old.Spec.ContentsID
	if origin.FilesLost(old) {
		published = ""
	}
	b, secret, err := r.desired(ctx, in, f, published)
	if err != nil {
		return err
	}
	now := old.DeepCopy()
	for _, key := range []string{fleet.CommitLabel} {
		if v, ok := old.Labels[key]; ok {
			b.Labels[key] = v
		}
	}
	now.Spec, now.Labels = b.Spec, b.Labels
	now.Annotations = maps.Clone(old.Annotations)
	if now.Annotations == nil {
		now.Annotations = map[string]string{}
	}
	delete(now.Annotations, fleet.ChartsAnnotation)
	maps.Copy(now.Annotations, b.Annotations)
	if old.Spec.ContentsID != b.Spec.ContentsID || old.Spec.ValuesHash != b.Spec.ValuesHash {
		r.stampCommit(ctx, in, f, now, old.Labels[fleet.CommitLabel])
		if err := secret.Write(ctx, r.Client, r.Reader, now); err != nil {
			return fmt.Errorf("writing the values Secret of bundle %s: %w", b.Name, err)
		}
	}
	if equality.Semantic.DeepEqual(old.Spec, now.Spec) && maps.Equal(old.Labels, now.Labels) && maps.Equal(old.Annotations, now.Annotations) {
		return r.markSound(ctx, old)
	}
	in.mark(now)
	if err := r.Client.Patch(ctx, now, client.MergeFrom(old)); err != nil {
		return fmt.Errorf("writing bundle %s: %w", b.Name, err)
	}
	in.written = in.walk
	return r.markSound(ctx, now)
}

// desired is the Bundle as it should be: files sealed into Content, values moved to its Secret. have is the contentsId
// that it has.
func (r *Reconciler) desired(ctx context.Context, in *run, f *bundlereader.Found, have string) (*fleet.Bundle, *values.Secret, error) {
	b := f.Bundle.DeepCopy()
	b.Namespace = in.repo.Namespace
	ref, err := r.Store.PublishFiles(ctx, f.Files, have)
	if err != nil {
		return nil, nil, fmt.Errorf("storing the files of %s: %w", f.Path, err)
	}
	b.Spec.ContentsID = content.ID(ref)
	secret, err := values.Extract(b)
	if err != nil {
		return nil, nil, err
	}
	if b.Labels == nil {
		b.Labels = map[string]string{}
	}
	if b.Annotations == nil {
		b.Annotations = map[string]string{}
	}
	if err := b.Spec.AsStored(); err != nil {
		return nil, nil, fmt.Errorf("encoding bundle %s: %w", b.Name, err)
	}
	b.Labels[fleet.RepoLabel] = in.repo.Name
	b.Annotations[fleet.PathAnnotation] = f.Path
	if b.Annotations[fleet.ChartsAnnotation] = resolvedCharts(f); len(f.Wanted) == 0 {
		delete(b.Annotations, fleet.ChartsAnnotation)
	}
	b.Annotations[writtenAnnotation] = specHash(b)
	return b, secret, nil
}

// stampCommit names the commit that last changed the bundle's directory; when that is the one it had (a base outside
// the directory changed), the commit that was fetched.
func (r *Reconciler) stampCommit(ctx context.Context, in *run, f *bundlereader.Found, b *fleet.Bundle, had string) {
	rev := in.revision
	if last, err := gitsource.LastChanged(ctx, in.tree, f.Path); err == nil && last.Commit != had {
		rev = last
	}
	b.Labels[fleet.CommitLabel] = rev.Commit
	b.Annotations[AuthorAnnotation] = rev.Author
	b.Annotations[SubjectAnnotation] = rev.Subject
	b.Annotations[fleet.CommitTimeAnnotation] = rev.Time.UTC().Format(time.RFC3339)
}

// markBroken says on the Bundle what is wrong with its directory now; it goes on with what it had.
func (r *Reconciler) markBroken(ctx context.Context, in *run, old *fleet.Bundle, cause error) error {
	if old == nil {
		return nil
	}
	message := oneLine(cause)
	if commit := old.Labels[fleet.CommitLabel]; commit != "" {
		message = fmt.Sprintf("%s: %s; %s stays deployed", short(in.head), message, short(commit))
	}
	now := old.DeepCopy()
	return status.Patch(ctx, r.Client, now, func() {
		fleet.SetCondition(&now.Status.Conditions, status.ConditionSource, "False", reasonOf(cause), message)
	})
}

// reasonOf is what bundle/source says is wrong, where it is that.
func reasonOf(err error) string {
	var typed *gitsource.Error
	if errors.As(err, &typed) {
		return typed.Reason
	}
	return "SourceInvalid"
}

func (r *Reconciler) markSound(ctx context.Context, b *fleet.Bundle) error {
	if c := fleet.Condition(b.Status.Conditions, status.ConditionSource); c == nil || c.Status == "True" {
		return nil
	}
	now := b.DeepCopy()
	return status.Patch(ctx, r.Client, now, func() {
		fleet.SetCondition(&now.Status.Conditions, status.ConditionSource, "True", "", "")
	})
}

// prune deletes the Bundles whose directory is gone. Whose directory is broken is not gone, and while not all could be
// read, none is.
func (r *Reconciler) prune(ctx context.Context, in *run) error {
	if in.partial != nil {
		return nil
	}
	have, err := r.bundlesOf(ctx, in.repo)
	if err != nil {
		return err
	}
	names, broken := map[string]bool{}, map[string]bool{}
	for _, f := range in.found {
		names[f.Bundle.Name] = true
		if f.Err != nil {
			broken[f.Path] = true
		}
	}
	for i := range have {
		b := &have[i]
		path, known := b.Annotations[fleet.PathAnnotation]
		if names[b.Name] || broken[path] || !known && len(broken) > 0 || !b.DeletionTimestamp.IsZero() {
			continue // Fleet does not write down the path: as long as one is broken, this may be the Bundle of that
		}
		if err := r.Client.Delete(ctx, b, client.Preconditions{UID: &b.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting bundle %s: %w", b.Name, err)
		}
	}
	return nil
}

// finalize takes the Bundles of a deleted GitRepo away and waits until their clusters are done.
func (r *Reconciler) finalize(ctx context.Context, repo *fleet.GitRepo) (ctrl.Result, error) {
	have, err := r.bundlesOf(ctx, repo)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := origin.TakeAway(ctx, r.Client, have, repo.Spec.KeepResources); err != nil {
		return ctrl.Result{}, err
	}
	if len(have) > 0 {
		return ctrl.Result{RequeueAfter: 5 * time.Second}, nil // the Bundles' deletion wakes it sooner
	}
	before := repo.DeepCopy()
	if controllerutil.RemoveFinalizer(repo, fleet.GitRepoFinalizer) {
		r.forget(client.ObjectKeyFromObject(repo))
		return ctrl.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, repo, client.MergeFrom(before)))
	}
	return ctrl.Result{}, nil
}

func (r *Reconciler) bundlesOf(ctx context.Context, repo *fleet.GitRepo) ([]fleet.Bundle, error) {
	list := &fleet.BundleList{}
	err := r.Client.List(ctx, list, client.InNamespace(repo.Namespace), client.MatchingLabels{fleet.RepoLabel: repo.Name})
	return list.Items, err
}

// existing finds the Bundle of a directory: by name, or, when the directory is broken and its name unknown, by path.
func existing(have []fleet.Bundle, f *bundlereader.Found) *fleet.Bundle {
	for i := range have {
		if have[i].Name == f.Bundle.Name {
			return &have[i]
		}
	}
	if f.Err != nil {
		for i := range have {
			if have[i].Annotations[fleet.PathAnnotation] == f.Path {
				return &have[i]
			}
		}
	}
	return nil
}

func specHash(b *fleet.Bundle) string {
	data, err := json.Marshal(b.Spec)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
