package demo

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// third is the cluster that a person has join, and its registration token.
const third = "third"

// next is something to try, with commands that work as they stand in a fresh shell.
type next struct {
	title    string
	commands []string
}

// nexts are what the demo proposes. Every path is absolute, nothing of the user's own configuration is used, and besides
// our own programs there is only git and what every system has.
func (d *run) nexts() []next {
	in := func(path ...string) string { return quote(filepath.Join(append([]string{d.Dir}, path...)...)) }
	bin := func(name string) string { return quote(filepath.Join(d.Bin, name)) }
	kubectl := bin("kubectl") + " --kubeconfig " + in("kubeconfig")
	git := "git -C " + in("work")
	return []next{
		{"look around", []string{
			kubectl + " --context hub get gitrepos,bundles,bundledeployments -A",
			kubectl + " --context production get deployments -A",
		}},
		{"push a change: it is on the clusters within 2 s", []string{
			"rm -rf " + in("work") + " && git clone -q " + d.git.URL(repoName) + " " + in("work"),
			"echo 'greeting: Hello from a push' > " + in("work/apps/web/greeting.yaml"),
			git + " -c user.name='Demo User' -c user.email=demo@example.com commit -q -a -m 'greet in another way'",
			git + " push -q origin main",
			kubectl + ` --context production -n web get configmap web-page -o 'jsonpath={.data.index\.html}'`,
		}},
		{"edit a live object, and see the drift named: object, field, wanted and found, and who did it", []string{
			kubectl + " --context production -n web scale deployment web --replicas=5",
			kubectl + " --context hub get bundledeployments -A",
		}},
		{"join a third cluster; its agent runs in that terminal until Ctrl-C", []string{
			bin("localfleet") + " add --dir " + in("fleet") + " --nodes 1 " + third,
			bin("localfleet") + " kubeconfig --dir " + in("fleet") + " " + third + " > " + in("third.kubeconfig"),
			bin("flotilla") + " join --hub-kubeconfig " + in("kubeconfig") + " --hub-context hub --kubeconfig " + in("third.kubeconfig") +
				" --token " + third + " --name " + third + " --label env=staging --local",
		}},
	}
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=-]+$`)

// quote makes one word of a path for a shell.
func quote(path string) string {
	if plain.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// explain says what runs here, what does not, and what to try.
func (d *run) explain() {
	var b strings.Builder
	b.WriteString(`
API servers, etcd, controllers, Git server, hub and agents are real. The nodes are simulated: Pods become ready, but no
container runs in them, so there are no logs, no exec, no network between Pods, and an Ingress answers nobody.

To try, in a second terminal:
`)
	for _, n := range d.nexts() {
		fmt.Fprintf(&b, "\n# %s\n", n.title)
		for _, c := range n.commands {
			fmt.Fprintf(&b, "%s\n", c)
		}
	}
	b.WriteString("\nCtrl-C here ends the demo and everything that it started.\n\n")
	fmt.Fprint(d.Out, b.String())
}
