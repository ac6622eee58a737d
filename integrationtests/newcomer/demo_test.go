package newcomer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	dir := filepath.Join(folder(t), "de mo") // commands have to stand a blank in a path
	p := newPerson(t, "git", "sh")
	running := p.opens("/", demo(t, dir))
	running.says(ready, 3*time.Minute)
	if !strings.Contains(running.output(), "The nodes are simulated") {
		t.Error("the demo does not say that nodes are simulated")
	}
	commands := printed(t, running.output())

	t.Run("a second demo says that one runs", func(t *testing.T) { secondDemo(t, p, dir, running.cmd.Process.Pid) })
	t.Run("look around", func(t *testing.T) { lookAround(p.in(t), commands["look"]) })
	t.Run("push a change", func(t *testing.T) { pushAChange(p.in(t), commands["push"]) })
	t.Run("edit a live object", func(t *testing.T) { editALiveObject(p.in(t), commands["edit"]) })
	t.Run("join a third cluster", func(t *testing.T) { joinAThird(p.in(t), commands["join"], commands["look"]) })
	t.Run("Ctrl-C", func(t *testing.T) {
		running.ctrlC()
		if err := running.ends(time.Minute); err != nil {
			t.Errorf("the demo ends with %v and says\n%s", err, running.output())
		}
		nothingLeft(t, dir)
	})
}

// in is the same person in a subtest.
func (p person) in(t *testing.T) person { return person{t, p.tmp, p.env} }

func secondDemo(t *testing.T, p person, dir string, pid int) {
	out, err := p.in(t).runs("/", demo(t, dir))
	if exitCode(err) != 1 || !strings.Contains(out, fmt.Sprintf("a demo runs already in %s (process %d)", dir, pid)) {
		t.Errorf("it ends with %v and says\n%s", err, out)
	}
}

func lookAround(p person, commands []string) {
	hub := p.mustRun(commands[0])
	for _, want := range []string{"gitrepo.fleet.cattle.io/examples", "bundle.fleet.cattle.io/examples-apps-web", "production", "development"} {
		if !strings.Contains(hub, want) {
			p.t.Errorf("%s\nlacks %q:\n%s", commands[0], want, hub)
		}
	}
	for line := range strings.Lines(hub) {
		if strings.Contains(line, "bundledeployment.") && !strings.Contains(line, "Healthy") {
			p.t.Errorf("the demo says that all is Healthy, kubectl says %s", line)
		}
	}
	if cluster := p.mustRun(commands[1]); !strings.Contains(cluster, "3/3") {
		p.t.Errorf("%s\nshows no Deployment with 3 of 3 ready:\n%s", commands[1], cluster)
	}
}

func pushAChange(p person, commands []string) {
	for _, c := range commands[:4] {
		p.mustRun(c)
	}
	begin, show := time.Now(), commands[4]
	p.eventually(show, "Hello from a push")
	p.eventually(strings.ReplaceAll(show, "--context production", "--context development"), "Hello from a push")
	p.t.Logf("the push was on both clusters %s after git push returned", time.Since(begin).Round(time.Millisecond))
}

func editALiveObject(p person, commands []string) {
	p.mustRun(commands[0])
	took := p.eventually(commands[1], "Drifted", "deployment.apps web/web", "/spec/replicas", "3 → 5", "kubectl")
	p.t.Logf("the drift was named %s after kubectl returned", took.Round(time.Millisecond))
}

func joinAThird(p person, commands, look []string) {
	for _, c := range commands[:2] {
		p.mustRun(c)
	}
	agent := p.opens("/", commands[2])
	agent.says("joined as cluster fleet-default/third", time.Minute)
	deployments := strings.Replace(look[0], "gitrepos,bundles,bundledeployments", "bundledeployments -l fleet.cattle.io/cluster=third", 1)
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out := p.mustRun(deployments)
		if strings.Count(out, "Healthy") == 3 {
			p.t.Logf("third was Healthy %s after it had joined", time.Since(begin).Round(time.Millisecond))
			break
		}
		if time.Since(begin) > 90*time.Second {
			p.t.Fatalf("%s\ndoes not read Healthy three times:\n%s", deployments, out)
		}
	}
	agent.ctrlC()
	agent.ends(time.Minute)
	nothingLeft(p.t, p.tmp)
	if strings.Contains(agent.output(), "flotilla:") {
		p.t.Errorf("join --local ends with an error:\n%s", agent.output())
	}
}

// What does not get Healthy is named, with a code for scripts.
func TestOnceSaysWhatIsNotHealthy(t *testing.T) {
	home := folder(t)
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
	out, err := newPerson(t, "git", "sh").runs("/", demo(t, dir, "--once", "--timeout 15s", "--examples", examples))
	if exitCode(err) != 1 {
		t.Errorf("it ends with %v", err)
	}
	_, last, found := strings.Cut(out, "after 15s not everything is Healthy:\n")
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
	nothingLeft(t, dir)
}

func TestOnceThatIsEndedEarlyIsNoSuccess(t *testing.T) {
	dir := filepath.Join(folder(t), "demo")
	running := newPerson(t, "git", "sh").opens("/", demo(t, dir, "--once"))
	running.says("installing the hub", time.Minute)
	running.ctrlC()
	if err := running.ends(time.Minute); exitCode(err) != 1 || !strings.Contains(running.output(), "ended before everything was Healthy") {
		t.Errorf("it ends with %v and says\n%s", err, running.output())
	}
	nothingLeft(t, dir)
}
