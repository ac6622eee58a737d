package status

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// existing holds the names of GitRepos and HelmOps that exist.
type existing struct {
	client.Reader
	gitRepos, helmOps []client.ObjectKey
}

func (e existing) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	names := e.gitRepos
	if _, ok := obj.(*fleet.HelmOp); ok {
		names = e.helmOps
	}
	for _, name := range names {
		if name == key {
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func TestAClusterCountsItsSources(t *testing.T) {
	reader := existing{gitRepos: []client.ObjectKey{{Namespace: "ws", Name: "apps"}}, helmOps: []client.ObjectKey{{Namespace: "ws", Name: "redis"}}}
	from := func(namespace, label, name string) *fleet.BundleDeployment {
		bd := &fleet.BundleDeployment{}
		bd.Labels = map[string]string{fleet.BundleNamespaceLabel: namespace, label: name}
		return bd
	}
	type deployed struct {
		bd    *fleet.BundleDeployment
		ready bool
	}
	apps, redis := from("ws", fleet.RepoLabel, "apps"), from("ws", fleet.HelmOpLabel, "redis")
	for _, row := range []struct {
		rule                                 string
		list                                 []deployed
		ready, gitRepos, readyHelms, helmOps int
	}{
		{"a GitRepo with any ready deployment is ready", []deployed{{apps, false}, {apps, true}, {apps, false}}, 1, 1, 0, 0},
		{"one without is not", []deployed{{apps, false}}, 0, 1, 0, 0},
		{"one that was deleted does not count", []deployed{{from("ws", fleet.RepoLabel, "gone"), true}}, 0, 0, 0, 0},
		{"one of the same name in another workspace is another", []deployed{{from("other", fleet.RepoLabel, "apps"), true}}, 0, 0, 0, 0},
		{"a HelmOp counts apart", []deployed{{apps, false}, {redis, true}}, 0, 1, 1, 1},
		{"a bundle of neither counts for none", []deployed{{from("ws", fleet.RepoLabel, ""), true}}, 0, 0, 0, 0},
	} {
		t.Run(row.rule, func(t *testing.T) {
			of := sources{}
			for _, d := range row.list {
				of.add(d.bd, d.ready)
			}
			ready, gitRepos := of.count(t.Context(), reader, &fleet.GitRepo{})
			readyHelms, helmOps := of.count(t.Context(), reader, &fleet.HelmOp{})
			if ready != row.ready || gitRepos != row.gitRepos || readyHelms != row.readyHelms || helmOps != row.helmOps {
				t.Errorf("GitRepos %d/%d, HelmOps %d/%d", ready, gitRepos, readyHelms, helmOps)
			}
		})
	}
}

func TestARollUpThatTakesLongRestsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := 10 * time.Millisecond
		runs := 0
		rollUp := resting(func(context.Context, ctrl.Request) (ctrl.Result, error) {
			runs++
			time.Sleep(takes)
			return ctrl.Result{}, nil
		})
		again := func() time.Duration {
			result, _ := rollUp(t.Context(), ctrl.Request{})
			return result.RequeueAfter
		}
		again()
		if wait := again(); wait != 0 || runs != 2 {
			t.Errorf("a short one waits %s", wait)
		}
		takes = time.Second
		again()
		if wait := again(); wait != 9*time.Second || runs != 3 {
			t.Errorf("one of a second waits %s after %d runs, want 9 s", wait, runs)
		}
		time.Sleep(9 * time.Second)
		if wait := again(); wait != 0 || runs != 4 {
			t.Errorf("after its rest it waits %s", wait)
		}
	})
}
