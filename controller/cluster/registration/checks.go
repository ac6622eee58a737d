package registration

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/seal"
	"flotilla.io/flotilla/controller/cluster/token"
)

// maxName is what fits into the label that bears a cluster's name.
const maxName = 63

// clusterName is the name that a request asks for.
func clusterName(reg *fleet.ClusterRegistration) string {
	if reg.Spec.ClusterName != "" {
		return reg.Spec.ClusterName
	}
	return fleet.ClusterNameFromClientID(reg.Spec.ClientID)
}

func (r *Reconciler) wellFormed(_ context.Context, in *run) (*refusal, error) {
	spec := in.reg.Spec
	switch wrong := validation.IsDNS1123Subdomain(clusterName(in.reg)); {
	case spec.ClientID == "":
		return &refusal{fleet.ReasonInvalid, "spec.clientID is empty; it tells clusters apart"}, nil
	case len(spec.PublicKey) != 32:
		return &refusal{fleet.ReasonInvalid, fmt.Sprintf("spec.publicKey has %d bytes, want the 32 of an X25519 key; "+
			"the credential is sealed to it. Agents of Rancher Fleet send none: install Flotilla's", len(spec.PublicKey))}, nil
	case len(wrong) > 0:
		return &refusal{fleet.ReasonInvalid, fmt.Sprintf("spec.clusterName %q: %s", clusterName(in.reg), wrong[0])}, nil
	case len(clusterName(in.reg)) > maxName:
		return &refusal{fleet.ReasonInvalid, fmt.Sprintf("spec.clusterName has %d characters, %d are allowed", len(clusterName(in.reg)), maxName)}, nil
	}
	return nil, nil
}

// tokenKnown looks the token up, live since its uses are counted there, and checks that the sender was given its values.
func (r *Reconciler) tokenKnown(ctx context.Context, in *run) (*refusal, error) {
	name := in.reg.Labels[fleet.RegistrationTokenLabel]
	if name == "" {
		return &refusal{fleet.ReasonTokenUnknown, fmt.Sprintf("the request names no token in label %s", fleet.RegistrationTokenLabel)}, nil
	}
	in.token = &fleet.ClusterRegistrationToken{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: in.reg.Namespace, Name: name}, in.token)
	if apierrors.IsNotFound(err) || err == nil && !in.token.DeletionTimestamp.IsZero() {
		return &refusal{fleet.ReasonTokenUnknown, fmt.Sprintf("there is no ClusterRegistrationToken %s in namespace %s", name, in.reg.Namespace)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading registration token %s: %w", name, err)
	}
	if !request(in.reg).Proven(token.Key(r.HubSecret, in.token), in.reg.Spec.Proof) {
		return &refusal{fleet.ReasonTokenUnknown, fmt.Sprintf("spec.proof does not show that the sender holds registration token %s; "+
			"install the agent with the values of that token's secret (it may be of an earlier token of the same name)", name)}, nil
	}
	return nil, nil
}

// request is what the proof of a registration covers.
func request(reg *fleet.ClusterRegistration) seal.Request {
	return seal.Request{
		TokenName: reg.Labels[fleet.RegistrationTokenLabel], ClientID: reg.Spec.ClientID, ClientRandom: reg.Spec.ClientRandom,
		ClusterName: reg.Spec.ClusterName, PublicKey: reg.Spec.PublicKey, Labels: reg.Spec.ClusterLabels,
	}
}

func (r *Reconciler) notReplayed(ctx context.Context, in *run) (*refusal, error) {
	others := &fleet.ClusterRegistrationList{}
	if err := r.Client.List(ctx, others, client.InNamespace(in.reg.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing registrations: %w", err)
	}
	for i := range others.Items {
		o := &others.Items[i]
		same := o.Spec.ClientID == in.reg.Spec.ClientID && o.Spec.ClientRandom == in.reg.Spec.ClientRandom
		if o.UID != in.reg.UID && same && !bytes.Equal(o.Spec.PublicKey, in.reg.Spec.PublicKey) && older(o, in.reg) {
			return &refusal{fleet.ReasonTokenUsed, fmt.Sprintf("registration %s used the same clientRandom with another key; start the agent anew", o.Name)}, nil
		}
	}
	return nil, nil
}

// older tells whether a was there before b, which is not granted yet. Times are whole seconds: of two requests of one
// second the granted one was first.
func older(a, b *fleet.ClusterRegistration) bool {
	switch {
	case a.Status.Granted:
		return true
	case a.CreationTimestamp.Equal(&b.CreationTimestamp):
		return a.UID < b.UID
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

// tokenUsable judges the token as it was when the request was made: a person may take longer to approve than it lasts.
func (r *Reconciler) tokenUsable(_ context.Context, in *run) (*refusal, error) {
	reason, message := token.Unusable(in.token, in.reg.CreationTimestamp.Time)
	if reason == "" || reason == fleet.ReasonTokenUsed && slices.Contains(in.token.Status.UsedBy, string(in.reg.UID)) {
		return nil, nil
	}
	return &refusal{reason, message}, nil
}

// labelsProper keeps from agents the labels by which Fleet and Rancher steer clusters, and those that the token forbids.
func (r *Reconciler) labelsProper(_ context.Context, in *run) (*refusal, error) {
	labels := in.reg.Spec.ClusterLabels
	for _, key := range sorted(labels) {
		wrong := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(labels[key])...)
		switch {
		case len(wrong) > 0:
			return &refusal{fleet.ReasonLabelRefused, fmt.Sprintf("label %s=%s: %s", key, labels[key], wrong[0])}, nil
		case reserved(key):
			return &refusal{fleet.ReasonLabelRefused, fmt.Sprintf("label %s may be set on the hub only; leave it out", key)}, nil
		}
	}
	if manual(in.token) || len(in.token.Spec.AllowedLabels) == 0 {
		return nil, nil
	}
	if outside := beyond(labels, in.token.Spec.AllowedLabels); outside != "" {
		return &refusal{fleet.ReasonLabelRefused, fmt.Sprintf("label %s is not among spec.allowedLabels of registration token %s", outside, in.token.Name)}, nil
	}
	return nil, nil
}

func reserved(key string) bool {
	return key != fleet.CreatedByAgentPodLabel &&
		(strings.HasPrefix(key, fleet.LabelPrefix) || strings.HasPrefix(key, fleet.ManagementLabelPrefix))
}

// beyond is the first label, as key=value, that does not stand in allowed; empty when all do.
func beyond(labels, allowed map[string]string) string {
	for _, key := range sorted(labels) {
		if value, ok := allowed[key]; (!ok || value != labels[key]) && key != fleet.CreatedByAgentPodLabel {
			return key + "=" + labels[key]
		}
	}
	return ""
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func manual(t *fleet.ClusterRegistrationToken) bool {
	return t.Spec.Approval == fleet.TokenApprovalManual
}

// nameFree finds the cluster that the request is about: the one with its clientID, whatever it is called, or the one of
// its name, if that has none.
func (r *Reconciler) nameFree(ctx context.Context, in *run) (*refusal, error) {
	clusters := &fleet.ClusterList{}
	if err := r.Client.List(ctx, clusters, client.InNamespace(in.reg.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing clusters: %w", err)
	}
	var byName, byID *fleet.Cluster
	for i := range clusters.Items {
		c := &clusters.Items[i]
		if c.Name == clusterName(in.reg) {
			byName = c
		}
		if c.Spec.ClientID == in.reg.Spec.ClientID && (byID == nil || c.Name == clusterName(in.reg)) {
			byID = c
		}
	}
	switch asked := in.reg.Spec.ClusterName; {
	case byID != nil && asked != "" && byID.Name != asked:
		return &refusal{fleet.ReasonNameTaken, fmt.Sprintf("this cluster is known as %s already; join without a name, or delete Cluster %s", byID.Name, byID.Name)}, nil
	case byID != nil:
		in.cluster = byID.DeepCopy()
	case byName != nil && byName.Spec.ClientID != "":
		return &refusal{fleet.ReasonNameTaken, fmt.Sprintf("another cluster is called %s; join with another name. If it is this cluster, "+
			"which Fleet's agent registered, join with the clientID in spec.clientID of Cluster %s", byName.Name, byName.Name)}, nil
	case byName != nil:
		in.cluster = byName.DeepCopy()
	}
	if in.cluster != nil && !in.cluster.DeletionTimestamp.IsZero() {
		return &refusal{fleet.ReasonNameTaken, fmt.Sprintf("Cluster %s is being deleted", in.cluster.Name)}, nil
	}
	return nil, r.findAgent(ctx, in)
}

// findAgent reads the Agent object of the cluster, live since it holds the key that the cluster is known by.
func (r *Reconciler) findAgent(ctx context.Context, in *run) error {
	name := clusterName(in.reg)
	if in.cluster != nil {
		name = in.cluster.Name
	}
	agent := &flotilla.Agent{}
	key := client.ObjectKey{Namespace: fleet.ClusterNamespace(in.reg.Namespace, name), Name: fleet.AgentName}
	err := r.Live.Get(ctx, key, agent)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading agent %s: %w", key, err)
	}
	if agent.Annotations[fleet.ClusterAnnotation] == name && agent.Annotations[fleet.ClusterNamespaceAnnotation] == in.reg.Namespace {
		in.agent = agent
	}
	return nil
}

// approved waits for a person where the token asks for it, and wherever a cluster that exists would be handed to a key
// that it is not known by. An approval that came with the request is the sender's own and counts for nothing: only
// changing the spec later, which agents may not, makes a second generation.
func (r *Reconciler) approved(_ context.Context, in *run) (*refusal, error) {
	reg := in.reg
	if reg.Spec.Approved && reg.Generation > 1 {
		return nil, nil
	}
	why := ""
	switch {
	case in.cluster != nil && in.agent != nil && len(in.agent.Spec.PublicKey) > 0 && !bytes.Equal(in.agent.Spec.PublicKey, reg.Spec.PublicKey):
		why = fmt.Sprintf("Cluster %s is known by another key: its agent lost its state, or this is a copy of it", in.cluster.Name)
	case in.cluster != nil && in.cluster.Spec.ClientID == "":
		why = fmt.Sprintf("Cluster %s exists and does not say by spec.clientID whose it is", in.cluster.Name)
	case manual(in.token) && len(in.token.Spec.AllowedLabels) > 0 && beyond(reg.Spec.ClusterLabels, in.token.Spec.AllowedLabels) == "":
		return nil, nil
	case manual(in.token):
		why = fmt.Sprintf("registration token %s asks for it", in.token.Name)
	default:
		return nil, nil
	}
	if reg.Spec.Approved {
		return &refusal{fleet.ReasonAwaitingApproval, why + "; spec.approved came with the request, which is no approval. Set it to false, and `flotilla approve` it"}, nil
	}
	return &refusal{fleet.ReasonAwaitingApproval, fmt.Sprintf("a person must approve: %s. `flotilla approve registration/%s -n %s` lets it in", why, reg.Name, reg.Namespace)}, nil
}
