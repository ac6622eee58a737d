package token

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/install"
	"flotilla.io/flotilla/localfleet"
)

// hub is a real API server. Here Reconcile is called by hand, so that the clock can be the test's.
var hub client.Client

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "fltoken")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	local, err := localfleet.New(localfleet.Options{Dir: filepath.Join(dir, "fleet")})
	if err != nil {
		return 1, err
	}
	defer local.Close()
	ctx := context.Background()
	c, err := local.Start(ctx, "hub", localfleet.ClusterOptions{Parts: []localfleet.Part{localfleet.Etcd, localfleet.KubeAPIServer}})
	if err != nil {
		return 1, err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return 1, err
	}
	target, err := install.NewTarget(cfg)
	if err != nil {
		return 1, err
	}
	if err := target.Hub(ctx, map[string]any{}, false); err != nil {
		return 1, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, fleet.AddToScheme} {
		if err := add(scheme); err != nil {
			return 1, err
		}
	}
	if hub, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// world is a reconciler on a clock of the test's, and one token.
type world struct {
	*Reconciler
	t     *testing.T
	clock *clocktesting.FakeClock
	token *fleet.ClusterRegistrationToken
}

func newWorld(t *testing.T, spec fleet.ClusterRegistrationTokenSpec) *world {
	t.Helper()
	t.Parallel() // most wait for the API server to forget a token
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "ws-"}}
	must(t, hub.Create(t.Context(), ns))
	token := &fleet.ClusterRegistrationToken{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "join"}, Spec: spec}
	must(t, hub.Create(t.Context(), token))
	clock := clocktesting.NewFakeClock(token.CreationTimestamp.Time)
	return &world{t: t, clock: clock, token: token, Reconciler: &Reconciler{
		Client: hub, Live: hub, Events: events.NewFakeRecorder(100), Clock: clock,
		APIServerURL: "https://hub.example", APIServerCA: []byte("ca"), HubUID: "hub-1", HubSecret: []byte("secret"),
	}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reconcile reconciles, reads the token anew, and returns when the reconciler wants to look again.
func (w *world) reconcile() time.Duration {
	w.t.Helper()
	result, err := w.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(w.token)})
	must(w.t, err)
	must(w.t, client.IgnoreNotFound(hub.Get(w.t.Context(), client.ObjectKeyFromObject(w.token), w.token)))
	return result.RequeueAfter
}

func (w *world) ready() string {
	c := fleet.Condition(w.token.Status.Conditions, fleet.ConditionReady)
	return strings.TrimSpace(string(c.Status) + " " + c.Reason)
}

func (w *world) secret() *corev1.Secret {
	w.t.Helper()
	secret := &corev1.Secret{}
	must(w.t, hub.Get(w.t.Context(), client.ObjectKeyFromObject(w.token), secret))
	return secret
}

func (w *world) values() (v Values) {
	w.t.Helper()
	must(w.t, yaml.UnmarshalStrict(w.secret().Data[valuesKey], &v))
	return v
}

// authenticates asks the API server whether it knows a bound token.
func (w *world) authenticates(bound string) bool {
	w.t.Helper()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: bound}}
	must(w.t, hub.Create(w.t.Context(), review))
	return review.Status.Authenticated
}

// wantDead waits until the API server, which remembers its answers for a while, knows a bound token no more.
func (w *world) wantDead(bound, otherwise string) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); w.authenticates(bound); {
		if time.Now().After(deadline) {
			w.t.Fatal(otherwise)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func TestATokenEndsInTwoSteps(t *testing.T) {
	w := newWorld(t, fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: time.Hour}})
	if next := w.reconcile(); next != time.Hour {
		t.Errorf("it looks again after %s, want the token's end", next)
	}
	bound := w.values().Token
	if w.ready() != "True" || w.token.Status.SecretName != "join" || !w.token.Status.Expires.Equal(&metav1.Time{Time: w.token.CreationTimestamp.Add(time.Hour)}) {
		t.Errorf("the token's status is %+v", w.token.Status)
	}
	if !w.authenticates(bound) {
		t.Error("the API server does not know the token in the Secret")
	}

	w.clock.Step(time.Hour)
	if next := w.reconcile(); next != grace {
		t.Errorf("it looks again after %s, want the end of the grace", next)
	}
	if w.ready() != "False TokenExpired" {
		t.Errorf("Ready is %s", w.ready())
	}
	if !w.authenticates(bound) {
		t.Error("an expired token ends at once: an agent that comes late gets a 401 and no reason")
	}

	w.clock.Step(grace)
	if next := w.reconcile(); next != 0 {
		t.Errorf("it looks again after %s; there is nothing left to do", next)
	}
	w.wantDead(bound, "the account outlives the grace")
	if err := hub.Get(t.Context(), client.ObjectKeyFromObject(w.token), &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret outlives the grace: %v", err)
	}
	before := w.token.ResourceVersion
	if w.reconcile(); w.token.ResourceVersion != before {
		t.Error("a token that is over is written again")
	}
}

func TestATokenForEverIsMadeAnewInTime(t *testing.T) {
	for name, ttl := range map[string]*metav1.Duration{"no TTL": nil, "a TTL of 0": {}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fleet.ClusterRegistrationTokenSpec{TTL: ttl})
			next := w.reconcile()
			if next < 100*24*time.Hour || next > foreverLifetime {
				t.Errorf("it looks again after %s", next)
			}
			if w.token.Status.Expires != nil {
				t.Errorf("it expires at %s", w.token.Status.Expires)
			}
			first, version := w.values(), w.secret().ResourceVersion
			w.clock.Step(next - time.Hour)
			if w.reconcile(); w.secret().ResourceVersion != version {
				t.Error("the Secret was written before its time")
			}
			w.clock.Step(time.Hour)
			w.reconcile()
			second := w.values()
			if second.Token == first.Token {
				t.Error("the bound token was not made anew")
			}
			if second.TokenKey != first.TokenKey {
				t.Error("the proof's key changed: who holds the first values could join no more")
			}
			if !w.authenticates(first.Token) {
				t.Error("the first bound token ended before its time")
			}
		})
	}
}

func TestTheValuesFollowTheHub(t *testing.T) {
	w := newWorld(t, fleet.ClusterRegistrationTokenSpec{})
	w.reconcile()
	version := w.secret().ResourceVersion
	if w.reconcile(); w.secret().ResourceVersion != version {
		t.Error("the Secret was written though nothing changed")
	}
	w.APIServerURL = "https://moved.example"
	w.reconcile()
	got := w.values()
	want := Values{
		APIServerURL: "https://moved.example", APIServerCA: "ca", ClusterNamespace: w.token.Namespace, Token: got.Token, TokenName: "join",
		SystemRegistrationNamespace: fleet.RegistrationNamespace, TokenKey: base64.StdEncoding.EncodeToString(Key([]byte("secret"), w.token)), HubUID: "hub-1",
	}
	if got != want || got.Token == "" {
		t.Errorf("the values are %+v\nwant %+v", got, want)
	}
	if w.secret().Type != fleet.SecretTypeClusterRegistrationValues {
		t.Errorf("the Secret's type is %s", w.secret().Type)
	}
}

func TestALongerTTLGetsALongerToken(t *testing.T) {
	w := newWorld(t, fleet.ClusterRegistrationTokenSpec{TTL: &metav1.Duration{Duration: time.Hour}})
	w.reconcile()
	first := w.values().Token
	before := w.token.DeepCopy()
	w.token.Spec.TTL = &metav1.Duration{Duration: 1000 * time.Hour}
	must(t, hub.Patch(t.Context(), w.token, client.MergeFrom(before)))
	w.clock.Step(24 * time.Hour) // half of what the first bound token lasts, and more
	if w.reconcile(); w.values().Token == first {
		t.Error("the bound token ends before its registration token")
	}
}

func TestANameThatIsUsedAgainMakesAnotherToken(t *testing.T) {
	w := newWorld(t, fleet.ClusterRegistrationTokenSpec{})
	w.reconcile()
	first := w.values()
	must(t, hub.Delete(t.Context(), w.token))
	must(t, hub.Delete(t.Context(), w.secret())) // nothing collects garbage here
	w.token = &fleet.ClusterRegistrationToken{ObjectMeta: metav1.ObjectMeta{Namespace: w.token.Namespace, Name: w.token.Name}}
	must(t, hub.Create(t.Context(), w.token))
	if w.authenticates(first.Token) != true {
		t.Fatal("the first account went before anybody looked: this test holds nothing")
	}
	_, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(w.token)})
	if err != nil && !strings.Contains(err.Error(), "not this token's") { // the binding of the first, which nothing collects here
		t.Fatal(err)
	}
	w.wantDead(first.Token, "a deleted token's account lives on under the next of its name")
	if string(Key([]byte("secret"), w.token)) == first.TokenKey {
		t.Error("the proof's key is that of the deleted token")
	}
}

func TestADeletedTokenTakesItsAccountAlong(t *testing.T) {
	w := newWorld(t, fleet.ClusterRegistrationTokenSpec{})
	w.reconcile()
	bound := w.values().Token
	must(t, hub.Delete(t.Context(), w.token))

	// The controller was not running then. At its start it looks at the accounts that are there.
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	defer queue.ShutDown()
	must(t, w.leftovers(t.Context(), queue))
	found := false
	for queue.Len() > 0 {
		req, _ := queue.Get()
		queue.Done(req)
		found = found || req.NamespacedName == client.ObjectKeyFromObject(w.token)
	}
	if !found {
		t.Error("the account of a deleted token is overlooked at the start")
	}
	w.reconcile()
	w.wantDead(bound, "a deleted token's account lives on")
}

func TestASecretOfOthersIsLeftAlone(t *testing.T) {
	w := newWorld(t, fleet.ClusterRegistrationTokenSpec{})
	must(t, hub.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.token.Namespace, Name: "join"}, Data: map[string][]byte{"mine": []byte("1")},
	}))
	_, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(w.token)})
	if err == nil || !strings.Contains(err.Error(), "not this token's; rename the token, or delete the secret") {
		t.Errorf("the error is %v", err)
	}
	if got := w.secret(); string(got.Data["mine"]) != "1" || len(got.Data) != 1 {
		t.Errorf("the Secret now holds %v", got.Data)
	}
	must(t, hub.Get(t.Context(), client.ObjectKeyFromObject(w.token), w.token))
	if w.ready() != "False SecretFailed" {
		t.Errorf("Ready is %s", w.ready())
	}
}

func TestAccountNamesNeverMeet(t *testing.T) {
	long := strings.Repeat("a", 60)
	seen := map[string]client.ObjectKey{}
	for _, key := range []client.ObjectKey{
		{Namespace: "a", Name: "b-c"}, {Namespace: "a-b", Name: "c"}, {Namespace: "a", Name: "b.c"},
		{Namespace: "w", Name: long}, {Namespace: "w", Name: long + "a"}, {Namespace: "w", Name: long + "-b"}, {Namespace: "x", Name: long},
		{Namespace: "w", Name: strings.Repeat("a", 253)},
	} {
		name := accountName(key)
		if len(name) > 63 {
			t.Errorf("the account of %s has the name %s", key, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s share account %s", key, other, name)
		}
		seen[name] = key
	}
}
