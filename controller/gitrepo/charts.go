package gitrepo

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	bundlereader "flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/controller/credentials"
	"flotilla.io/flotilla/controller/origin"
)

// chartPolling is how often ranges of versions are resolved anew where no pollingInterval says otherwise.
const chartPolling = 5 * time.Minute

// moving is a chart of a bundle whose version may become a newer one without a commit.
type moving struct {
	path, version string
	ref           charts.Ref
}

// ranges is what was found at the last look.
type ranges struct {
	at  time.Time
	all []moving
}

// fetchCharts brings charts from elsewhere into the bundles, and notes which of them may move.
func (r *Reconciler) fetchCharts(ctx context.Context, in *run) error {
	wants := func(f bundlereader.Found) bool { return len(f.Wanted) > 0 }
	if !slices.ContainsFunc(in.found, wants) {
		return nil
	}
	known, err := r.chartCredentials(ctx, in)
	if err != nil {
		return err
	}
	bundlereader.Fetch(ctx, in.found, func(path string) bundlereader.ChartFetcher { return r.Charts.Begin(known.For(path)) })
	for _, f := range in.found {
		for i, w := range f.Wanted {
			if w.Moving() && len(f.Resolved) > i && f.Resolved[i] != "" {
				in.moving = append(in.moving, moving{f.Path, f.Resolved[i], w.Ref})
			}
		}
	}
	return nil
}

// moved tells whether a range of versions means another one than when the commit was read. Who cannot tell is asked again by a
// whole reading, which says what is wrong.
func (r *Reconciler) moved(ctx context.Context, in *run) bool {
	key := client.ObjectKeyFromObject(in.repo)
	r.mu.Lock()
	have, every := r.ranges[key], chartPolling
	r.mu.Unlock()
	if in.repo.Spec.PollingInterval != nil {
		every = polling(in.repo)
	}
	if len(have.all) == 0 || in.repo.Spec.DisablePolling || time.Since(have.at) < every {
		return false
	}
	known, err := r.chartCredentials(ctx, in)
	if err != nil {
		return true
	}
	for _, m := range have.all {
		version, err := r.Charts.Begin(known.For(m.path)).Version(ctx, m.ref)
		if err != nil || version != m.version {
			return true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ranges[key] = ranges{time.Now(), have.all}
	return false
}

// chartCredentials are those of the Secrets that the GitRepo names.
func (r *Reconciler) chartCredentials(ctx context.Context, in *run) (*charts.Credentials, error) {
	spec, namespace := &in.asked.Spec, in.repo.Namespace
	var all charts.Auth
	var byPath map[string]charts.Auth
	switch {
	case spec.HelmSecretNameForPaths != "":
		secret, err := r.secret(ctx, namespace, spec.HelmSecretNameForPaths, "helmSecretNameForPaths")
		if err != nil {
			return nil, err
		}
		if byPath, err = charts.ParseByPath(secret.Data["secrets-path.yaml"]); err != nil {
			return nil, origin.Fail("AuthFailed", fmt.Errorf("reading key secrets-path.yaml of Secret %s/%s that spec.helmSecretNameForPaths names: %w", namespace, secret.Name, err))
		}
	case spec.HelmSecretName != "":
		secret, err := r.secret(ctx, namespace, spec.HelmSecretName, "helmSecretName")
		if err != nil {
			return nil, err
		}
		all = credentials.Charts(secret)
	}
	if len(all.CABundle) == 0 {
		all.CABundle = spec.CABundle
	}
	known, err := charts.NewCredentials(all, byPath, spec.HelmRepoURLRegex)
	if err != nil {
		return nil, origin.Fail("Invalid", fmt.Errorf("spec.%w", err))
	}
	return known, nil
}

func (r *Reconciler) secret(ctx context.Context, namespace, name, field string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		return nil, origin.Fail("AuthFailed", fmt.Errorf("reading Secret %s/%s that spec.%s names: %w", namespace, name, field, err))
	}
	return secret, nil
}

// resolvedCharts tells of a bundle's charts which versions they are: "web 1.2.3, redis 17.0.1".
func resolvedCharts(f *bundlereader.Found) (text string) {
	for i, w := range f.Wanted {
		if i > 0 {
			text += ", "
		}
		text += charts.Ref{Repo: w.Repo, Chart: w.Chart, Version: f.Resolved[i]}.String()
	}
	return fleet.Clip(text, fleet.MessageBytes)
}
