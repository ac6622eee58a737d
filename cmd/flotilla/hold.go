package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/embedded"
)

// held is an object that a person can hold: fleet, workspace/NAME, bundle/NAME, cluster/NAME.
type held struct {
	scope string // as it was given
	obj   client.Object
}

// args are the arguments that name it on a command line.
func (h held) args() string {
	if ns := h.obj.GetNamespace(); ns != "" {
		return h.scope + " -n " + ns
	}
	return h.scope
}

func parseScope(arg, namespace string) (held, error) {
	kind, name, _ := strings.Cut(arg, "/")
	switch {
	case arg == "fleet":
		return held{arg, at(&corev1.Namespace{}, "", fleet.SystemNamespace)}, nil
	case kind == "workspace" && name != "":
		return held{arg, at(&corev1.Namespace{}, "", name)}, nil
	case kind == "bundle" && name != "":
		return held{arg, at(&fleet.Bundle{}, namespace, name)}, nil
	case kind == "cluster" && name != "":
		return held{arg, at(&fleet.Cluster{}, namespace, name)}, nil
	}
	return held{}, fmt.Errorf("%q is nothing that can be held: want fleet, workspace/NAME, bundle/NAME or cluster/NAME", arg)
}

func at[T client.Object](obj T, namespace, name string) T {
	obj.SetNamespace(namespace)
	obj.SetName(name)
	return obj
}

// annotate changes the annotations of an object on the hub.
func annotate(ctx context.Context, c client.Client, obj client.Object, change func(map[string]string)) error {
	if err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
		return err
	}
	before := obj.DeepCopyObject().(client.Object)
	annotations := obj.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	change(annotations)
	obj.SetAnnotations(annotations)
	return c.Patch(ctx, obj, client.MergeFrom(before))
}

// scopeCommand builds a command that does something to what can be held.
func scopeCommand(use, short string, do func(ctx context.Context, c client.Client, h held) (string, error)) *cobra.Command {
	var hub connection
	var namespace string
	cmd := &cobra.Command{
		Use: use + " fleet|workspace/NAME|bundle/NAME|cluster/NAME", Short: short, Args: cobra.ExactArgs(1),
		Example: "  flotilla " + use + " cluster/edge-7 -n fleet-default\n  flotilla " + use + " fleet",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := parseScope(args[0], namespace)
			if err != nil {
				return err
			}
			_, c, err := embedded.Connect(hub.kubeconfig, hub.context)
			if err != nil {
				return err
			}
			done, err := do(cmd.Context(), c, h)
			if err != nil {
				return fmt.Errorf("%s: %w", h.args(), err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
			return err
		},
	}
	hub.flags(cmd, "", "the hub")
	cmd.Flags().StringVarP(&namespace, "namespace", "n", fleet.DefaultWorkspace, "the workspace of the bundle or cluster")
	return cmd
}

func holdCommand() *cobra.Command {
	var reason string
	cmd := scopeCommand("hold", "Keep everything as it is: nothing is deployed or deleted, drift is healed as before",
		func(ctx context.Context, c client.Client, h held) (string, error) {
			err := annotate(ctx, c, h.obj, func(a map[string]string) { a[fleet.HoldAnnotation] = reason })
			return fmt.Sprintf("%s is held; `flotilla resume %s` ends it", h.scope, h.args()), err
		})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who find it held")
	return cmd
}

func resumeCommand() *cobra.Command {
	return scopeCommand("resume", "End a hold; for a cluster that has seen a newer hub, make what this hub wants count",
		func(ctx context.Context, c client.Client, h held) (string, error) {
			if err := annotate(ctx, c, h.obj, func(a map[string]string) { delete(a, fleet.HoldAnnotation) }); err != nil {
				return "", err
			}
			cluster, ok := h.obj.(*fleet.Cluster)
			if !ok {
				return h.scope + " moves again", nil
			}
			seen, err := newest(ctx, c, cluster)
			if err != nil || seen == 0 {
				return h.scope + " moves again", err
			}
			err = annotate(ctx, c, cluster, func(a map[string]string) { a[fleet.AcceptSequenceAnnotation] = strconv.FormatInt(seen, 10) })
			return fmt.Sprintf("%s moves again, and what this hub wants counts although the agent has seen newer", h.scope), err
		})
}

// newest is the highest sequence that the cluster's agent has seen above what the hub wrote; 0 when there is none.
func newest(ctx context.Context, c client.Client, cluster *fleet.Cluster) (int64, error) {
	list := &fleet.BundleDeploymentList{}
	if err := c.List(ctx, list, client.InNamespace(cluster.Status.Namespace)); err != nil {
		return 0, err
	}
	var seen int64
	for i := range list.Items {
		if bd := &list.Items[i]; bd.Status.ObservedSequence > bd.Spec.Sequence {
			seen = max(seen, bd.Status.ObservedSequence)
		}
	}
	return seen, nil
}

func approveCommand() *cobra.Command {
	var hub connection
	var namespace string
	cmd := &cobra.Command{
		Use: "approve bundle/NAME|registration/NAME", Args: cobra.ExactArgs(1),
		Short:   "Say yes to what waits for a person: a bundle leaving many clusters, a cluster that wants to join",
		Example: "  flotilla approve registration/request-8xkq2\n  flotilla approve bundle/shop-web -n fleet-default",
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, _ := strings.Cut(args[0], "/")
			do := approvals[kind]
			if do == nil || name == "" {
				return fmt.Errorf("%q is nothing that can be approved: want bundle/NAME or registration/NAME", args[0])
			}
			_, c, err := embedded.Connect(hub.kubeconfig, hub.context)
			if err != nil {
				return err
			}
			done, err := do(cmd.Context(), c, client.ObjectKey{Namespace: namespace, Name: name})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
			return err
		},
	}
	hub.flags(cmd, "", "the hub")
	cmd.Flags().StringVarP(&namespace, "namespace", "n", fleet.DefaultWorkspace, "the workspace")
	return cmd
}

// approvals are what a person can say yes to, by the word before the name.
var approvals = map[string]func(context.Context, client.Client, client.ObjectKey) (string, error){
	"bundle":       approveBundle,
	"registration": approveRegistration,
}

// approveBundle says yes to just the clusters that the bundle's plan names now.
func approveBundle(ctx context.Context, c client.Client, key client.ObjectKey) (string, error) {
	b := &fleet.Bundle{}
	if err := c.Get(ctx, key, b); err != nil {
		return "", fmt.Errorf("bundle %s: %w", key, err)
	}
	plan := b.Status.UnTarget
	if plan == nil {
		return "", fmt.Errorf("bundle %s has nothing that waits for approval", key)
	}
	err := annotate(ctx, c, b, func(a map[string]string) { a[fleet.ApproveAnnotation] = plan.Plan })
	return fmt.Sprintf("bundle %s may leave %d of %d clusters", key.Name, plan.Count, plan.Total), err
}

// approveRegistration lets a cluster in. What came with the request as approved is taken back first: that was not a person.
func approveRegistration(ctx context.Context, c client.Client, key client.ObjectKey) (string, error) {
	reg := &fleet.ClusterRegistration{}
	if err := c.Get(ctx, key, reg); err != nil {
		return "", fmt.Errorf("registration %s: %w", key, err)
	}
	word := fleet.Condition(reg.Status.Conditions, fleet.ConditionGranted)
	if word != nil && word.Reason != fleet.ReasonAwaitingApproval {
		return "", fmt.Errorf("registration %s has nothing that waits for approval: %s: %s", key, word.Reason, word.Message)
	}
	for _, approved := range []bool{false, true} {
		before := reg.DeepCopy()
		if reg.Spec.Approved = approved; before.Spec.Approved == approved {
			continue
		}
		if err := c.Patch(ctx, reg, client.MergeFrom(before)); err != nil {
			return "", fmt.Errorf("registration %s: %w", key, err)
		}
	}
	return fmt.Sprintf("registration %s is approved", key.Name), nil
}
