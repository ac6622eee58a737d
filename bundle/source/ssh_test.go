package source_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
	"flotilla.io/flotilla/integrationtests/openssh"
)

// sshFixture is OpenSSH's own server with the repository "apps" in the home of user git.
type sshFixture struct {
	*fixture
	sshd *openssh.Server
}

func newSSHFixture(t *testing.T) *sshFixture {
	t.Helper()
	sshd := openssh.Start(t)
	f := &sshFixture{newFixture(t, gitserver.Options{}), sshd}
	bare := filepath.Join(sshd.Home, "apps.git")
	git(t, sshd.Home, "init", "--quiet", "--bare", "--initial-branch=main", bare)
	git(t, f.clone, "remote", "set-url", "origin", bare)
	f.req = source.Request{URL: f.url(bare), Branch: "main", Auth: source.Auth{SSHKey: sshd.Key, KnownHosts: sshd.KnownHosts()}}
	return f
}

func (f *sshFixture) url(path string) string { return "ssh://git@" + f.sshd.Address() + path }

func TestARepositoryOverSSH(t *testing.T) {
	f := newSSHFixture(t)
	first := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n", "dir/b.yaml": "b: 1\n"})
	git(t, f.clone, "tag", "-a", "-m", "Release", "v1")
	git(t, f.clone, "push", "--quiet", "--tags", "origin")

	tree, revision := f.fetch(t, f.req)
	if revision.Commit != first || revision.Branch != "main" {
		t.Errorf("got %s on %q, want %s on main", revision.Commit, revision.Branch, first)
	}
	contains(t, tree, "dir/b.yaml", "b: 1\n")

	second := f.push(t, "Second", map[string]string{"a.yaml": "a: 2\n"})
	head, err := f.Head(t.Context(), f.req)
	must(t, err)
	if head != second {
		t.Errorf("Head is %s, want %s", head, second)
	}
	moved, _ := f.fetch(t, f.req)
	contains(t, moved, "a.yaml", "a: 2\n")
	contains(t, tree, "a.yaml", "a: 1\n")

	tagged := f.req
	tagged.Branch, tagged.Revision = "", "v1"
	if _, revision := f.fetch(t, tagged); revision.Commit != first {
		t.Errorf("v1 is %s, want %s", revision.Commit, first)
	}
	pinned := f.req
	pinned.Revision = first
	f.Mirrors = source.NewMirrors(source.Options{Dir: t.TempDir(), Local: true})
	if _, revision := f.fetch(t, pinned); revision.Commit != first {
		t.Errorf("the commit is %s, want %s", revision.Commit, first)
	}
}

// What git itself takes an address for is what we take it for.
func TestAddressesOverSSH(t *testing.T) {
	f := newSSHFixture(t)
	commit := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	odd := filepath.Join(f.sshd.Home, "it's odd; touch owned.git")
	git(t, f.sshd.Home, "clone", "--quiet", "--bare", "apps.git", odd)
	must(t, os.WriteFile(filepath.Join(t.TempDir(), "key"), f.sshd.Key, 0o600))
	for _, url := range []string{
		f.url(filepath.Join(f.sshd.Home, "apps.git")),
		f.url("/~/apps.git"),
		f.url("/~git/apps.git"),
		f.url(filepath.Join(f.sshd.Home, "apps")),
		f.url(strings.ReplaceAll(odd, " ", "%20")),
	} {
		req := f.req
		req.URL = url
		head, err := f.Head(t.Context(), req)
		if err != nil || head != commit {
			t.Errorf("%s: %s (%v), want %s", url, head, err, commit)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(f.sshd.Home, "owned*")); len(found) > 0 {
		t.Errorf("the server's shell ran what the path says: %v", found)
	}
}

func TestRefusalsOverSSH(t *testing.T) {
	f := newSSHFixture(t)
	f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	good := f.req.Auth
	git(t, f.sshd.Home, "init", "--quiet", "--bare", "empty.git")
	other := filepath.Join(t.TempDir(), "other")
	keygen(t, other, "")
	stranger, err := os.ReadFile(other)
	must(t, err)
	keygen(t, other+"-locked", "open sesame")
	locked, err := os.ReadFile(other + "-locked")
	must(t, err)
	public, err := os.ReadFile(other + ".pub")
	must(t, err)
	elsewhere := []byte(fmt.Sprintf("[127.0.0.1]:%d %s", f.sshd.Port, public))
	key, _, _, _, err := ssh.ParseAuthorizedKey(public)
	must(t, err)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	closed.Close()

	for _, row := range []struct {
		rule   string
		change func(*source.Request)
		reason string
		says   []string
	}{
		{"a host nobody knows is told with its fingerprint", func(r *source.Request) { r.Auth.KnownHosts = nil }, source.HostKeyUnknown,
			[]string{f.sshd.Fingerprint("host-ecdsa"), "ssh-keyscan", "known_hosts"}},
		{"a host known by another key is told with both", func(r *source.Request) { r.Auth.KnownHosts = elsewhere }, source.HostKeyMismatch,
			[]string{f.sshd.Fingerprint("host"), ssh.FingerprintSHA256(key)}},
		{"a revoked host key is told", func(r *source.Request) {
			r.Auth.KnownHosts = append([]byte("@revoked "+string(good.KnownHosts)), good.KnownHosts...)
		}, source.HostKeyMismatch, []string{"revoked", f.sshd.Fingerprint("host")}},
		{"known hosts that are none are told", func(r *source.Request) { r.Auth.KnownHosts = []byte("host ssh-ed25519 !!!\n") }, source.HostKeyUnknown, []string{"line 1"}},
		{"no key is told", func(r *source.Request) { r.Auth.SSHKey = nil }, source.AuthFailed, []string{"kubernetes.io/ssh-auth"}},
		{"another key is told with its fingerprint", func(r *source.Request) { r.Auth.SSHKey = stranger }, source.AuthFailed,
			[]string{ssh.FingerprintSHA256(key), "deploy key"}},
		{"a key that is none is kept quiet", func(r *source.Request) { r.Auth.SSHKey = []byte(canary) }, source.AuthFailed, []string{"-----BEGIN"}},
		{"a key behind a passphrase is told", func(r *source.Request) { r.Auth.SSHKey = locked }, source.AuthFailed, []string{"passphrase"}},
		{"a repository that is not there is told", func(r *source.Request) { r.URL = f.url("/nowhere.git") }, source.RepoNotFound, []string{"check the URL"}},
		{"an empty repository is told", func(r *source.Request) { r.URL = f.url("/~/empty.git") }, source.RepoEmpty, nil},
		{"a branch that is nearly there is told", func(r *source.Request) { r.Branch = "mian" }, source.RefNotFound, []string{`did you mean "main"?`}},
		{"an unknown commit is told", func(r *source.Request) { r.Revision = strings.Repeat("ab", 20) }, source.RefNotFound, nil},
		{"a closed port is told", func(r *source.Request) { r.URL = "ssh://git@" + closed.Addr().String() + "/a.git" }, source.Unreachable, []string{"refused"}},
		{"a path that is an option is refused", func(r *source.Request) { r.URL = "git@host:--upload-pack=id" }, source.InvalidURL, []string{"'-'"}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			req := f.req
			row.change(&req)
			_, _, err := f.Fetch(t.Context(), req)
			refused(t, err, row.reason, row.says...)
			silent(t, err)
			t.Log(err)
		})
	}

	anybody := f.req
	anybody.Auth.KnownHosts, anybody.Auth.AnyHostKey = nil, true
	if _, _, err := f.Fetch(t.Context(), anybody); err != nil {
		t.Errorf("a host that need not be known is refused: %v", err)
	}
}

// A server that was given another key is not asked with ours, and what was fetched stays.
func TestAHostKeyThatChanged(t *testing.T) {
	f := newSSHFixture(t)
	commit := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	tree, _ := f.fetch(t, f.req)
	sshd := openssh.Start(t) // another server, with a host key and a log of its own, in the place of the first
	before := f.sshd.Fingerprint("host")
	line := strings.Replace(string(f.req.Auth.KnownHosts), fmt.Sprint(f.sshd.Port), fmt.Sprint(sshd.Port), 1)
	req := f.req
	req.URL, req.Auth.KnownHosts = "ssh://git@"+sshd.Address()+"/apps.git", []byte(line)
	_, err := f.Head(t.Context(), req)
	refused(t, err, source.HostKeyMismatch, before, sshd.Fingerprint("host"))
	if strings.Contains(sshd.Log(), "publickey") {
		t.Errorf("a server that is not trusted was shown our key: %s", sshd.Log())
	}
	contains(t, tree, "a.yaml", "a: 1\n")
	f.req.Revision = commit
	again, _ := f.fetch(t, f.req)
	contains(t, again, "a.yaml", "a: 1\n")
}

// The demo's server is taken for what it is too.
func TestTheDemosServerOverSSH(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	commit := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	server, err := f.server.StartSSH(t.Context())
	must(t, err)
	req := source.Request{URL: server.URL("apps"), Branch: "main", Auth: source.Auth{SSHKey: server.Key(), KnownHosts: server.KnownHosts()}}
	tree, revision := f.fetch(t, req)
	contains(t, tree, "a.yaml", "a: 1\n")
	if revision.Commit != commit {
		t.Errorf("got %s, want %s", revision.Commit, commit)
	}
	req.URL = server.URL("nowhere")
	_, err = f.Head(t.Context(), req)
	refused(t, err, source.RepoNotFound)
	req.URL, req.Auth.KnownHosts = server.URL("apps"), nil
	_, err = f.Head(t.Context(), req)
	refused(t, err, source.HostKeyUnknown)
}

// The hub asks no server on itself, whatever it is called.
func TestAddressesThatAreNotAsked(t *testing.T) {
	mirrors := source.NewMirrors(source.Options{Dir: t.TempDir()})
	for _, url := range []string{"http://127.0.0.1:1/a.git", "http://localhost:1/a.git", "http://169.254.169.254/latest.git",
		"ssh://git@127.0.0.1:1/a.git", "git@169.254.169.254:a.git", "http://[::1]:1/a.git"} {
		_, err := mirrors.Head(t.Context(), source.Request{URL: url, Auth: source.Auth{AnyHostKey: true}})
		refused(t, err, source.AddressRefused, "nothing is fetched from there")
	}
}

func keygen(t *testing.T, file, passphrase string) {
	t.Helper()
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
}
