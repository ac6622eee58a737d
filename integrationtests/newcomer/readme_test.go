package newcomer

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
)

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```")

// blocks are the README's commands in fences of a language, one string for each command.
func blocks(t *testing.T, readme, language string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(readme)
	must(t, err)
	for _, found := range fence.FindAllStringSubmatch(string(text), -1) {
		if found[1] != language {
			continue
		}
		joined := strings.ReplaceAll(found[2], "\\\n", " ")
		commands = append(commands, strings.Split(strings.TrimSpace(joined), "\n")...)
	}
	if len(commands) == 0 {
		t.Fatalf("%s has no ```%s commands", readme, language)
	}
	return commands
}

// Every command in a ```sh fence of the README, word for word, in a clean clone, with nothing on PATH but go, make, git, sh
// and coreutils, and with an empty home. Three things are not as on a fresh machine, all by environment only:
//   - Go's caches and the built localfleet program are this machine's: a cold build takes a quarter of an hour;
//   - ONCE has make demo end when everything is Healthy, instead of with Ctrl-C;
//   - make test would run this test again: MAKEFLAGS has make print what it would run, and fail where it could not.
func TestTheReadmeIsFollowedWordForWord(t *testing.T) {
	root := filepath.Dir(world.Bin(t))
	clone := filepath.Join(terminal.Folder(t), "flotilla")
	p := terminal.New(t, "go", "make", "git", "sh")
	p.MustRun("git clone -q '" + root + "' '" + clone + "'")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		p = p.With(name + "=" + goEnv(t, name))
	}
	p = p.With("FLOTILLA_CACHE=" + cache(t, root))
	wants := map[string]string{"make demo": "every bundle is Healthy on every cluster that it is for", "make test": "go test"}
	for _, command := range blocks(t, filepath.Join(clone, "README.md"), "sh") {
		once := p
		switch command {
		case "make demo":
			once = p.With("ONCE=1")
		case "make test":
			once = p.With("MAKEFLAGS=n")
		}
		out, err := once.Runs(clone, command)
		if err != nil || !strings.Contains(out, wants[command]) {
			t.Fatalf("%s\n%v:\n%s", command, err, out)
		}
		terminal.NothingLeft(t, clone)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

// cache is the folder that localfleet was built into: bin/localfleet is a link to there.
func cache(t *testing.T, root string) string {
	t.Helper()
	program, err := filepath.EvalSymlinks(filepath.Join(root, "bin", "localfleet"))
	must(t, err)
	return filepath.Dir(program)
}

// Commands in ```bash fences need Docker, kind and Helm, which a test does not have. That charts, files, values and flags are
// what the commands take them for can be told without.
func TestTheCommandsForRealClustersFit(t *testing.T) {
	root := filepath.Dir(world.Bin(t))
	seen := map[string]int{}
	for _, command := range blocks(t, filepath.Join(root, "README.md"), "bash") {
		words := strings.Fields(command)
		seen[words[0]]++
		switch words[0] {
		case "helm":
			helmFits(t, root, words)
		case "make":
			makeFits(t, root, words)
		case "bin/flotilla":
			flotillaFits(t, root, words)
		}
		for i, word := range words[:len(words)-1] {
			if file := words[i+1]; word == "-f" && file != "values.yaml" {
				if _, err := os.Stat(filepath.Join(root, file)); err != nil {
					t.Errorf("%s: %v", command, err)
				}
			}
		}
	}
	if seen["helm"] != 3 || seen["make"] != 1 || seen["bin/flotilla"] == 0 || seen["kubectl"] == 0 {
		t.Errorf("the README's commands are not read as they are meant: %v", seen)
	}
}

// helmFits: helm install NAME CHART … --set key=value…
func helmFits(t *testing.T, root string, words []string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, words[3], "Chart.yaml")); err != nil {
		t.Errorf("%s: %v", strings.Join(words, " "), err)
		return
	}
	values := map[string]any{}
	if text, err := os.ReadFile(filepath.Join(root, words[3], "values.yaml")); err == nil {
		must(t, yaml.Unmarshal(text, &values))
	}
	for i, word := range words {
		if word != "--set" {
			continue
		}
		key, _, _ := strings.Cut(words[i+1], "=")
		top, _, _ := strings.Cut(key, ".")
		if _, ok := values[top]; !ok {
			t.Errorf("%s has no value %s", words[3], key)
		}
	}
}

// makeFits: make TARGET; what it would do is known, and writes where the next commands look.
func makeFits(t *testing.T, root string, words []string) {
	t.Helper()
	dry := exec.Command("make", append(words[1:], "--dry-run")...)
	dry.Dir = root
	if out, err := dry.CombinedOutput(); err != nil || !strings.Contains(string(out), "./images") {
		t.Errorf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// flotillaFits: bin/flotilla COMMAND --flag value…
func flotillaFits(t *testing.T, root string, words []string) {
	t.Helper()
	help, err := exec.Command(filepath.Join(root, words[0]), words[1], "--help").CombinedOutput()
	must(t, err)
	for _, word := range words[2:] {
		if strings.HasPrefix(word, "--") && !strings.Contains(string(help), word+" ") {
			t.Errorf("%s %s has no flag %s", words[0], words[1], word)
		}
	}
}
