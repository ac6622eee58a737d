package token

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

const (
	valuesKey = "values"
	// boundAnnotation and accountAnnotation on the Secret tell from when to when the bound token in it is good, and whose it is.
	boundAnnotation   = "flotilla.io/bound"
	accountAnnotation = "flotilla.io/account-uid"

	// foreverLifetime is asked for a token that never ends; it is made anew at half of what the API server granted.
	foreverLifetime = 365 * 24 * time.Hour
	// shortestLifetime is what the API server grants at least.
	shortestLifetime = 10 * time.Minute
)

// Values are what an agent's chart is installed with: Fleet's names, and the two that are Flotilla's own.
type Values struct {
	APIServerURL                string `json:"apiServerURL"`
	APIServerCA                 string `json:"apiServerCA"`      // PEM
	ClusterNamespace            string `json:"clusterNamespace"` // the workspace
	SystemRegistrationNamespace string `json:"systemRegistrationNamespace"`
	Token                       string `json:"token"`
	TokenName                   string `json:"tokenName"`
	TokenKey                    string `json:"tokenKey"` // base64; proves that a request comes from a holder of these values
	HubUID                      string `json:"hubUID"`
}

// Key is the key that requests made with a token are proven with.
func Key(hubSecret []byte, t *fleet.ClusterRegistrationToken) []byte {
	mac := hmac.New(sha256.New, hubSecret)
	fmt.Fprintf(mac, "registration token %s", t.UID)
	return mac.Sum(nil)
}

// ensureSecret keeps the Secret with the values. Its bound token is made once, or, where it ends before the token does,
// anew at half of its life.
func (r *Reconciler) ensureSecret(ctx context.Context, in *run) error {
	have := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(in.token), have)
	switch {
	case apierrors.IsNotFound(err):
		have = nil
	case err != nil:
		return fmt.Errorf("reading secret %s/%s: %w", in.token.Namespace, in.token.Name, err)
	case !metav1.IsControlledBy(have, in.token) && !ofFleet(have):
		return fmt.Errorf("secret %s/%s is there already and not this token's; rename the token, or delete the secret", have.Namespace, have.Name)
	case r.current(in, have):
		return nil
	}
	values, bound, err := r.issue(ctx, in)
	if err != nil {
		return err
	}
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: in.token.Name, Namespace: in.token.Namespace,
			Labels: map[string]string{fleet.ManagedLabel: "true"}, OwnerReferences: []metav1.OwnerReference{owner(in.token)},
			Annotations: map[string]string{boundAnnotation: bound.String(), accountAnnotation: string(in.account.UID)},
		},
		Type: fleet.SecretTypeClusterRegistrationValues,
		Data: map[string][]byte{valuesKey: values},
	}
	in.reissue = bound.reissueAt(in.token)
	if have == nil {
		err = r.Client.Create(ctx, want)
	} else {
		now := have.DeepCopy()
		now.Data, now.OwnerReferences = want.Data, want.OwnerReferences
		for key, value := range want.Annotations {
			metav1.SetMetaDataAnnotation(&now.ObjectMeta, key, value)
		}
		err = r.Client.Patch(ctx, now, client.MergeFrom(have))
	}
	if err != nil {
		return fmt.Errorf("writing secret %s/%s: %w", want.Namespace, want.Name, err)
	}
	return nil
}

// ofFleet tells whether Fleet made a token's Secret: it owns it by annotation alone. Its values are replaced in place.
func ofFleet(secret *corev1.Secret) bool {
	return secret.Type == fleet.SecretTypeClusterRegistrationValues && metav1.GetControllerOf(secret) == nil
}

// current tells whether a Secret still says what is true of the hub, with a bound token that is good for long enough.
func (r *Reconciler) current(in *run, secret *corev1.Secret) bool {
	bound, err := parseSpan(secret.Annotations[boundAnnotation])
	if err != nil || secret.Annotations[accountAnnotation] != string(in.account.UID) {
		return false
	}
	in.reissue = bound.reissueAt(in.token)
	if !in.reissue.IsZero() && !r.Clock.Now().Before(in.reissue) {
		return false
	}
	var have Values
	if err := yaml.UnmarshalStrict(secret.Data[valuesKey], &have); err != nil || have.Token == "" {
		return false
	}
	return have == r.values(in, have.Token)
}

// issue makes a bound token and the values with it.
func (r *Reconciler) issue(ctx context.Context, in *run) ([]byte, span, error) {
	lifetime := foreverLifetime
	if expires := Expires(in.token); !expires.IsZero() {
		lifetime = max(expires.Add(grace).Sub(r.Clock.Now()), shortestLifetime)
	}
	seconds := int64(lifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if err := r.Client.SubResource("token").Create(ctx, in.account, request); err != nil {
		return nil, span{}, fmt.Errorf("making a token for service account %s/%s: %w", in.account.Namespace, in.account.Name, err)
	}
	data, err := yaml.Marshal(r.values(in, request.Status.Token))
	if err != nil {
		return nil, span{}, fmt.Errorf("encoding the values: %w", err)
	}
	return data, span{r.Clock.Now(), request.Status.ExpirationTimestamp.Time}, nil
}

func (r *Reconciler) values(in *run, bound string) Values {
	return Values{
		APIServerURL: r.APIServerURL, APIServerCA: string(r.APIServerCA),
		ClusterNamespace: in.token.Namespace, SystemRegistrationNamespace: fleet.RegistrationNamespace,
		Token: bound, TokenName: in.token.Name, TokenKey: base64.StdEncoding.EncodeToString(Key(r.HubSecret, in.token)),
		HubUID: r.HubUID,
	}
}

// span is the life of a bound token.
type span struct{ from, until time.Time }

func (s span) String() string {
	return s.from.UTC().Format(time.RFC3339) + "/" + s.until.UTC().Format(time.RFC3339)
}

func parseSpan(text string) (span, error) {
	from, until, _ := strings.Cut(text, "/")
	var s span
	var err error
	if s.from, err = time.Parse(time.RFC3339, from); err != nil {
		return span{}, err
	}
	s.until, err = time.Parse(time.RFC3339, until)
	return s, err
}

// reissueAt is when the bound token must be made anew; zero when it outlasts its registration token.
func (s span) reissueAt(t *fleet.ClusterRegistrationToken) time.Time {
	if expires := Expires(t); !expires.IsZero() && !s.until.Before(expires) {
		return time.Time{}
	}
	return s.from.Add(s.until.Sub(s.from) / 2)
}
