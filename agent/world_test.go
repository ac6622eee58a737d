package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/agent"
	flotilla "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
	"flotilla.io/flotilla/localfleet"
)

var worlds atomic.Int32

// world is one test's cluster namespace, agent and namespace to deploy into.
type world struct {
	*testing.T
	ctx       context.Context
	hub, edge client.Client
	ns        string // the cluster namespace on the hub
	own       string // the agent's namespace on the cluster
	app       string // a namespace to deploy into
	kek       []byte
	lease     int32
	editor    string // what kubectl edit runs
	began     time.Time
	proxy     func(*rest.Config) // changes the agent's connection to its cluster

	logs    logs
	records logs // of changes
	stop    func()
}

// newWorld is the world of a test that runs beside the others, which mostly wait.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newWorldAlone(t)
}

// newWorldAlone is for tests that others would feel: they stop the hub, or define kinds, which every agent reports.
func newWorldAlone(t *testing.T) *world {
	t.Helper()
	n := worlds.Add(1)
	w := &world{
		T: t, ctx: context.Background(), hub: admin(theHub), edge: admin(theEdge), kek: layer.NewKEK(), lease: 60, began: time.Now(),
		ns: fmt.Sprintf("cluster-%d", n), own: fmt.Sprintf("agent-%d", n), app: fmt.Sprintf("app-%d", n),
	}
	w.furnishCluster()
	w.furnishEdge()
	t.Cleanup(func() {
		w.stopAgent()
		if t.Failed() {
			t.Logf("the agent's log:\n%s", w.logs.String())
		}
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) furnishCluster() {
	w.Helper()
	meta := metav1.ObjectMeta{Name: w.ns, Namespace: fleet.RegistrationNamespace}
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Name: w.ns, Namespace: fleet.RegistrationNamespace}}
	w.must(makeAll(w.ctx, w.hub,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}},
		&corev1.ServiceAccount{ObjectMeta: meta},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{named(rule("", "serviceaccounts/token", "create"), w.ns)}},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: w.ns}, Subjects: subject},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: w.ns},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "agent"}, Subjects: subject,
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fleet.ClusterKeySecret, Namespace: w.ns}, Data: map[string][]byte{fleet.ClusterKeyKey: w.kek}},
		&coordv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: fleet.AgentName, Namespace: w.ns, Annotations: map[string]string{"flotilla.io/agent-generation": "1"}}},
		&flotilla.Agent{ObjectMeta: metav1.ObjectMeta{Name: fleet.AgentName, Namespace: w.ns}, Spec: flotilla.AgentSpec{HubUID: "hub-1", LeaseSeconds: w.lease}},
	))
}

// furnishEdge gives the agent the rights that its chart gives it.
func (w *world) furnishEdge() {
	w.Helper()
	meta := metav1.ObjectMeta{Name: "flotilla-agent", Namespace: w.own}
	w.must(makeAll(w.ctx, w.edge,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.own}},
		&corev1.ServiceAccount{ObjectMeta: meta},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: fleet.AdminServiceAccount, Namespace: w.own}},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			rule("", "serviceaccounts", "get", "impersonate"),
			rule("", "secrets", "get", "list", "create", "update", "patch", "delete"),
			named(rule("", "configmaps", "get"), "fleet-agent"),
			named(rule("apps", "deployments", "get"), "fleet-agent"), named(rule("apps", "statefulsets", "get"), "fleet-agent"),
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: meta.Name, Namespace: w.own}},
		},
		&rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "flotilla-agent-identity"},
			Rules:      []rbacv1.PolicyRule{named(rule("", "namespaces", "get"), "kube-system")},
		},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: w.own + "-identity"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "flotilla-agent-identity"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: meta.Name, Namespace: w.own}},
		},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: w.own}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: fleet.AdminServiceAccount, Namespace: w.own}},
		},
	))
	ca, err := theHub.CA()
	w.must(err)
	w.must(w.edge.Create(w.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet-agent", Namespace: w.own},
		Data: map[string][]byte{
			"apiServerURL": []byte(theHub.Host()), "apiServerCA": ca, "deploymentNamespace": []byte(w.ns), "clusterName": []byte(w.ns),
			"token": []byte(w.token(w.hub, fleet.RegistrationNamespace, w.ns)), "hubUID": []byte("hub-1"),
		},
	}))
}

func (w *world) token(c client.Client, namespace, account string) string {
	w.Helper()
	seconds := int64(3600)
	request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	w.must(c.SubResource("token").Create(w.ctx, sa, request))
	return request.Status.Token
}

// startAgent runs the agent as its own account until stopAgent.
func (w *world) startAgent() {
	w.Helper()
	local := rest.AnonymousClientConfig(config(theEdge))
	local.BearerToken = w.token(w.edge, w.own, "flotilla-agent")
	if w.proxy != nil {
		w.proxy(local)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		done <- agent.Run(ctx, agent.Config{Namespace: w.own, Local: local, Version: "test", Log: log, ProbeLocal: true, Records: &w.records})
	}()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			w.Errorf("the agent ended: %v", err)
		}
	}
}

func (w *world) stopAgent() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// objects reads YAML documents; $NS in them is the test's namespace to deploy into.
func (w *world) objects(text string) []*unstructured.Unstructured {
	w.Helper()
	var list []*unstructured.Unstructured
	for _, doc := range strings.Split(strings.ReplaceAll(text, "$NS", w.app), "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		u := &unstructured.Unstructured{}
		w.must(yaml.Unmarshal([]byte(doc), &u.Object))
		list = append(list, u)
	}
	return list
}

// deploy writes a BundleDeployment as the hub does: contents first, then one write of the order.
func (w *world) deploy(name, text string, change ...func(*fleet.BundleDeployment)) *fleet.BundleDeployment {
	w.Helper()
	var entries []layer.Entry
	for _, u := range w.objects(text) {
		e, err := layer.NewEntry(u)
		w.must(err)
		entries = append(entries, e)
	}
	ref := w.publish(secret.Layer(entries))
	return w.write(name, append([]func(*fleet.BundleDeployment){func(bd *fleet.BundleDeployment) {
		bd.Spec.Layers = []fleet.LayerRef{ref}
		bd.Spec.DeploymentID = "s-" + ref.ID + ":options"
		bd.Spec.StagedDeploymentID = bd.Spec.DeploymentID
		bd.Spec.Options.DefaultNamespace = w.app
	}}, change...)...)
}

func (w *world) publish(l layer.Layer) fleet.LayerRef {
	w.Helper()
	sealed, err := secret.Seal(l)
	w.must(err)
	for i, chunk := range sealed.Ciphertext {
		name := sealed.ID
		if len(sealed.Ciphertext) > 1 {
			name = fmt.Sprintf("%s-%d", sealed.ID, i)
		}
		sum := sha256.Sum256(chunk)
		content := &fleet.Content{ObjectMeta: metav1.ObjectMeta{Name: name}, Content: chunk, SHA256Sum: hex.EncodeToString(sum[:])}
		if err := w.hub.Create(w.ctx, content); err != nil && !apierrors.IsAlreadyExists(err) {
			w.Fatal(err)
		}
	}
	wrapped, err := layer.Wrap(w.kek, sealed.Key)
	w.must(err)
	return fleet.LayerRef{ID: sealed.ID, Chunks: int32(len(sealed.Ciphertext)), Key: wrapped, Objects: int32(sealed.Objects), Bytes: sealed.Bytes}
}

// write changes a BundleDeployment, with a higher sequence.
func (w *world) write(name string, changes ...func(*fleet.BundleDeployment)) *fleet.BundleDeployment {
	w.Helper()
	bd := &fleet.BundleDeployment{}
	err := w.hub.Get(w.ctx, client.ObjectKey{Namespace: w.ns, Name: name}, bd)
	bd.Namespace, bd.Name = w.ns, name
	before := bd.DeepCopy()
	bd.Spec.Sequence++
	for _, change := range changes {
		change(bd)
	}
	if apierrors.IsNotFound(err) {
		w.must(w.hub.Create(w.ctx, bd))
		return bd
	}
	w.must(err)
	w.must(w.hub.Patch(w.ctx, bd, client.MergeFrom(before)))
	return bd
}

// patience is ample: as many tests as the machine can bear run at once.
const patience = 60 * time.Second

// eventually waits until check answers "".
func (w *world) eventually(what string, check func() string) {
	w.Helper()
	began := time.Now()
	for pause := 25 * time.Millisecond; ; pause = min(pause*5/4, 250*time.Millisecond) {
		why := check()
		if why == "" {
			return
		}
		if time.Since(began) > patience {
			w.Fatalf("%s: not within %s: %s", what, patience, why)
		}
		time.Sleep(pause)
	}
}

func (w *world) bd(name string) *fleet.BundleDeployment {
	w.Helper()
	bd := &fleet.BundleDeployment{}
	w.must(w.hub.Get(w.ctx, client.ObjectKey{Namespace: w.ns, Name: name}, bd))
	return bd
}

// healthy waits until a deployment reads Healthy at its order.
func (w *world) healthy(name string) *fleet.BundleDeployment {
	w.Helper()
	return w.reads(name, fleet.HealthHealthy, "")
}

// reads waits until a deployment's health and its Ready message are as wanted, at its order.
func (w *world) reads(name string, health fleet.Health, message string) *fleet.BundleDeployment {
	w.Helper()
	var bd *fleet.BundleDeployment
	w.eventually(name+" is "+string(health), func() string {
		bd = w.bd(name)
		ready := ""
		if c := fleet.Condition(bd.Status.Conditions, fleet.ConditionReady); c != nil {
			ready = c.Message
		}
		if bd.Status.Health != health || !strings.Contains(ready, message) {
			return fmt.Sprintf("health %q, Ready says %q", bd.Status.Health, ready)
		}
		if bd.Status.ObservedSequence != bd.Spec.Sequence && health != fleet.HealthHeld {
			return fmt.Sprintf("it observed sequence %d of %d", bd.Status.ObservedSequence, bd.Spec.Sequence)
		}
		return ""
	})
	return bd
}

// live reads an object of the cluster; nil if it does not exist.
func (w *world) live(apiVersion, kind, name string) *unstructured.Unstructured {
	w.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	err := w.edge.Get(w.ctx, client.ObjectKey{Namespace: w.app, Name: name}, u)
	if apierrors.IsNotFound(err) {
		return nil
	}
	w.must(err)
	return u
}

// kubectl runs the real kubectl on the cluster, in the test's namespace.
func (w *world) kubectl(stdin string, args ...string) string {
	w.Helper()
	cmd := exec.Command(binary, append([]string{"kubectl", "--kubeconfig", theEdge.Kubeconfig(), "-n", w.app}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+w.TempDir(), "KUBE_EDITOR="+w.editor)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// request is a line of an audit log.
type request struct {
	Verb  string `json:"verb"`
	Stage string `json:"stage"`
	User  struct {
		Username string `json:"username"`
	} `json:"user"`
	ImpersonatedUser *struct {
		Username string `json:"username"`
	} `json:"impersonatedUser"`
	AuditID   string `json:"auditID"`
	ObjectRef struct {
		Resource, Subresource, Namespace, Name string
	} `json:"objectRef"`
	RequestURI               string           `json:"requestURI"`
	RequestReceivedTimestamp metav1.MicroTime `json:"requestReceivedTimestamp"`
}

func (r request) String() string {
	return fmt.Sprintf("%s %s/%s %s/%s", r.Verb, r.ObjectRef.Resource, r.ObjectRef.Subresource, r.ObjectRef.Namespace, r.ObjectRef.Name)
}

// requests reads from an audit log what this test's agent asked for since a moment.
func (w *world) requests(c *localfleet.Cluster, since time.Time) []request {
	w.Helper()
	user := "system:serviceaccount:" + w.own + ":flotilla-agent"
	if c == theHub {
		user = "system:serviceaccount:" + fleet.RegistrationNamespace + ":" + w.ns
	}
	data, err := os.ReadFile(c.AuditLogPath())
	w.must(err)
	var list []request
	for _, line := range bytes.Split(data, []byte("\n")) {
		var r request
		if !bytes.Contains(line, []byte(`"`+user+`"`)) || json.Unmarshal(line, &r) != nil || r.User.Username != user || r.RequestReceivedTimestamp.Time.Before(since) {
			continue
		}
		list = append(list, r)
	}
	return list
}

// writes are those requests that change something.
func writes(list []request) []request {
	var changes []request
	for _, r := range list {
		switch r.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
			if !strings.Contains(r.RequestURI, "dryRun=All") && r.ObjectRef.Resource != "selfsubjectaccessreviews" {
				changes = append(changes, r)
			}
		}
	}
	return changes
}

// noDeletes fails if the agent deleted anything outside of its own namespace.
func (w *world) noDeletes() {
	w.Helper()
	for _, r := range w.requests(theEdge, w.began) {
		if strings.HasPrefix(r.Verb, "delete") && r.ObjectRef.Namespace != w.own {
			w.Errorf("the agent deleted: %s", r)
		}
	}
}

// tenant makes a service account with just these rights, everywhere.
func (w *world) tenant(name string, rules ...rbacv1.PolicyRule) {
	w.Helper()
	role := w.own + "-" + name
	w.must(makeAll(w.ctx, w.edge,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.own}},
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: w.own}},
		}))
}
