package badinput

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/demo/gitserver"
	"flotilla.io/flotilla/integrationtests/world"
)

// plain is a bundle of one ConfigMap in a namespace.
func plain(namespace, text string) map[string]string {
	return map[string]string{fleetYAML: "defaultNamespace: " + namespace + "\n", stateYAML: configMap("state", text)}
}

// repoTells waits until kubectl shows the parts of a GitRepo.
func repoTells(w *world.World, name string, parts ...string) {
	w.T.Helper()
	w.T.Log(tells(w, "GitRepo "+name, func() string { return row(w, "gitrepos", name) }, parts...))
}

func bundleTells(w *world.World, name string, parts ...string) {
	w.T.Helper()
	w.T.Log(tells(w, "bundle "+name, func() string { return row(w, "bundles", name) }, parts...))
}

// git runs git on the bare repository of the server.
func git(w *world.World, repo string, args ...string) {
	w.T.Helper()
	cmd := exec.Command("git", append([]string{"--git-dir", filepath.Join(w.Dir, "git", repo+".git")}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+w.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.T.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// mistakesInAGitRepo: what a GitRepo itself asks for.
func mistakesInAGitRepo(t *testing.T, w *world.World) {
	for _, row := range []struct {
		rule string
		do   func(*world.World)
	}{
		{"a path that is not there names the likely one, and its bundles stay", missingPath},
		{"a branch that is not there names those that are, and the last commit stays", missingBranch},
		{"without a branch it is told which was assumed", assumedBranch},
		{"a repository that is not there", missingRepository},
		{"credentials that are not there", missingSecret},
		{"a private repository is read with its CA and credentials, and what lacks is named", privateRepository},
		{"a repository over SSH is read from a server that somebody vouches for", overSSH},
		{"a target that picks no cluster names the nearest label", nearestMiss},
		{"a selector that is none is named by its target", badSelector},
		{"a chart and a kustomization that no bundle takes up are named", unclaimed},
		{"a directory that is broken from the start keeps no other back", brokenFromTheStart},
		{"a bundle name that another GitRepo has", nameTaken},
		{"what is to be kept is kept, however late that is said", keptLate},
		{"a repository that became empty is held", emptied},
		{"a field that does no harm has a condition and no other effect", harmless},
		{"a kind that is waited for is deployed once its definition is there", kindArrives},
	} {
		t.Run(row.rule, func(t *testing.T) { row.do(of(t, w)) })
	}
}

func missingPath(w *world.World) {
	gitRepo(w, "paths", w.Repo("paths", merged(in("web", plain("paths-web", "good")), in("api", plain("paths-api", "good")))),
		func(s *fleet.GitRepoSpec) { s.Paths = []string{"web", "api"} })
	settled(w, "paths-web")
	settled(w, "paths-api")
	edit(w, "paths", func(s *fleet.GitRepoSpec) { s.Paths = []string{"wbe", "api", "something/else"} })
	repoTells(w, "paths", `spec.paths[0]: there is no directory "wbe"; did you mean "web"?`,
		`spec.paths[2]: there is no directory "something/else"; there are api, web`, "what was deployed before stays")
	w.Push("paths", merged(in("web", plain("paths-web", "next")), in("api", plain("paths-api", "next"))))
	says(w, "paths-api", "state", "next")
	still(w, "paths-web", "state", "good")
	edit(w, "paths", func(s *fleet.GitRepoSpec) { s.Paths = []string{"web", "api"} })
	says(w, "paths-web", "state", "next")
	nothingToSay(w, "paths")
}

func nothingToSay(w *world.World, repo string) {
	w.T.Helper()
	w.Eventually("GitRepo "+repo, func() error {
		if c := condition(w, "gitrepo", world.Workspace, repo, "Ready"); c != "True : " {
			return fmt.Errorf("it says %q", c)
		}
		return nil
	})
}

func missingBranch(w *world.World) {
	gitRepo(w, "branch", w.Repo("branch", in("web", plain("branch", "good"))), nil)
	settled(w, "branch-web")
	git(w, "branch", "branch", "stable", "main")
	commit := commitOf(w, "branch-web")
	edit(w, "branch", func(s *fleet.GitRepoSpec) { s.Branch = "mian" })
	repoTells(w, "branch", "RefNotFound", `branch "mian" does not exist; it has the branches main, stable; did you mean "main"?`,
		"set branch to one of them, or push it", commit[:7]+" stays deployed")
	w.Push("branch", in("web", plain("branch", "next")))
	still(w, "branch", "state", "good")
	edit(w, "branch", func(s *fleet.GitRepoSpec) { s.Branch = "main" })
	says(w, "branch", "state", "next")
	nothingToSay(w, "branch")
}

func assumedBranch(w *world.World) {
	url := w.Repo("assumed", in("web", plain("assumed", "good")))
	git(w, "assumed", "branch", "-m", "main", "trunk")
	git(w, "assumed", "symbolic-ref", "HEAD", "refs/heads/nowhere")
	gitRepo(w, "assumed", url, func(s *fleet.GitRepoSpec) { s.Branch = "" })
	repoTells(w, "assumed", "RefNotFound", `no branch was given, so "master" was assumed, but it does not exist`, "it has the branch trunk; set branch")
	edit(w, "assumed", func(s *fleet.GitRepoSpec) { s.Branch = "trunk" })
	says(w, "assumed", "state", "good")
}

func missingRepository(w *world.World) {
	gitRepo(w, "nowhere", w.Git.URL("no-such-repository"), nil)
	repoTells(w, "nowhere", "no-such-repository.git: there is no such repository, or these credentials may not see it; check the URL and the credentials")
}

func missingSecret(w *world.World) {
	gitRepo(w, "secret", w.Git.URL("branch"), func(s *fleet.GitRepoSpec) { s.ClientSecretName = "no-such" })
	repoTells(w, "secret", "AuthFailed: reading Secret fleet-default/no-such that spec.clientSecretName names", "not found")
}

func privateRepository(w *world.World) {
	server, err := gitserver.New(gitserver.Options{Dir: filepath.Join(w.Dir, "git"), TLS: true})
	w.Check(err)
	w.Check(server.Start(context.Background()))
	defer func() { w.Check(server.Close()) }()
	w.Repo("private", in("web", plain("private", "good")))
	server.Protect("private", "ci", "a-password")
	credentials := func(kind corev1.SecretType) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "private"}, Type: kind,
			StringData: map[string]string{"username": "ci", "password": "a-password", "ssh-privatekey": "a-key"}}
		w.Check(client.IgnoreNotFound(w.Hub.Client.Delete(context.Background(), secret.DeepCopy())))
		w.Check(w.Hub.Client.Create(context.Background(), secret))
	}
	credentials(corev1.SecretTypeOpaque)

	gitRepo(w, "private", server.URL("private"), nil)
	repoTells(w, "private", "UnknownCA", "caBundle")
	repoConditions(w, "private", "Failed GitUpdating", "GitPolling=False UnknownCA", "Stalled=True UnknownCA")
	edit(w, "private", func(s *fleet.GitRepoSpec) { s.CABundle = server.CA() })
	repoTells(w, "private", "AuthFailed")
	edit(w, "private", func(s *fleet.GitRepoSpec) { s.ClientSecretName = "private" })
	repoTells(w, "private", `secret fleet-default/private is of type "Opaque" and has no key github_app_private_key`)
	credentials(corev1.SecretTypeBasicAuth)
	edit(w, "private", func(s *fleet.GitRepoSpec) { s.ForceSyncGeneration = 1 }) // it is read anew, at once
	says(w, "private", "state", "good")

	// Without the CA it can be trusted as it is; and a GitRepo that names no credentials has those of the workspace.
	w.Push("private", in("web", plain("private", "next")))
	edit(w, "private", func(s *fleet.GitRepoSpec) { s.CABundle, s.InsecureSkipTLSverify = nil, true })
	says(w, "private", "state", "next")
	everybodys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: fleet.GitCredentialSecret}, Type: corev1.SecretTypeBasicAuth,
		StringData: map[string]string{"username": "ci", "password": "a-password"}}
	w.Check(w.Hub.Client.Create(context.Background(), everybodys))
	defer func() { w.Check(w.Hub.Client.Delete(context.Background(), everybodys)) }()
	w.Push("private", in("web", plain("private", "last")))
	edit(w, "private", func(s *fleet.GitRepoSpec) { s.ClientSecretName = "" })
	says(w, "private", "state", "last")
	nothingToSay(w, "private")
	repoConditions(w, "private", "Current ", "Accepted=True ", "GitPolling=True ", "Reconciling=False ", "Stalled=False ", "Ready=True ")
	w.Kubectl("hub", "delete", "gitrepo", "private", "-n", world.Workspace, "--timeout=2m")
}

// repoConditions waits until a GitRepo has a gitJobStatus and display.state, and conditions, each Type=Status Reason.
func repoConditions(w *world.World, name, status string, conditions ...string) {
	w.T.Helper()
	tells(w, "the status of GitRepo "+name, func() string {
		return w.Kubectl("hub", "-n", world.Workspace, "get", "gitrepo", name, "-o",
			`jsonpath={.status.gitJobStatus} {.status.display.state};{range .status.conditions[*]}{.type}={.status} {.reason};{end}`)
	}, append(conditions, status+";")...)
}

// A key is shown to no server that nobody vouches for; who vouches is the Secret, or else the hub's operator.
func overSSH(w *world.World) {
	ctx := context.Background()
	w.Repo("ssh", in("web", plain("ssh", "good")))
	server, err := w.Git.StartSSH(ctx)
	w.Check(err)
	defer server.Close()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "ssh"}, Type: corev1.SecretTypeSSHAuth,
		Data: map[string][]byte{corev1.SSHAuthPrivateKey: server.Key()}}
	w.Check(w.Hub.Client.Create(ctx, secret))
	gitRepo(w, "ssh", server.URL("ssh"), func(s *fleet.GitRepoSpec) { s.ClientSecretName = "ssh" })
	repoTells(w, "ssh", "HostKeyUnknown: ssh://127.0.0.1:", "no host key of", "ssh-ed25519 SHA256:", "ssh-keyscan")

	hosts := &corev1.ConfigMap{}
	w.Check(w.Hub.Client.Get(ctx, client.ObjectKey{Namespace: fleet.SystemNamespace, Name: fleet.KnownHostsConfigMap}, hosts))
	shipped := hosts.DeepCopy()
	hosts.Data["known_hosts"] += string(server.KnownHosts())
	w.Check(w.Hub.Client.Patch(ctx, hosts, client.MergeFrom(shipped)))
	defer func() {
		shipped.ResourceVersion = hosts.ResourceVersion
		w.Check(w.Hub.Client.Patch(ctx, shipped, client.MergeFrom(hosts)))
	}()
	edit(w, "ssh", func(s *fleet.GitRepoSpec) { s.ForceSyncGeneration = 1 }) // it is read anew, at once
	says(w, "ssh", "state", "good")

	// The Secret goes before the hub's: it says that the key is revoked.
	before := secret.DeepCopy()
	secret.Data["known_hosts"] = append([]byte("@revoked "), server.KnownHosts()...)
	w.Check(w.Hub.Client.Patch(ctx, secret, client.MergeFrom(before)))
	w.Push("ssh", in("web", plain("ssh", "next")))
	edit(w, "ssh", func(s *fleet.GitRepoSpec) { s.ForceSyncGeneration = 2 })
	repoTells(w, "ssh", "HostKeyMismatch", "marked as revoked", "stays deployed")
	says(w, "ssh", "state", "good")

	before = secret.DeepCopy()
	secret.Data["known_hosts"] = server.KnownHosts()
	w.Check(w.Hub.Client.Patch(ctx, secret, client.MergeFrom(before)))
	edit(w, "ssh", func(s *fleet.GitRepoSpec) { s.ForceSyncGeneration = 3 })
	says(w, "ssh", "state", "next")
	w.Kubectl("hub", "delete", "gitrepo", "ssh", "-n", world.Workspace, "--timeout=2m")
}

func nearestMiss(w *world.World) {
	gitRepo(w, "miss", w.Repo("miss", in("web", plain("miss", "good"))), func(s *fleet.GitRepoSpec) {
		s.Targets = []fleet.GitTarget{{Name: "p", ClusterSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prodution"}}}}
	})
	const nearest = "NoTargets: no cluster has env=prodution; 1 has env=production"
	bundleTells(w, "miss-web", "0/0", nearest)
	repoTells(w, "miss", nearest)
	edit(w, "miss", func(s *fleet.GitRepoSpec) { s.Targets = []fleet.GitTarget{{ClusterName: "prodution"}} })
	repoTells(w, "miss", `no cluster is named "prodution"; did you mean "production"?`)
	edit(w, "miss", func(s *fleet.GitRepoSpec) { s.Targets = nil })
	repoTells(w, "miss", `there is no ClusterGroup "default", where a GitRepo without targets deploys to; make it, or set spec.targets`)
	edit(w, "miss", func(s *fleet.GitRepoSpec) { s.Targets = inProduction() })
	says(w, "miss", "state", "good")
	nothingToSay(w, "miss")
}

func badSelector(w *world.World) {
	gitRepo(w, "operator", w.Repo("operator", in("web", plain("operator", "good"))), nil)
	settled(w, "operator-web")
	edit(w, "operator", func(s *fleet.GitRepoSpec) {
		s.Targets[0].ClusterSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: "Is", Values: []string{"a"}}}}
	})
	bundleTells(w, "operator-web", "InvalidTargets", "all", `"Is"`, "stays deployed", "1/1")
	still(w, "operator", "state", "good")
	edit(w, "operator", func(s *fleet.GitRepoSpec) { s.Targets = inProduction() })
	settled(w, "operator-web")
}

func unclaimed(w *world.World) {
	gitRepo(w, "idle", w.Repo("idle", merged(in("web", plain("idle", "good")), map[string]string{
		"charts/redis/Chart.yaml": chartYAML, "charts/redis/templates/cm.yaml": configMap("redis", "never"),
		"overlays/kustomization.yaml": "resources: []\n",
	})), func(s *fleet.GitRepoSpec) { s.Paths = []string{""} })
	settled(w, "idle-web")
	repoTells(w, "idle", "charts/redis/Chart.yaml: no bundle takes it up, so nothing of it is deployed; put a fleet.yaml beside it, name it in one, or list it in .fleetignore",
		"overlays/kustomization.yaml: no bundle takes it up, so it is not built")
	if c := condition(w, "gitrepo", world.Workspace, "idle", "Unclaimed"); !strings.HasPrefix(c, "True NoBundle: charts/redis/Chart.yaml") {
		w.T.Errorf("condition Unclaimed is %q", c)
	}
	if c := condition(w, "gitrepo", world.Workspace, "idle", "Ready"); !strings.HasPrefix(c, "True Unclaimed: ") {
		w.T.Errorf("what is deployed is Ready, and condition Ready is %q", c)
	}
	w.Push("idle", map[string]string{"charts/redis/fleet.yaml": "defaultNamespace: idle\n", "overlays": ""})
	says(w, "idle", "redis", "never")
	nothingToSay(w, "idle")
}

func brokenFromTheStart(w *world.World) {
	gitRepo(w, "start", w.Repo("start", merged(in("web", plain("start", "good")), map[string]string{"api/fleet.yaml": "helm: [\n"})), nil)
	settled(w, "start-web")
	says(w, "start", "state", "good")
	repoTells(w, "start", "BundlesFailed: api/fleet.yaml:2", "1/1")
	w.Push("start", in("api", plain("start-api", "good")))
	says(w, "start-api", "state", "good")
	nothingToSay(w, "start")
}

func nameTaken(w *world.World) {
	gitRepo(w, "owner", w.Repo("owner", in("web", plain("owner", "good"))), nil)
	settled(w, "owner-web")
	files := merged(in("web", plain("other", "good")), in("api", plain("other-api", "good")))
	files["web/fleet.yaml"] = "name: owner-web\ndefaultNamespace: other\n"
	gitRepo(w, "other", w.Repo("other", files), nil)
	repoTells(w, "other", "web: bundle name owner-web is taken by GitRepo owner; give this one another `name:` in its fleet.yaml")
	settled(w, "other-api")
	still(w, "owner", "state", "good")
	if got, _ := text(w, "other", "state"); got != "" {
		w.T.Errorf("the second bundle of the name was deployed: %q", got)
	}
	w.Push("other", map[string]string{"web/fleet.yaml": "defaultNamespace: other\n"})
	says(w, "other", "state", "good")
	nothingToSay(w, "other")
}

func keptLate(w *world.World) {
	gitRepo(w, "late", w.Repo("late", in("web", plain("late", "good"))), nil)
	settled(w, "late-web")
	w.Kubectl("hub", "patch", "gitrepo", "late", "-n", world.Workspace, "--type=merge", "-p", `{"spec":{"keepResources":true}}`)
	w.Kubectl("hub", "delete", "gitrepo", "late", "-n", world.Workspace, "--timeout=2m")
	still(w, "late", "state", "good")
}

func emptied(w *world.World) {
	gitRepo(w, "empty", w.Repo("empty", in("web", plain("empty", "good"))), nil)
	settled(w, "empty-web")
	commit := w.Push("empty", map[string]string{"web": ""})
	repoTells(w, "empty", "EmptySource: held: commit "+commit[:7]+" has no bundles at /, where there were 1; they stay as they are", "delete the GitRepo, or its Bundles one by one")
	still(w, "empty", "state", "good")
	if line := deploymentRow(w, "empty-web"); !strings.Contains(line, "Healthy") {
		w.T.Errorf("its BundleDeployment reads %q", line)
	}
	w.Push("empty", in("web", plain("empty", "mended")))
	says(w, "empty", "state", "mended")
	nothingToSay(w, "empty")
}

func harmless(w *world.World) {
	files := merged(in("web", plain("harmless", "good")), map[string]string{"web/Chart.yaml": chartYAML, "web/state.yaml": "", "web/templates/state.yaml": configMap("state", "good")})
	files["web/fleet.yaml"] = "defaultNamespace: harmless\nhelm: {timeoutSeconds: 60}\nrolloutStrategy: {maxUnavailable: 1}\nimageScans: [{name: a, image: nginx, tagName: a}]\n"
	gitRepo(w, "harmless", w.Repo("harmless", files), func(s *fleet.GitRepoSpec) { s.OCIRegistrySecret = "a" })
	settled(w, "harmless-web")
	says(w, "harmless", "state", "good")
	c := tells(w, "the bundle", func() string { return condition(w, "bundle", world.Workspace, "harmless-web", "NotServed") },
		"True Ignored: ", "spec.rolloutStrategy is not served yet: a change goes to all clusters at once")
	w.T.Log(c)
	c = tells(w, "the GitRepo", func() string { return condition(w, "gitrepo", world.Workspace, "harmless", "NotServed") },
		"True Ignored: ", "spec.ociRegistrySecret is not served yet", "web/fleet.yaml:4:13: imageScans is not served yet")
	w.T.Log(c)
	nothingToSay(w, "harmless")
}

// apply has kubectl apply a manifest.
func apply(w *world.World, cluster, manifest string) {
	w.T.Helper()
	file := filepath.Join(w.Dir, "manifest.yaml")
	w.Check(os.WriteFile(file, []byte(manifest), 0o600))
	w.Kubectl(cluster, "apply", "-f", file)
}

func kindArrives(w *world.World) {
	gitRepo(w, "kinds", w.Repo("kinds", merged(in("web", plain("kinds", "good")), map[string]string{
		"web/boat.yaml": "apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: boat}\n",
	})), nil)
	w.T.Log(tells(w, "the BundleDeployment", func() string { return deploymentRow(w, "kinds-web") }, "Waiting",
		"Boat.example.com boat: kind Boat of example.com/v1 is not served by this cluster; it is tried again until the kind is there (is its CustomResourceDefinition in a bundle?)"))
	says(w, "kinds", "state", "good")
	apply(w, production, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`)
	settled(w, "kinds-web")
	w.Kubectl(production, "-n", "kinds", "get", "boats", "boat")
}
