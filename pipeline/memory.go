package pipeline

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"flotilla.io/flotilla/agent/hooks"
	"flotilla.io/flotilla/agent/inventory"
	"flotilla.io/flotilla/bundle/render"
)

// past is what a deploy has to know of the ones before it.
type past struct {
	known inventory.Inventory
	state
}

type state struct {
	// Deployed tells that a deploy went to its end: hooks are then those of an upgrade.
	Deployed bool `json:"deployed,omitempty"`
	// Revision is what was deployed last, or begun, and Hooks how far its hooks are; nil when there are none left.
	Revision string     `json:"revision,omitempty"`
	Hooks    *hooks.Run `json:"hooks,omitempty"`
	// Kept are the random values of the last rendering.
	Kept render.Kept `json:"kept,omitempty"`
}

// begin goes on with the hooks of a deploy of the same that was interrupted. After one that failed they begin anew.
func (p *past) begin(revision string, hooked bool) {
	interrupted := p.Hooks != nil && p.Hooks.Failed == "" && p.Revision == revision
	switch {
	case !hooked:
		p.Hooks = nil
	case !interrupted:
		p.Hooks = &hooks.Run{ID: string(uuid.NewUUID()), Install: !p.Deployed}
	}
	p.Revision = revision
}

func (p *past) end() { p.Deployed, p.Hooks = true, nil }

// memory keeps the past of one deployment in a Secret, beside what it deploys, as Helm keeps a release.
type memory struct {
	secrets corev1client.SecretInterface
	name    string
}

const (
	itemsKey   = "items"
	stateKey   = "state"
	memoryType = "flotilla.io/deployed"
)

func memoryName(deployment string) string { return "flotilla-deployed." + deployment }

func (m memory) load(ctx context.Context) (past, error) {
	p := past{known: inventory.Inventory{}}
	secret, err := m.secrets.Get(ctx, m.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return p, nil
	}
	if err == nil {
		err = inventory.DecodeInto(p.known, secret.Data[itemsKey])
	}
	if err == nil {
		err = json.Unmarshal(secret.Data[stateKey], &p.state)
	}
	if err != nil {
		return p, fmt.Errorf("reading what was deployed before, in Secret %s: %w", m.name, err)
	}
	return p, nil
}

func (m memory) save(ctx context.Context, p past) error {
	items, err := inventory.Encode(p.known.Sorted())
	if err != nil {
		return err
	}
	state, err := json.Marshal(p.state)
	if err != nil {
		return fmt.Errorf("remembering what is deployed: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: m.name},
		Type:       memoryType,
		Data:       map[string][]byte{itemsKey: items, stateKey: state},
	}
	_, err = m.secrets.Update(ctx, secret, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = m.secrets.Create(ctx, secret, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("remembering what is deployed, in Secret %s: %w", m.name, err)
	}
	return nil
}
