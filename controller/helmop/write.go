package helmop

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/controller/content"
	"flotilla.io/flotilla/controller/origin"
	"flotilla.io/flotilla/controller/values"
)

// write brings the Bundle to what was resolved, and fetches charts only where another version is wanted than it has.
func (r *Reconciler) write(ctx context.Context, in *run) error {
	b, err := r.desired(ctx, in)
	if err != nil {
		return err
	}
	secret, err := values.Extract(b)
	if err != nil {
		return err
	}
	if err := b.Spec.AsStored(); err != nil {
		return fmt.Errorf("encoding bundle %s: %w", b.Name, err)
	}
	if in.have == nil || in.have.Spec.ValuesHash != b.Spec.ValuesHash {
		if err := secret.Write(ctx, r.Client, r.Reader, b); err != nil {
			return fmt.Errorf("writing the values Secret of bundle %s: %w", b.Name, err)
		}
	}
	if in.have == nil {
		err := r.Client.Create(ctx, b)
		if apierrors.IsAlreadyExists(err) { // the cache is behind
			return apierrors.NewConflict(fleet.GroupVersion.WithResource("bundles").GroupResource(), b.Name, err)
		}
		return err
	}
	now := in.have.DeepCopy()
	now.Spec, now.Labels = b.Spec, b.Labels
	if now.Annotations == nil {
		now.Annotations = map[string]string{}
	}
	maps.Copy(now.Annotations, b.Annotations)
	if equality.Semantic.DeepEqual(in.have.Spec, now.Spec) && maps.Equal(in.have.Labels, now.Labels) && maps.Equal(in.have.Annotations, now.Annotations) {
		return nil
	}
	if err := r.Client.Patch(ctx, now, client.MergeFrom(in.have)); err != nil {
		return fmt.Errorf("writing bundle %s: %w", b.Name, err)
	}
	return nil
}

// desired is the Bundle as it should be, values inline, with its charts in Content.
func (r *Reconciler) desired(ctx context.Context, in *run) (*fleet.Bundle, error) {
	spec := in.asked.Spec.BundleSpec.DeepCopy()
	b := &fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Name: in.op.Name, Namespace: in.op.Namespace, Labels: map[string]string{}, Annotations: map[string]string{}}}
	maps.Copy(b.Labels, in.asked.Spec.Labels)
	b.Labels[fleet.HelmOpLabel] = in.op.Name
	pinned, err := json.Marshal(in.pins)
	if err != nil {
		return nil, err
	}
	b.Annotations[pinsAnnotation] = string(pinned)
	pin(spec, in)
	spec.Resources, spec.TargetRestrictions = nil, nil
	spec.HelmOpOptions = &fleet.BundleHelmOptions{SecretName: in.asked.Spec.HelmSecretName, InsecureSkipTLSverify: in.asked.Spec.InsecureSkipTLSverify}
	for i := range spec.Targets {
		if spec.Targets[i].Name == "" {
			spec.Targets[i].Name = fmt.Sprintf("target%03d", i)
		}
	}
	if len(spec.Targets) == 0 {
		spec.Targets = []fleet.BundleTarget{{Name: "default", ClusterGroup: fleet.DefaultClusterGroup}}
	}
	spec.ContentsID = ""
	if in.have != nil {
		spec.ContentsID = in.have.Spec.ContentsID
	}
	if in.fresh {
		if spec.ContentsID, err = r.publish(ctx, in, spec.ContentsID); err != nil {
			return nil, err
		}
	}
	b.Spec = *spec
	return b, nil
}

// pin writes versions in the place of ranges: one is deployed everywhere, whenever a cluster asks.
func pin(spec *fleet.BundleSpec, in *run) {
	own := charts.Ref{Repo: spec.Helm.Repo, Chart: spec.Helm.Chart, Version: spec.Helm.Version}
	for i := range spec.Targets {
		if helm := spec.Targets[i].Helm; overrides(helm) {
			helm.Version = pinnedRef(over(own, helm), in.pins).Version
		}
	}
	spec.Helm.Version = pinnedRef(own, in.pins).Version
}

// pinnedRef is what is asked for, at its version. An archive has none of its own.
func pinnedRef(ref charts.Ref, p pins) charts.Ref {
	if version := p.Versions[pinKey(ref)]; version != "" {
		ref.Version = version
	}
	return ref
}

// publish fetches the charts and puts their files into Content.
func (r *Reconciler) publish(ctx context.Context, in *run, had string) (string, error) {
	files := map[string][]byte{}
	all := refs(&in.asked.Spec)
	for i, ref := range all {
		at := pinnedRef(ref, in.pins)
		chart, err := in.session.Fetch(ctx, at)
		if err != nil {
			return "", origin.FromSource(err)
		}
		if i == 0 && in.version == "" {
			in.version = chart.Version
		}
		dir := reader.ChartDir(&fleet.HelmOptions{Chart: at.Chart, Repo: at.Repo, Version: at.Version})
		for name, data := range chart.Files {
			files[path.Join(dir, name)] = data
		}
	}
	size := 0
	for _, data := range files {
		size += len(data)
	}
	if size > charts.MaxChartBytes || len(files) > charts.MaxChartFiles {
		return "", origin.Fail(source.TooLarge, fmt.Errorf("the charts of all targets together have %d files and %d MiB; a bundle holds %d and %d: make HelmOps of their own of some",
			len(files), size>>20, charts.MaxChartFiles, charts.MaxChartBytes>>20))
	}
	if in.have != nil && origin.FilesLost(in.have) {
		had = ""
	}
	ref, err := r.Store.PublishFiles(ctx, files, had)
	if err != nil {
		return "", fmt.Errorf("storing the files of the chart: %w", err)
	}
	return content.ID(ref), nil
}

// finalize takes the Bundle of a deleted HelmOp away and waits until its clusters are done.
func (r *Reconciler) finalize(ctx context.Context, op *fleet.HelmOp) (ctrl.Result, error) {
	list := &fleet.BundleList{}
	if err := r.Client.List(ctx, list, client.InNamespace(op.Namespace), client.MatchingLabels{fleet.HelmOpLabel: op.Name}); err != nil {
		return ctrl.Result{}, err
	}
	if err := origin.TakeAway(ctx, r.Client, list.Items, op.Spec.KeepResources); err != nil {
		return ctrl.Result{}, err
	}
	if len(list.Items) > 0 {
		return ctrl.Result{RequeueAfter: 5 * time.Second}, nil // the Bundle's deletion wakes it sooner
	}
	before := op.DeepCopy()
	if controllerutil.RemoveFinalizer(op, fleet.HelmOpFinalizer) {
		r.mu.Lock()
		delete(r.polled, client.ObjectKeyFromObject(op))
		r.mu.Unlock()
		return ctrl.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, op, client.MergeFrom(before)))
	}
	return ctrl.Result{}, nil
}
