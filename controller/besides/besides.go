// Package besides keeps the hub's controller from working while Rancher Fleet's own controllers do: both would write the
// same Bundles and BundleDeployments, and Fleet's would read absence as deletion.
//
// The controller waits before it starts anything, and ends when Fleet's are started later; started anew, it waits.
package besides

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// programs are Fleet's controllers, by the label app of their Deployments' Pods. A shard's Deployment has a name of its own.
var programs = []string{"fleet-controller", "gitjob", "helmops"}

// look is the time between two looks while it waits.
const look = 2 * time.Second

// ByObject is how the manager's cache should keep what this package watches.
func ByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: {Namespaces: map[string]cache.Config{fleet.SystemNamespace: {}}},
	}
}

// Wait returns when none of Fleet's controllers runs, or when ctx ends. It says what it waits for in the log, and in an event
// on the Deployment.
func Wait(ctx context.Context, live client.Reader, recorder events.EventRecorder, log logr.Logger) error {
	for said := ""; ; {
		running, err := find(ctx, live)
		if err != nil {
			return err
		}
		if len(running) == 0 {
			return nil
		}
		if message := explain(running); message != said {
			said = message
			log.Info(message)
			recorder.Eventf(&running[0], nil, corev1.EventTypeWarning, fleet.ReasonFleetRuns, "Wait", "%s", message)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

// Setup ends the manager when one of Fleet's controllers is started.
func Setup(mgr ctrl.Manager) error {
	appeared := make(chan string, 1)
	err := ctrl.NewControllerManagedBy(mgr).Named("fleet-runs").For(&appsv1.Deployment{}).
		Complete(reconcile.Func(func(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
			running, err := find(ctx, mgr.GetClient())
			if err == nil && len(running) > 0 {
				select {
				case appeared <- explain(running):
				default:
				}
			}
			return ctrl.Result{}, err
		}))
	if err != nil {
		return err
	}
	return mgr.Add(watch(appeared))
}

// watch ends the manager with what it hears.
type watch chan string

// NeedLeaderElection is false: a replica that waits for the lease must not take it either.
func (watch) NeedLeaderElection() bool { return false }

// Start waits.
func (w watch) Start(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case message := <-w:
		return errors.New(message)
	}
}

// find lists Fleet's controllers that run or are about to, by name.
func find(ctx context.Context, c client.Reader) ([]appsv1.Deployment, error) {
	list := &appsv1.DeploymentList{}
	if err := c.List(ctx, list, client.InNamespace(fleet.SystemNamespace)); err != nil {
		return nil, fmt.Errorf("looking whether Rancher Fleet's controllers run: %w", err)
	}
	running := slices.DeleteFunc(list.Items, func(d appsv1.Deployment) bool {
		ours := !slices.Contains(programs, d.Spec.Template.Labels["app"])
		return ours || d.Spec.Replicas != nil && *d.Spec.Replicas == 0 && d.Status.Replicas == 0
	})
	slices.SortFunc(running, func(a, b appsv1.Deployment) int { return strings.Compare(a.Name, b.Name) })
	return running, nil
}

func explain(running []appsv1.Deployment) string {
	var names []string
	for _, d := range running {
		names = append(names, d.Name)
	}
	all := strings.Join(names, " ")
	return fmt.Sprintf("Rancher Fleet's controllers run on this hub (%s), and two would write the same objects: nothing is done here until they are off "+
		"(kubectl -n %s scale deployment %s --replicas=0; docs/migrate-from-fleet.md)", strings.Join(names, ", "), fleet.SystemNamespace, all)
}
