// Package gitrepo turns GitRepos into Bundles: fetch the wanted commit, read the directories it names, seal their files
// into Content, and write one Bundle for each.
//
// Nothing is written for what did not change, and nothing is taken away on doubt: a source that cannot be read, a
// repository that became empty, or a directory that cannot be parsed leaves its Bundles as they are and says so.
package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	bundlereader "flotilla.io/flotilla/bundle/reader"
	gitsource "flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/origin"
	"flotilla.io/flotilla/controller/policy"
	"flotilla.io/flotilla/controller/status"
)

const (
	// fetchTimeout bounds one step that waits for a server.
	fetchTimeout = 2 * time.Minute
	// workers mostly wait for servers, and a dead one takes its time: there are many, so that it delays no other GitRepo.
	workers = 256
	// transfers and readings at once: these cost memory and CPU.
	transfers, readings = 32, 8
)

// Reconciler moves GitRepos forward. All fields are set before Setup.
type Reconciler struct {
	Client  client.Client
	Reader  client.Reader // live reads, for Secrets
	Store   *content.Store
	Mirrors *gitsource.Mirrors
	Charts  *charts.Fetcher
	Events  events.EventRecorder
	// AnyHostKey has servers taken for what they say they are, over SSH.
	AnyHostKey bool
	// Pushed wakes GitRepos whose repository was pushed to.
	Pushed <-chan event.TypedGenericEvent[*fleet.GitRepo]

	mu   sync.Mutex
	read map[client.ObjectKey]string // what was last read and written whole in this process: commit and generation
	last map[client.ObjectKey]int64  // the number of the last reading
	// ranges are the versions of charts that may become newer ones without a commit.
	ranges map[client.ObjectKey]ranges
	// failed counts how often in a row a server did not answer.
	failed map[client.ObjectKey]int

	transfers, readings turns
}

// Setup registers the reconciler.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	r.read, r.last, r.ranges, r.failed = map[client.ObjectKey]string{}, map[client.ObjectKey]int64{}, map[client.ObjectKey]ranges{}, map[client.ObjectKey]int{}
	r.transfers, r.readings = make(turns, transfers), make(turns, readings)
	b := ctrl.NewControllerManagedBy(mgr).Named("gitrepo").
		For(&fleet.GitRepo{}, builder.WithPredicates(predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Watches(&fleet.Bundle{}, handler.EnqueueRequestsFromMapFunc(r.repoOf), builder.WithPredicates(origin.BundleTouched)).
		Watches(&fleet.GitRepoRestriction{}, handler.EnqueueRequestsFromMapFunc(r.reposOfWorkspace)).
		Watches(&fleet.Policy{}, handler.EnqueueRequestsFromMapFunc(r.reposOfWorkspace)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers})
	if r.Pushed != nil {
		b = b.WatchesRawSource(source.Channel(r.Pushed, &handler.TypedEnqueueRequestForObject[*fleet.GitRepo]{}))
	}
	return b.Complete(r)
}

// repoOf wakes the GitRepo of a Bundle, and has it read again: somebody changed what it wrote.
func (r *Reconciler) repoOf(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[fleet.RepoLabel]
	if name == "" {
		return nil
	}
	key := client.ObjectKey{Namespace: obj.GetNamespace(), Name: name}
	if b, ok := obj.(*fleet.Bundle); ok && !origin.FilesLost(b) && (!b.DeletionTimestamp.IsZero() || b.Annotations[writtenAnnotation] == specHash(b)) {
		return nil // our own write, or on its way out: nothing to mend yet
	}
	r.forget(key)
	return []ctrl.Request{{NamespacedName: key}}
}

// reposOfWorkspace wakes the GitRepos that the rules of a workspace concern.
func (r *Reconciler) reposOfWorkspace(ctx context.Context, obj client.Object) []ctrl.Request {
	list := &fleet.GitRepoList{}
	if err := r.Client.List(ctx, list, client.InNamespace(obj.GetNamespace())); err != nil {
		return nil
	}
	out := make([]ctrl.Request, len(list.Items))
	for i := range list.Items {
		out[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return out
}

// run is what one walk learns.
type run struct {
	repo     *fleet.GitRepo
	asked    policy.Resolved // the spec, with the defaults of the workspace
	request  gitsource.Request
	head     string
	tree     gitsource.Tree
	revision gitsource.Revision
	found    []bundlereader.Found
	walk     int64    // the number of this reading, for the Bundles that it writes
	written  int64    // the highest number that any of its Bundles bears
	partial  error    // a path could not be read: what was found goes on, and nothing counts as gone
	problems []string // what concerns single bundles; they keep their last good state
	ignored  []string // fields that have no effect yet
	moving   []moving // charts whose version may become a newer one without a commit
	idle     []string // charts and kustomizations that no bundle takes up
	end      func()   // ends what says that the reading takes long; nil before that began
}

// Reconcile looks at the source and writes what changed.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	repo := &fleet.GitRepo{}
	if err := r.Client.Get(ctx, req.NamespacedName, repo); err != nil {
		if apierrors.IsNotFound(err) {
			uncount(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	in := &run{repo: repo.DeepCopy()}
	if !repo.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, in.repo)
	}
	if controllerutil.AddFinalizer(in.repo, fleet.GitRepoFinalizer) {
		if err := r.Client.Patch(ctx, in.repo, client.MergeFrom(repo)); err != nil {
			return ctrl.Result{}, err
		}
	}
	began := time.Now()
	err := r.walk(ctx, in)
	if in.end != nil {
		in.end()
	}
	countRead(in, began, err)
	return r.finish(ctx, in, err)
}

// walk goes through the steps; each may end the walk with a failure, and then what was there stays.
func (r *Reconciler) walk(ctx context.Context, in *run) error {
	for _, step := range []step{
		r.accept,                            // what is asked -> a request to the source
		inTime(r.look),                      // branch or revision -> commit; the same as last time ends the walk
		r.announce,                          // that a commit is read, if that takes long
		r.transfers.inTurn(inTime(r.fetch)), // commit -> tree
		r.readings.inTurn(r.find),           // tree -> bundles
		inTime(r.fetchCharts),               // charts from elsewhere -> bundles
		r.judge,                             // what is wrong with single bundles
		r.protect,                           // an empty answer where bundles were is held
		r.readings.inTurn(r.write),          // bundles -> Content, Secret, Bundle
		r.prune,                             // Bundles whose directory is gone
	} {
		if err := step(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// look asks the source for the wanted commit. When nothing moved since this process last wrote everything, it is done.
func (r *Reconciler) look(ctx context.Context, in *run) error {
	began := time.Now()
	head, err := r.Mirrors.Head(ctx, in.request)
	countLook(in.repo, began, err)
	if err != nil {
		return origin.FromSource(err)
	}
	in.head = head
	if r.isRead(in) && !r.moved(ctx, in) {
		return errUnchanged
	}
	return nil
}

func (r *Reconciler) announce(ctx context.Context, in *run) error {
	in.end = r.sayWhenSlow(ctx, in)
	return nil
}

func (r *Reconciler) fetch(ctx context.Context, in *run) error {
	tree, revision, err := r.Mirrors.Fetch(ctx, in.request)
	if err != nil {
		return origin.FromSource(err)
	}
	in.tree, in.revision, in.head = tree, revision, revision.Commit
	return nil
}

func (r *Reconciler) find(_ context.Context, in *run) error {
	repo := bundlereader.Repo{Name: in.repo.Name, Namespace: in.repo.Namespace, Spec: in.asked.Spec, Labels: in.repo.Labels}
	found, err := bundlereader.Read(in.tree, repo)
	if err != nil && len(found) == 0 {
		return origin.Fail("ReadFailed", fmt.Errorf("reading %s: %w", short(in.head), err))
	}
	in.found = found
	if in.partial = err; err != nil {
		in.problems = append(in.problems, oneLine(err))
	}
	in.idle, err = bundlereader.Unclaimed(in.tree, repo, found)
	if err != nil {
		return origin.Fail("ReadFailed", err)
	}
	return nil
}

func (r *Reconciler) judge(_ context.Context, in *run) error {
	for i := range in.found {
		in.judgeOne(&in.found[i])
	}
	return nil
}

// judgeOne notes what is wrong with one bundle, or has no effect in it. What is not served and could go wrong breaks it.
func (in *run) judgeOne(f *bundlereader.Found) {
	for _, n := range f.NotServed {
		if n.Blocks && f.Err == nil {
			f.Err = fmt.Errorf("%s is not served yet: %s", n.Field, n.Why)
		} else if !n.Blocks {
			in.ignored = append(in.ignored, fmt.Sprintf("%s is not served yet: %s", n.Field, n.Why))
		}
	}
	if f.Err != nil {
		in.problems = append(in.problems, oneLine(f.Err))
	}
}

// protect holds when a repository that had bundles has none any more: most likely that is an accident.
func (r *Reconciler) protect(ctx context.Context, in *run) error {
	if len(in.found) > 0 {
		return nil
	}
	have, err := r.bundlesOf(ctx, in.repo)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		return origin.Fail("NoBundles", fmt.Errorf("commit %s has nothing to deploy at %s; add a fleet.yaml or YAML files there, or correct spec.paths",
			short(in.head), pathsOf(in.repo)))
	}
	return origin.Fail("EmptySource", fmt.Errorf("held: commit %s has no bundles at %s, where there were %d; they stay as they are. "+
		"To take them away delete the GitRepo, or its Bundles one by one", short(in.head), pathsOf(in.repo), len(have)))
}

// finish records what the walk came to and says when to look again.
func (r *Reconciler) finish(ctx context.Context, in *run, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if patchErr := r.report(ctx, in, err); patchErr != nil {
		if apierrors.IsConflict(patchErr) {
			return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
		}
		return ctrl.Result{}, patchErr
	}
	if err == nil && len(in.problems) == 0 {
		r.remember(in) // only now: a walk whose report lost a race is walked again, or what it found would never be told
	}
	misses := r.missed(client.ObjectKeyFromObject(in.repo), err)
	if in.repo.Spec.DisablePolling && (err == nil || errors.Is(err, errUnchanged)) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: nextLook(polling(in.repo), misses)}, nil
}

// report writes the conditions that this reconciler owns. Ready belongs to controller/status.
func (r *Reconciler) report(ctx context.Context, in *run, err error) error {
	cached := &fleet.GitRepo{}
	if getErr := r.Client.Get(ctx, client.ObjectKeyFromObject(in.repo), cached); getErr != nil {
		return client.IgnoreNotFound(getErr)
	}
	now := cached.DeepCopy()
	return status.Patch(ctx, r.Client, now, func() {
		if err != nil && !errors.Is(err, errUnchanged) {
			r.fail(in, now, err)
			return
		}
		r.succeed(in, now, err == nil)
	})
}

// succeed clears what was wrong with the source, and after a whole read tells what was found.
func (r *Reconciler) succeed(in *run, now *fleet.GitRepo, whole bool) {
	st := &now.Status
	if st.PollingCommit != in.head { // not at each look: one that finds nothing writes nothing
		st.LastPollingTime = metav1.Now()
	}
	st.ObservedGeneration, st.UpdateGeneration = in.repo.Generation, in.repo.Spec.ForceSyncGeneration
	st.Walk = max(st.Walk, in.written)
	st.Commit, st.PollingCommit, st.GitJobStatus = in.head, in.head, fleet.GitJobCurrent
	set(now, fleet.ConditionAccepted, "True", reasonIf(in.asked.Defaults != "", fleet.ReasonDefaulted), in.asked.Defaults)
	set(now, fleet.ConditionGitPolling, "True", "", "")
	set(now, fleet.ConditionReconciling, "False", "", "")
	if len(in.problems) > 0 {
		set(now, fleet.ConditionStalled, "True", "BundlesFailed", joinFirst(in.problems, 3)+"; what was deployed before stays")
	} else {
		set(now, fleet.ConditionStalled, "False", "", "")
	}
	if whole {
		set(now, fleet.ConditionNotServed, boolStatus(len(in.ignored) > 0), reasonIf(len(in.ignored) > 0, "Ignored"), joinFirst(in.ignored, 3))
		set(now, status.ConditionUnclaimed, boolStatus(len(in.idle) > 0), reasonIf(len(in.idle) > 0, "NoBundle"), joinFirst(in.idle, 3))
	}
}

func (r *Reconciler) fail(in *run, now *fleet.GitRepo, err error) {
	reason := "Error"
	if f, ok := err.(*origin.Failure); ok {
		reason = f.Reason
	}
	message := oneLine(err)
	if in.repo.Status.Commit != "" {
		message += fmt.Sprintf("; %s stays deployed", short(in.repo.Status.Commit))
	}
	now.Status.ObservedGeneration = in.repo.Generation
	now.Status.GitJobStatus = fleet.GitJobFailed
	if fleet.ConditionIs(now.Status.Conditions, fleet.ConditionReconciling, "True") {
		set(now, fleet.ConditionReconciling, "False", "", "")
	}
	if fleet.SetCondition(&now.Status.Conditions, fleet.ConditionStalled, "True", reason, message) {
		r.Events.Eventf(now, nil, corev1.EventTypeWarning, reason, "Fetch", "%s", message)
	}
	switch reason {
	case fleet.ReasonForbidden:
		set(now, fleet.ConditionAccepted, "False", reason, message)
		return
	case fleet.ConditionNotServed:
		set(now, fleet.ConditionAccepted, "False", reason, message)
		set(now, fleet.ConditionNotServed, "True", reason, message)
		return
	}
	set(now, fleet.ConditionGitPolling, "False", reason, message)
}

func set(repo *fleet.GitRepo, kind string, value corev1.ConditionStatus, reason, message string) {
	fleet.SetCondition(&repo.Status.Conditions, kind, value, reason, message)
}

func (r *Reconciler) isRead(in *run) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read[client.ObjectKeyFromObject(in.repo)] == stamp(in)
}

func (r *Reconciler) remember(in *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(in.repo)
	r.read[key], r.ranges[key] = stamp(in), ranges{time.Now(), in.moving}
}

// number gives a reading its number: higher than any before, also where the cache is behind.
func (r *Reconciler) number(repo *fleet.GitRepo) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(repo)
	r.last[key] = max(r.last[key], repo.Status.Walk) + 1
	return r.last[key]
}

func (r *Reconciler) forget(key client.ObjectKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.read, key)
	delete(r.ranges, key)
}

// stamp names all that Bundles are made from: the commit, and the GitRepo's spec and labels, and what the rules add to it.
func stamp(in *run) string {
	return fmt.Sprintf("%s@%d %v %s", in.head, in.repo.Generation, in.repo.Labels, in.asked.Defaults)
}
