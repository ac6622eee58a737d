package helmop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/controller/credentials"
	"flotilla.io/flotilla/controller/origin"
	"flotilla.io/flotilla/controller/policy"
)

// pins are what a Bundle was made from.
type pins struct {
	// Versions by what is asked for: "repo chart range".
	Versions map[string]string `json:"versions"`
	// Sync is spec.forceSyncGeneration: another one has charts fetched again, also at versions that are pinned.
	Sync int64 `json:"sync,omitempty"`
}

// pinsAnnotation holds pins, in JSON.
const pinsAnnotation = "flotilla.io/pinned-charts"

func pinKey(ref charts.Ref) string { return ref.Repo + " " + ref.Chart + " " + ref.Version }

func pinsOf(b *fleet.Bundle) (p pins) {
	if b != nil {
		_ = json.Unmarshal([]byte(b.Annotations[pinsAnnotation]), &p) // what cannot be read is resolved anew
	}
	return p
}

// accept refuses what the rules of the workspace do not allow, and what is no chart; then it reads the credentials.
func (r *Reconciler) accept(ctx context.Context, in *run) error {
	rules, err := policy.Load(ctx, r.Client, in.op.Namespace)
	if err != nil {
		return err
	}
	if in.asked, err = rules.HelmOp(in.op); err != nil {
		return origin.Fail(fleet.ReasonForbidden, err)
	}
	if err := check(&in.op.Spec); err != nil {
		return origin.Fail(fleet.ReasonInvalid, err)
	}
	have := &fleet.Bundle{}
	err = r.Client.Get(ctx, client.ObjectKeyFromObject(in.op), have)
	switch {
	case err == nil:
		if have.Labels[fleet.HelmOpLabel] != in.op.Name {
			return origin.Fail(fleet.ReasonNameTaken, fmt.Errorf("bundle %s is there already and not of this HelmOp; give the HelmOp another name", in.op.Name))
		}
		if !have.DeletionTimestamp.IsZero() {
			return origin.Fail(fleet.ReasonError, fmt.Errorf("bundle %s of an earlier deployment is still being taken away; it is made again after that", in.op.Name))
		}
		in.have = have
	case !apierrors.IsNotFound(err):
		return err
	}
	auth, err := r.auth(ctx, in)
	if err != nil {
		return err
	}
	in.session = r.Charts.Begin(auth)
	return nil
}

// check holds a HelmOp to the forms that Fleet takes, and says which field is wrong.
func check(spec *fleet.HelmOpSpec) error {
	if spec.Helm == nil {
		return errors.New("spec.helm is empty: name a chart")
	}
	repo, chart := strings.ToLower(spec.Helm.Repo), strings.ToLower(spec.Helm.Chart)
	switch {
	case strings.HasSuffix(chart, ".tgz") && repo != "":
		return errors.New("spec.helm.repo: a chart that is an archive has no repository; leave it empty")
	case strings.HasSuffix(chart, ".tgz") && spec.Helm.Version != "":
		return errors.New("spec.helm.version: a chart that is an archive is of one version; leave it empty")
	case strings.HasPrefix(repo, "oci://"), strings.HasSuffix(chart, ".tgz"), strings.HasPrefix(chart, "oci://"):
	case chart == "":
		return errors.New("spec.helm.chart is empty: name a chart of spec.helm.repo")
	case repo == "":
		return errors.New("spec.helm.repo is empty: name the repository of the chart, https:// or oci://")
	}
	return nil
}

// auth gives the credentials to the repositories that the spec names, and to no other that a chart leads to.
func (r *Reconciler) auth(ctx context.Context, in *run) (func(string) charts.Auth, error) {
	spec := &in.asked.Spec
	var auth charts.Auth
	if name := spec.HelmSecretName; name != "" {
		secret := &corev1.Secret{}
		if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: in.op.Namespace, Name: name}, secret); err != nil {
			return nil, origin.Fail(source.AuthFailed, fmt.Errorf("reading Secret %s/%s that spec.helmSecretName names: %w", in.op.Namespace, name, err))
		}
		auth = credentials.Charts(secret)
	}
	auth.Insecure = auth.Insecure || spec.InsecureSkipTLSverify
	ours := map[string]bool{}
	for _, ref := range refs(spec) {
		if ours[ref.Repo] = true; ref.Repo == "" {
			ours[ref.Chart] = true
		}
	}
	return func(url string) charts.Auth {
		if ours[url] {
			return auth
		}
		none := charts.Auth{}
		none.CABundle = auth.CABundle
		return none
	}, nil
}

// refs are the charts that a HelmOp asks for: its own, and what its targets make of it.
func refs(spec *fleet.HelmOpSpec) []charts.Ref {
	out := []charts.Ref{{Repo: spec.Helm.Repo, Chart: spec.Helm.Chart, Version: spec.Helm.Version}}
	for i := range spec.Targets {
		if helm := spec.Targets[i].Helm; overrides(helm) {
			out = append(out, over(out[0], helm))
		}
	}
	return out
}

func overrides(helm *fleet.HelmOptions) bool {
	return helm != nil && (helm.Repo != "" || helm.Chart != "" || helm.Version != "")
}

func over(ref charts.Ref, helm *fleet.HelmOptions) charts.Ref {
	for _, field := range []struct {
		value *string
		by    string
	}{{&ref.Repo, helm.Repo}, {&ref.Chart, helm.Chart}, {&ref.Version, helm.Version}} {
		if field.by != "" {
			*field.value = field.by
		}
	}
	return ref
}

// resolve finds the versions to deploy. What is pinned stays until it is time to poll, and when polling fails.
func (r *Reconciler) resolve(ctx context.Context, in *run) error {
	before := pinsOf(in.have)
	in.pins = pins{map[string]string{}, in.op.Spec.ForceSyncGeneration}
	in.fresh = in.have == nil || in.have.Spec.ContentsID == "" || origin.FilesLost(in.have) || before.Sync != in.pins.Sync
	in.polls = r.timeToPoll(in)
	for _, ref := range refs(&in.asked.Spec) {
		pinned, known := before.Versions[pinKey(ref)]
		version := pinned
		if !known || ref.Moving() && in.polls {
			found, err := in.session.Version(ctx, ref)
			switch {
			case err == nil:
				version = found
			case known:
				in.polled = origin.FromSource(err)
			default:
				return origin.FromSource(err)
			}
		}
		in.pins.Versions[pinKey(ref)] = version
		in.fresh = in.fresh || !known || version != pinned
	}
	in.version = in.pins.Versions[pinKey(refs(&in.asked.Spec)[0])]
	return nil
}

// timeToPoll tells whether repositories are to be asked now, and notes that they are.
func (r *Reconciler) timeToPoll(in *run) bool {
	every := polling(&in.op.Spec)
	if every == 0 {
		return false
	}
	key := client.ObjectKeyFromObject(in.op)
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.polled[key]; ok && time.Since(last) < every*9/10 { // a little early is no other poll
		return false
	}
	r.polled[key] = time.Now()
	return true
}
