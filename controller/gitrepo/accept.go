package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	gitsource "flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/controller/origin"
	"flotilla.io/flotilla/controller/policy"
)

// errUnchanged ends a walk early: the source is where it was.
var errUnchanged = errors.New("unchanged")

// accept refuses what the rules of the workspace do not allow, and what this version does not serve and would get wrong, and
// reads the credentials. Nothing is asked of anybody before.
func (r *Reconciler) accept(ctx context.Context, in *run) error {
	rules, err := policy.Load(ctx, r.Client, in.repo.Namespace)
	if err != nil {
		return err
	}
	if in.asked, err = rules.GitRepo(in.repo); err != nil {
		return origin.Fail(fleet.ReasonForbidden, err)
	}
	for _, n := range target.NotServedGitRepo(&in.repo.Spec) {
		if n.Blocks {
			return origin.Fail(fleet.ConditionNotServed, fmt.Errorf("%s is not served yet: %s", n.Field, n.Why))
		}
		in.ignored = append(in.ignored, fmt.Sprintf("%s is not served yet: %s", n.Field, n.Why))
	}
	auth, err := r.auth(ctx, in.repo.Namespace, &in.asked.Spec)
	if err != nil {
		return err
	}
	in.request = gitsource.Request{URL: in.repo.Spec.Repo, Branch: in.repo.Spec.Branch, Revision: in.repo.Spec.Revision, Auth: auth}
	return nil
}

func short(commit string) string { return commit[:min(len(commit), 7)] }

func pathsOf(repo *fleet.GitRepo) string {
	if len(repo.Spec.Paths) == 0 {
		return "/"
	}
	return strings.Join(repo.Spec.Paths, ", ")
}

func boolStatus(b bool) corev1.ConditionStatus {
	if b {
		return "True"
	}
	return "False"
}

func reasonIf(b bool, reason string) string {
	if b {
		return reason
	}
	return ""
}

// oneLine is an error as a condition shows it: kubectl cuts a message at its first line.
func oneLine(err error) string { return strings.Join(strings.Split(err.Error(), "\n"), "; ") }

// joinFirst joins the first n sentences and counts the rest.
func joinFirst(in []string, n int) string {
	if len(in) <= n {
		return strings.Join(in, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(in[:n], "; "), len(in)-n)
}
