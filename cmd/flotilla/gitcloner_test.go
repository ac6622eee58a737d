package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flotilla.io/flotilla/demo/gitserver"
)

func TestCloningOverSSH(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	server, err := gitserver.New(gitserver.Options{Dir: filepath.Join(dir, "git")})
	must(err)
	files := filepath.Join(dir, "files")
	must(os.Mkdir(files, 0o755))
	must(os.WriteFile(filepath.Join(files, "app.yaml"), []byte("app: 1\n"), 0o600))
	_, err = server.Seed("fleet", files)
	must(err)
	overSSH, err := server.StartSSH(t.Context())
	must(err)
	key := filepath.Join(dir, "key")
	must(os.WriteFile(key, overSSH.Key(), 0o600))
	t.Setenv("HOME", dir)
	clone := func(to string) error {
		cmd := gitclonerCommand()
		cmd.SetArgs([]string{overSSH.URL("fleet"), filepath.Join(dir, to), "--branch", "main", "--ssh-private-key-file", key})
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		return cmd.ExecuteContext(t.Context())
	}

	if err := clone("unknown"); err == nil || !strings.Contains(err.Error(), "no host key of 127.0.0.1") {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
	t.Setenv("FLEET_KNOWN_HOSTS", string(overSSH.KnownHosts()))
	must(clone("variable"))
	t.Setenv("FLEET_KNOWN_HOSTS", "")
	must(os.Mkdir(filepath.Join(dir, ".ssh"), 0o700))
	must(os.WriteFile(filepath.Join(dir, ".ssh", "known_hosts"), overSSH.KnownHosts(), 0o600))
	must(clone("home"))
	for _, to := range []string{"variable", "home"} {
		if data, err := os.ReadFile(filepath.Join(dir, to, "app.yaml")); err != nil || string(data) != "app: 1\n" {
			t.Errorf("%s: app.yaml holds %q (%v)", to, data, err)
		}
	}
}
