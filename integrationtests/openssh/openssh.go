// Package openssh starts OpenSSH's own server on loopback for a test, with Git repositories behind it.
package openssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a running sshd. One user, git, may sign in with Key; its home is Home, where repositories lie.
type Server struct {
	Home string
	Port int
	Key  []byte // private, in PEM

	dir string
	t   *testing.T
	log buffer
	end func()
}

// Start runs a server until the test ends. Where OpenSSH's server is neither installed nor to be had by apt-get, the test is skipped.
func Start(t *testing.T) *Server {
	t.Helper()
	sshd, libraries := find(t)
	dir := t.TempDir()
	s := &Server{Home: filepath.Join(dir, "home"), dir: dir, t: t}
	s.must(os.Mkdir(s.Home, 0o755))
	s.keygen("user", "ed25519")
	var err error
	s.Key, err = os.ReadFile(s.file("user"))
	s.must(err)
	s.keygen("host", "ed25519")
	s.keygen("host-ecdsa", "ecdsa") // which clients ask for first that know no better
	s.Port = freePort(t)
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nHostKey %s\nPidFile none\nUsePAM no\nStrictModes no\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile %s\n", s.Port, s.file("host"), s.file("host-ecdsa"), s.file("user.pub"))
	s.must(os.WriteFile(s.file("config"), []byte(config), 0o600))
	s.run(sshd, libraries)
	return s
}

// run starts sshd in a namespace of mounts of its own, where /etc/passwd knows the user git, and sshd's own.
func (s *Server) run(sshd, libraries string) {
	passwd := fmt.Sprintf("root:x:0:0::/root:/bin/sh\nsshd:x:74:74::/run/sshd:/usr/sbin/nologin\ngit:x:%d:%d::%s:/bin/sh\n", 0, 0, s.Home)
	s.must(os.WriteFile(s.file("passwd"), []byte(passwd), 0o644))
	enter := []string{"--mount"}
	if os.Getuid() != 0 {
		enter = append(enter, "--user", "--map-root-user")
	}
	script := `mount --bind "$1" /etc/passwd && mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$2" -D -e -f "$3"`
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, "unshare", append(enter, "sh", "-c", script, "sh", s.file("passwd"), sshd, s.file("config"))...)
	command.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries)
	command.Stdout, command.Stderr = &s.log, &s.log
	s.must(command.Start())
	ended := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	s.end = func() {
		cancel()
		<-ended
	}
	s.t.Cleanup(s.end)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.Dial("tcp", s.Address())
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-ended:
			s.t.Fatalf("sshd ended: %s", &s.log)
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("sshd does not listen: %s", &s.log)
		}
	}
}

// Address is host:port.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// KnownHosts is the line of known_hosts for this server, as ssh-keyscan writes it.
func (s *Server) KnownHosts() []byte {
	public, err := os.ReadFile(s.file("host.pub"))
	s.must(err)
	return []byte(fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, public))
}

// Fingerprint of a key: "host", the one that KnownHosts has, "host-ecdsa", the server's other one, or "user".
func (s *Server) Fingerprint(of string) string {
	out, err := exec.Command("ssh-keygen", "-l", "-f", s.file(of+".pub")).Output()
	s.must(err)
	return strings.Fields(string(out))[1]
}

// Log is what the server said.
func (s *Server) Log() string { return s.log.String() }

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) keygen(name, kind string) {
	os.Remove(s.file(name))
	out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", s.file(name)).CombinedOutput()
	if err != nil {
		s.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// find looks for sshd where it is installed, then among what an earlier test fetched, then fetches Debian's package.
func find(t *testing.T) (sshd, libraries string) {
	t.Helper()
	for _, needed := range []string{"unshare", "ssh-keygen"} {
		if _, err := exec.LookPath(needed); err != nil {
			t.Skipf("OpenSSH's server cannot be run: %v", err)
		}
	}
	for _, name := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, ""
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "flotilla", "openssh")
	if err := fetch(dir); err != nil {
		t.Skipf("OpenSSH's server is not installed and cannot be fetched: %v", err)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "usr", "lib", "*", "libwrap.so.0")); len(found) > 0 {
		libraries = filepath.Dir(found[0])
	}
	return filepath.Join(dir, "usr", "sbin", "sshd"), libraries
}

var fetching sync.Mutex

// fetch unpacks Debian's package below dir, where nothing but it lies.
func fetch(dir string) error {
	fetching.Lock()
	defer fetching.Unlock()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(dir), "openssh-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	script := `apt-get download openssh-server libwrap0 && for package in *.deb; do dpkg-deb -x "$package" unpacked; done`
	command := exec.Command("sh", "-e", "-c", script)
	command.Dir = scratch
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := os.Rename(filepath.Join(scratch, "unpacked"), dir); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// buffer is safe for concurrent use.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
