// Package newcomer does what a person does who has just cloned the repository: runs the README's commands, and the ones
// that the demo prints, word for word in a fresh shell.
package newcomer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
)

// ready is the last thing that a demo says before it waits for Ctrl-C.
const ready = "Ctrl-C here ends the demo"

// demo is the command that make demo runs, in a folder of its own.
func demo(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	bin := world.Bin(t)
	examples := filepath.Join(filepath.Dir(bin), "examples")
	return fmt.Sprintf("exec '%s/flotilla' demo --dir '%s' --examples '%s' %s", bin, dir, examples, strings.Join(flags, " "))
}

// printed are the commands that a demo prints, by the first word of the title above them.
func printed(t *testing.T, output string) map[string][]string {
	t.Helper()
	commands, title := map[string][]string{}, ""
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "# "):
			title = strings.Fields(line)[1]
		case line == "":
			title = ""
		case title != "":
			commands[title] = append(commands[title], line)
		}
	}
	for _, title := range []string{"look", "push", "edit", "join"} {
		if len(commands[title]) == 0 {
			t.Fatalf("the demo prints no commands to %s:\n%s", title, output)
		}
	}
	return commands
}

// A newcomer runs the demo, and everything that it prints.
func TestThePrintedCommandsWork(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(terminal.Folder(t), "de mo") // commands have to stand a blank in a path
	p := terminal.New(t, "git", "sh")
	running := p.Opens("/", demo(t, dir))
	running.Says(ready, terminal.Patience)
	if !strings.Contains(running.Output(), "The nodes are simulated") {
		t.Error("the demo does not say that nodes are simulated")
	}
	commands := printed(t, running.Output())

	t.Run("a second demo says that one runs", func(t *testing.T) { secondDemo(t, p, dir, running.PID()) })
	t.Run("look around", func(t *testing.T) { lookAround(p.In(t), commands["look"]) })
	t.Run("push a change", func(t *testing.T) { pushAChange(p.In(t), commands["push"]) })
	t.Run("edit a live object", func(t *testing.T) { editALiveObject(p.In(t), commands["edit"]) })
	t.Run("join a third cluster", func(t *testing.T) { joinAThird(p.In(t), commands["join"], commands["look"]) })
	t.Run("Ctrl-C", func(t *testing.T) {
		running.CtrlC()
		if err := running.Ends(terminal.Patience); err != nil {
			t.Errorf("the demo ends with %v and says\n%s", err, running.Output())
		}
		terminal.NothingLeft(t, dir)
	})
}

func secondDemo(t *testing.T, p terminal.Person, dir string, pid int) {
	out, err := p.In(t).Runs("/", demo(t, dir))
	if terminal.ExitCode(err) != 1 || !strings.Contains(out, fmt.Sprintf("a demo runs already in %s (process %d)", dir, pid)) {
		t.Errorf("it ends with %v and says\n%s", err, out)
	}
}

func lookAround(p terminal.Person, commands []string) {
	hub := p.MustRun(commands[0])
	for _, want := range []string{"gitrepo.fleet.cattle.io/examples", "bundle.fleet.cattle.io/examples-apps-web", "production", "development"} {
		if !strings.Contains(hub, want) {
			p.T.Errorf("%s\nlacks %q:\n%s", commands[0], want, hub)
		}
	}
	for line := range strings.Lines(hub) {
		if strings.Contains(line, "bundledeployment.") && !strings.Contains(line, "Healthy") {
			p.T.Errorf("the demo says that all is Healthy, kubectl says %s", line)
		}
	}
	if cluster := p.MustRun(commands[1]); !strings.Contains(cluster, "3/3") {
		p.T.Errorf("%s\nshows no Deployment with 3 of 3 ready:\n%s", commands[1], cluster)
	}
}

func pushAChange(p terminal.Person, commands []string) {
	for _, c := range commands[:4] {
		p.MustRun(c)
	}
	begin, show := time.Now(), commands[4]
	p.Eventually(show, "Hello from a push")
	p.Eventually(strings.ReplaceAll(show, "--context production", "--context development"), "Hello from a push")
	p.T.Logf("the push was on both clusters %s after git push returned", time.Since(begin).Round(time.Millisecond))
}

func editALiveObject(p terminal.Person, commands []string) {
	p.MustRun(commands[0])
	took := p.Eventually(commands[1], "Drifted", "deployment.apps web/web", "/spec/replicas", "3 → 5", "kubectl")
	p.T.Logf("the drift was named %s after kubectl returned", took.Round(time.Millisecond))
}

func joinAThird(p terminal.Person, commands, look []string) {
	for _, c := range commands[:2] {
		p.MustRun(c)
	}
	agent := p.Opens("/", commands[2])
	agent.Says("joined as cluster fleet-default/third", terminal.Patience)
	deployments := strings.Replace(look[0], "gitrepos,bundles,bundledeployments", "bundledeployments -l fleet.cattle.io/cluster=third", 1)
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out := p.MustRun(deployments)
		if strings.Count(out, "Healthy") == 3 {
			p.T.Logf("third was Healthy %s after it had joined", time.Since(begin).Round(time.Millisecond))
			break
		}
		if time.Since(begin) > 90*time.Second {
			p.T.Fatalf("%s\ndoes not read Healthy three times:\n%s", deployments, out)
		}
	}
	agent.CtrlC()
	agent.Ends(terminal.Patience)
	terminal.NothingLeft(p.T, p.Tmp)
	if strings.Contains(agent.Output(), "flotilla:") {
		p.T.Errorf("join --local ends with an error:\n%s", agent.Output())
	}
}

// What does not get Healthy is named, with a code for scripts.
func TestOnceSaysWhatIsNotHealthy(t *testing.T) {
	t.Parallel()
	home := terminal.Folder(t)
	examples, dir := filepath.Join(home, "examples"), filepath.Join(home, "demo")
	for name, text := range map[string]string{
		"apps/good/cm.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n",
		"apps/bad/fleet.yaml":  "defaultNamespace: bad\nhelmm: {}\n",
		"apps/slow/fleet.yaml": "defaultNamespace: slow\n",
		"apps/slow/pod.yaml":   "apiVersion: v1\nkind: Pod\nmetadata: {name: stuck}\nspec:\n  nodeSelector: {no: node}\n  containers: [{name: c, image: i}]\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(examples, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(examples, name), []byte(text), 0o644))
	}
	out, err := terminal.New(t, "git", "sh").Runs("/", demo(t, dir, "--once", "--timeout 25s", "--examples", examples))
	if terminal.ExitCode(err) != 1 {
		t.Errorf("it ends with %v", err)
	}
	_, last, found := strings.Cut(out, "after 25s not everything is Healthy:\n")
	if !found {
		t.Fatalf("it does not say that not everything is Healthy:\n%s", out)
	}
	for _, want := range []string{"apps/bad/fleet.yaml:2", "did you mean", "examples-apps-slow", "stuck"} {
		if !strings.Contains(last, want) {
			t.Errorf("it does not name %q:\n%s", want, last)
		}
	}
	if strings.Contains(last, "examples-apps-good") {
		t.Errorf("it names what is Healthy:\n%s", last)
	}
	terminal.NothingLeft(t, dir)
}

func TestOnceThatIsEndedEarlyIsNoSuccess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(terminal.Folder(t), "demo")
	running := terminal.New(t, "git", "sh").Opens("/", demo(t, dir, "--once"))
	running.Says("installing the hub", terminal.Patience)
	running.CtrlC()
	if err := running.Ends(terminal.Patience); terminal.ExitCode(err) != 1 || !strings.Contains(running.Output(), "ended before everything was Healthy") {
		t.Errorf("it ends with %v and says\n%s", err, running.Output())
	}
	terminal.NothingLeft(t, dir)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
