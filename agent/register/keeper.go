package register

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Config is what a Keeper needs: the Secrets and ConfigMaps of the agent's namespace, and Namespaces to read the UID of
// kube-system.
type Config struct {
	Secrets    corev1client.SecretInterface
	ConfigMaps corev1client.ConfigMapInterface
	Namespaces corev1client.NamespaceInterface
	UserAgent  string
	Log        *slog.Logger
}

// Keeper keeps the agent's identity.
type Keeper struct {
	Config
	said string // the last thing that was logged about joining, so that it is logged once
}

// New makes a Keeper; it reads nothing.
func New(c Config) *Keeper { return &Keeper{Config: c} }

const (
	look  = 10 * time.Second // between two looks whether a person gave a new token
	retry = 5 * time.Second  // between two tries to join, growing to slow
	slow  = time.Minute
)

// Identity returns the stored identity, or, if there is none, joins: it waits for a bootstrap Secret and for the hub's
// answer as long as ctx lasts. A bootstrap Secret that the identity was made with is deleted.
func (k *Keeper) Identity(ctx context.Context) (Identity, error) {
	for pause := retry; ; pause = min(2*pause, slow) {
		id, err := k.stored(ctx)
		if err == nil {
			k.dropBootstrap(ctx, id)
			return id, nil
		}
		if !apierrors.IsNotFound(err) {
			k.say("reading the identity failed", "error", err)
		} else if id, joined := k.join(ctx, nil); joined {
			return id, nil
		}
		if !waited(ctx, jitter(pause)) {
			return Identity{}, ctx.Err()
		}
	}
}

// Replaced returns when a person gave the agent another token and the cluster has joined with it, or when ctx ends.
func (k *Keeper) Replaced(ctx context.Context, id Identity) {
	for waited(ctx, jitter(look)) {
		if _, joined := k.join(ctx, &id); joined {
			return
		}
	}
}

// join joins if there is a bootstrap Secret with another token than the one joined with already. The new identity is
// stored before the bootstrap Secret goes.
func (k *Keeper) join(ctx context.Context, member *Identity) (Identity, bool) {
	secret, err := k.Secrets.Get(ctx, BootstrapSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if member == nil {
			k.say("waiting for Secret " + BootstrapSecret + ": give the agent the values of a ClusterRegistrationToken's Secret on the hub")
		}
		return Identity{}, false
	}
	if err != nil {
		k.say("reading Secret "+BootstrapSecret+" failed; it is tried again", "error", err)
		return Identity{}, false
	}
	b, err := bootstrapOf(secret)
	if err != nil {
		k.say("the cluster cannot join", "error", err)
		return Identity{}, false
	}
	if member != nil && digest(b.Token) == member.JoinedWith {
		return Identity{}, false
	}
	id, err := k.request(ctx, b, secret, member)
	if err != nil {
		if ctx.Err() == nil {
			k.say("the cluster has not joined yet; it is tried again", "hub", b.APIServerURL, "reason", err)
		}
		return Identity{}, false
	}
	if err := k.keep(ctx, id); err != nil {
		k.say("storing the identity failed; it is tried again", "error", err)
		return Identity{}, false
	}
	k.dropBootstrap(ctx, id)
	k.Log.Info("the cluster has joined", "hub", id.URL, "cluster", id.ClusterName)
	return id, true
}

// say logs something once, until there is something else to say.
func (k *Keeper) say(message string, args ...any) {
	if now := fmt.Sprint(append([]any{message}, args...)...); now != k.said {
		k.said = now
		k.Log.Warn(message, args...)
	}
}

func (k *Keeper) stored(ctx context.Context) (Identity, error) {
	secret, err := k.Secrets.Get(ctx, IdentitySecret, metav1.GetOptions{})
	if err != nil {
		return Identity{}, err
	}
	if ofFleet(secret) {
		return Identity{}, apierrors.NewNotFound(corev1.Resource("secrets"), IdentitySecret)
	}
	return identityOf(secret)
}

func (k *Keeper) keep(ctx context.Context, id Identity) error {
	secret := id.secret()
	have, err := k.Secrets.Get(ctx, IdentitySecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = k.Secrets.Create(ctx, secret, metav1.CreateOptions{})
	case err == nil:
		if len(have.Data["kubeconfig"]) > 0 {
			for _, key := range fleetKeys {
				secret.Data[key] = have.Data[key]
			}
		}
		_, err = k.Secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s: %w", IdentitySecret, err)
	}
	return nil
}

// dropBootstrap deletes the bootstrap Secret that an identity was made with, and no other one.
func (k *Keeper) dropBootstrap(ctx context.Context, id Identity) {
	secret, err := k.Secrets.Get(ctx, BootstrapSecret, metav1.GetOptions{})
	if err != nil {
		return
	}
	if b, err := bootstrapOf(secret); err != nil || digest(b.Token) != id.JoinedWith {
		return
	}
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID}}
	if err := k.Secrets.Delete(ctx, BootstrapSecret, options); err != nil && !apierrors.IsNotFound(err) {
		k.say("deleting Secret "+BootstrapSecret+" failed; its token is not needed any more", "error", err)
	}
}

// Renewer asks the hub for a new token.
type Renewer interface {
	RenewToken(ctx context.Context, namespace, serviceAccount string, life time.Duration) (string, time.Time, error)
	SetToken(string)
}

// Renew renews the token at two thirds of its life, with jitter, and stores it, until ctx ends.
func (k *Keeper) Renew(ctx context.Context, id Identity, hub Renewer) {
	if id.ServiceAccount == "" || id.Expires.IsZero() {
		return // an identity that somebody made by hand, or a token that does not end
	}
	for failures := 0; ; {
		life := id.Expires.Sub(id.Issued)
		due := id.Issued.Add(life * 2 / 3).Add(-time.Duration(rand.Int64N(int64(life)/20 + 1)))
		pause := time.Until(due)
		if failures > 0 {
			pause = max(pause, min(retry<<min(failures, 6), slow))
		}
		if !waited(ctx, pause) {
			return
		}
		token, expires, err := hub.RenewToken(ctx, id.ServiceAccountNamespace, id.ServiceAccount, life)
		if err != nil {
			failures++
			k.Log.Warn("renewing the agent's credential failed; it is tried again", "until", id.Expires, "error", err)
			continue
		}
		failures = 0
		id.Token, id.Issued, id.Expires = token, time.Now(), expires
		hub.SetToken(token)
		if err := k.keep(ctx, id); err != nil {
			k.Log.Error("storing the renewed credential", "error", err)
		}
	}
}

// JoinedWith tells whether an identity, as IdentitySecret holds it, came from a token: an agent that has it does not ask again.
func JoinedWith(identity *corev1.Secret, token string) bool {
	return string(identity.Data["joinedWith"]) == digest(token)
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func jitter(d time.Duration) time.Duration { return d + time.Duration(rand.Int64N(int64(d)/4)) }
