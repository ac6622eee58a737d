package localfleet

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// shell runs the localfleet command on the fleet in dir and returns its output, both streams.
func shell(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(binary, append([]string{"--dir", dir}, args...)...).CombinedOutput()
	return string(out), err
}

// up runs `localfleet up hub` on dir until the test ends, and returns it when it says that all is ready, with what it said.
func up(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(binary, "--dir", dir, "up", "hub")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended already when the test went well
		_ = cmd.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "get namespaces") {
			return cmd, said.String()
		}
	}
	t.Fatalf("localfleet up ended after saying:\n%s", &said)
	return nil, ""
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	if out, err := shell(t, dir, "status"); err == nil || !strings.Contains(out, "no fleet runs there") {
		t.Errorf("status of a folder where none runs: %v\n%s", err, out)
	}
	running, said := up(t, dir)

	t.Run("what it prints works in a fresh shell", func(t *testing.T) {
		_, script, _ := strings.Cut(said, "terminal:\n")
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir, cmd.Env = t.TempDir(), []string{"HOME=" + t.TempDir()}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "kube-system") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("a second one says that one runs", func(t *testing.T) {
		out, err := shell(t, dir, "up", "other")
		if err == nil || !strings.Contains(out, "runs in "+dir) || !strings.Contains(out, strconv.Itoa(running.Process.Pid)) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	for _, tt := range []struct {
		rule    string
		args    []string
		succeed bool
		want    string // a pattern that the output matches
	}{
		{"status shows every part", []string{"status"}, true, `(?m)^hub +kube-apiserver +running +\d+ +https://127`},
		{"add starts one more cluster", []string{"add", "edge", "--nodes", "1"}, true, `^$`},
		{"which has all parts", []string{"status", "edge"}, true, `(?m)^edge +kwok +running`},
		{"kubeconfig leads to all", []string{"kubeconfig"}, true, `(?s)name: "edge".*name: "hub"`},
		{"pause freezes a part", []string{"pause", "edge/kube-scheduler"}, true, `^$`},
		{"as status says", []string{"status", "edge"}, true, `(?m)^edge +kube-scheduler +paused`},
		{"resume thaws it", []string{"resume", "edge/kube-scheduler"}, true, `^$`},
		{"kill ends a part", []string{"kill", "edge/kwok"}, true, `^$`},
		{"as status says too", []string{"status", "edge"}, true, `(?m)^edge +kwok +stopped +-`},
		{"start starts what is stopped", []string{"start", "edge"}, true, `^$`},
		{"stop ends a cluster", []string{"stop", "edge"}, true, `^$`},
		{"wipe empties it", []string{"wipe", "edge"}, true, `^$`},
		{"remove forgets it", []string{"remove", "edge"}, true, `^$`},
		{"an unknown cluster is refused with those there are", []string{"stop", "edge"}, false, `no cluster is named "edge"; there are \[hub\]`},
		{"an unknown part is refused with those there are", []string{"stop", "hub/kubelet"}, false, `has no part "kubelet"; it has \[etcd`},
		{"wipe of a part is refused", []string{"wipe", "hub/etcd"}, false, `wipe is for whole clusters`},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			out, err := shell(t, dir, tt.args...)
			if (err == nil) != tt.succeed || !regexp.MustCompile(tt.want).MatchString(out) {
				t.Errorf("localfleet %s: %v\n%s\nwant success %v and %s", strings.Join(tt.args, " "), err, out, tt.succeed, tt.want)
			}
		})
	}

	out, err := shell(t, dir, "status")
	must(t, err)
	var processes []int
	for _, match := range regexp.MustCompile(`running +(\d+)`).FindAllStringSubmatch(out, -1) {
		pid, err := strconv.Atoi(match[1])
		must(t, err)
		processes = append(processes, pid)
	}
	must(t, running.Process.Signal(syscall.SIGINT))
	if err := running.Wait(); err != nil || len(processes) != 3 || !gone(processes) {
		t.Errorf("after Ctrl-C: %v; processes %v gone: %v; want success and 3 that are gone", err, processes, gone(processes))
	}
}

func TestFind(t *testing.T) {
	root, home, folder := t.TempDir(), t.TempDir(), t.TempDir()
	program := func(path string) string {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, nil, 0o700))
		return path
	}
	must(t, os.MkdirAll(filepath.Join(root, "localfleet"), 0o700))
	must(t, os.WriteFile(filepath.Join(root, "localfleet", "build.mk"), nil, 0o600))
	must(t, os.MkdirAll(filepath.Join(root, "deep", "down"), 0o700))
	inRepository := program(filepath.Join(root, "bin", "localfleet"))
	inCache := program(filepath.Join(home, ".cache", "flotilla", "localfleet"))
	elsewhere := program(filepath.Join(folder, "mine"))
	for _, tt := range []struct {
		rule, env, home, dir, want string
	}{
		{"the environment comes first", elsewhere, home, filepath.Join(root, "deep", "down"), elsewhere},
		{"an environment that is wrong is an error", filepath.Join(folder, "nothing"), home, root, ""},
		{"the repository comes before the cache", "", home, filepath.Join(root, "deep", "down"), inRepository},
		{"outside of a repository there is the cache", "", home, folder, inCache},
		{"nothing is nowhere", "", folder, folder, ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Setenv(BinaryEnv, tt.env)
			t.Setenv("HOME", tt.home)
			t.Setenv("XDG_CACHE_HOME", "")
			t.Setenv("FLOTILLA_CACHE", "")
			t.Chdir(tt.dir)
			got, err := Find()
			if got != tt.want || (tt.want == "") != (err != nil) {
				t.Errorf("found %q, %v; want %q", got, err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), "make localfleet") {
				t.Errorf("the error names no command that helps: %v", err)
			}
		})
	}
}
