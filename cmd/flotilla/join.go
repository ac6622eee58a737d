package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent/register"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
	"flotilla.io/flotilla/embedded"
	"flotilla.io/flotilla/install"
)

// joinOptions are the flags of join.
type joinOptions struct {
	hub, cluster           connection
	token, workspace, name string
	clientID               string
	labels                 map[string]string
	values                 []string
	local                  bool
}

func joinCommand() *cobra.Command {
	var o joinOptions
	cmd := &cobra.Command{
		Use: "join --token NAME", Short: "Join a cluster to the fleet", Args: cobra.NoArgs,
		Long: "Join installs the agent on a cluster, with a registration token that exists on the hub, and waits until it has joined.\n" +
			"It is for a person who can reach both; otherwise install the chart flotilla-agent with the values of the token's Secret.",
		Example: "  flotilla join --token edge --hub-context hub --context edge-7 --label env=production",
		RunE:    func(cmd *cobra.Command, _ []string) error { return join(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	o.hub.flags(cmd, "hub-", "the hub")
	o.cluster.flags(cmd, "", "the cluster that joins")
	f := cmd.Flags()
	f.StringVar(&o.token, "token", "", "the ClusterRegistrationToken on the hub (required)")
	f.StringVarP(&o.workspace, "namespace", "n", fleet.DefaultWorkspace, "the workspace of the token")
	f.StringVar(&o.name, "name", "", "the cluster's name on the hub; by default a hash of its identity")
	f.StringVar(&o.clientID, "client-id", "", "spec.clientID of the Cluster that it already is on the hub; by default what Fleet's agent was given, or its identity")
	f.StringToStringVar(&o.labels, "label", nil, "a label of the cluster on the hub, key=value; may be repeated")
	f.StringArrayVarP(&o.values, "values", "f", nil, "file with values of the chart flotilla-agent besides, such as image or proxy; may be repeated")
	f.BoolVar(&o.local, "local", false, "run the agent here, until Ctrl-C, instead of as a Deployment on the cluster")
	if err := cmd.MarkFlagRequired("token"); err != nil {
		panic(err) // the flag stands three lines above
	}
	return cmd
}

func join(ctx context.Context, out io.Writer, o joinOptions) error {
	_, hub, err := embedded.Connect(o.hub.kubeconfig, o.hub.context)
	if err != nil {
		return err
	}
	cfg, cluster, err := embedded.Connect(o.cluster.kubeconfig, o.cluster.context)
	if err != nil {
		return err
	}
	values, err := joinValues(ctx, hub, o)
	if err != nil {
		return err
	}
	began := time.Now().Add(-time.Second)
	if !o.local {
		to, err := install.NewTarget(cfg)
		if err != nil {
			return err
		}
		if err := to.Agent(ctx, values, true); err != nil {
			return err
		}
		if name := joinedAs(ctx, cluster, values["token"]); name != "" {
			fmt.Fprintf(out, "the agent is installed; it had joined with this token before, as cluster %s/%s\n", o.workspace, name)
			return nil
		}
		fmt.Fprintln(out, "the agent is installed; waiting until it has joined")
		return awaitJoined(ctx, out, hub, o, began)
	}
	return joinLocal(ctx, out, hub, cfg, o, values, began)
}

// joinValues are the token's values, then those of the files, and what flags say over them.
func joinValues(ctx context.Context, hub client.Client, o joinOptions) (map[string]any, error) {
	values, err := embedded.TokenValues(ctx, hub, o.workspace, o.token)
	if err != nil {
		return nil, err
	}
	for _, file := range o.values {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		more := map[string]any{}
		if err := yaml.Unmarshal(data, &more); err != nil {
			return nil, fmt.Errorf("reading --values %s: %w", file, err)
		}
		values = target.MergeValues(values, more)
	}
	if o.name != "" {
		values["clusterName"] = o.name
	}
	if o.clientID != "" {
		values["clientID"] = o.clientID
	}
	labels := map[string]any{}
	for k, v := range o.labels {
		labels[k] = v
	}
	if len(labels) > 0 || values["labels"] == nil {
		values["labels"] = labels
	}
	return values, nil
}

// joinedAs is the name under which a cluster has joined with a token already; "" if it has not.
func joinedAs(ctx context.Context, cluster client.Client, token any) string {
	identity := &corev1.Secret{}
	err := cluster.Get(ctx, client.ObjectKey{Namespace: fleet.SystemNamespace, Name: register.IdentitySecret}, identity)
	if text, ok := token.(string); err != nil || !ok || !register.JoinedWith(identity, text) {
		return ""
	}
	return string(identity.Data["clusterName"])
}

// joinLocal runs the agent beside the cluster until ctx ends.
func joinLocal(ctx context.Context, out io.Writer, hub client.Client, cfg *rest.Config, o joinOptions, values map[string]any, began time.Time) error {
	dir, err := os.MkdirTemp("", "flotilla-agent-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	agent, err := embedded.StartAgent(ctx, cfg, "", filepath.Join(dir, "agent"), values)
	if err != nil {
		return err
	}
	defer agent.Process.Stop()
	if err := awaitJoined(ctx, out, hub, o, began); err != nil {
		if log, readErr := os.ReadFile(agent.LogPath()); readErr == nil {
			fmt.Fprintf(out, "the agent's log:\n%s", log)
		}
		return err
	}
	fmt.Fprintln(out, "the agent runs here; Ctrl-C stops it, and the cluster keeps what it has")
	return agent.Process.Wait(ctx)
}

// joinPatience is how long join waits for the hub's word.
const joinPatience = 2 * time.Minute

// awaitJoined follows the registrations made with the token since began until one is granted or refused.
func awaitJoined(ctx context.Context, out io.Writer, hub client.Client, o joinOptions, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	said := ""
	for {
		list := &fleet.ClusterRegistrationList{}
		err := hub.List(ctx, list, client.InNamespace(o.workspace), client.MatchingLabels{fleet.RegistrationTokenLabel: o.token})
		if err != nil {
			return fmt.Errorf("reading the registrations on the hub: %w", err)
		}
		for i := range list.Items {
			reg := &list.Items[i]
			if reg.CreationTimestamp.Time.Before(began.Truncate(time.Second)) || o.name != "" && reg.Spec.ClusterName != o.name {
				continue
			}
			if reg.Status.Granted {
				fmt.Fprintf(out, "joined as cluster %s/%s\n", o.workspace, reg.Status.ClusterName)
				return nil
			}
			if word := refusal(reg); word != "" && word != said {
				said = word
				fmt.Fprintf(out, "registration %s: %s\n", reg.Name, word)
				if !strings.HasPrefix(word, fleet.ReasonAwaitingApproval) {
					return fmt.Errorf("the hub refused the cluster: %s", word)
				}
				fmt.Fprintf(out, "`flotilla approve registration/%s -n %s` lets it in\n", reg.Name, o.workspace)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster has not joined within %s: the agent's log says why (kubectl -n %s logs deploy/flotilla-agent)", joinPatience, fleet.SystemNamespace)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func refusal(reg *fleet.ClusterRegistration) string {
	c := fleet.Condition(reg.Status.Conditions, fleet.ConditionGranted)
	if c == nil || c.Status == "True" || c.Reason == "" {
		return ""
	}
	return c.Reason + ": " + c.Message
}
