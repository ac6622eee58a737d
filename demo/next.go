package demo

import (
	"fmt"
	"path/filepath"
	"strings"
)

// next is something to try, with commands that work as they stand in a fresh shell.
type next struct {
	title    string
	commands []string
}

// nexts are what the demo proposes. Every path is absolute, and nothing of the user's own configuration is used.
func (d *run) nexts() []next {
	kubectl := filepath.Join(d.Bin, "kubectl") + " --kubeconfig " + d.kubeconfig()
	work := filepath.Join(d.Dir, "work")
	git := "git -C " + work
	commit := git + " -c user.name='Demo User' -c user.email=demo@example.com commit -q -a -m"
	third := filepath.Join(d.Dir, "third.kubeconfig")
	return []next{
		{"look around", []string{
			kubectl + " --context hub get bundles -A",
			kubectl + " --context hub get bundledeployments -A | grep -v Healthy",
			kubectl + " --context production get deployments -A",
		}},
		{"push a change: on the clusters within 2 s", []string{
			"rm -rf " + work + " && git clone -q " + d.git.URL(repoName) + " " + work,
			"sed -i 's/^greeting: .*/greeting: Hello from a push/' " + filepath.Join(work, "apps/web/values.yaml"),
			commit + " 'greet in another way'",
			git + " push -q origin main",
		}},
		{"edit a live object and see the drift named", []string{
			kubectl + " --context production -n web scale deployment web --replicas=5",
			kubectl + " --context hub get bundledeployments -A | grep -v Healthy",
		}},
		{"join a third cluster (the agent runs until Ctrl-C)", []string{
			filepath.Join(d.Bin, "localfleet") + " add --dir " + filepath.Join(d.Dir, "fleet") + " --nodes 1 third",
			filepath.Join(d.Bin, "localfleet") + " kubeconfig --dir " + filepath.Join(d.Dir, "fleet") + " third > " + third,
			filepath.Join(d.Bin, "flotilla") + " join --hub-kubeconfig " + d.kubeconfig() + " --hub-context hub --kubeconfig " + third +
				" --token third --name third --label env=staging --local",
		}},
	}
}

// explain says what runs here, what does not, and what to try.
func (d *run) explain() {
	var b strings.Builder
	b.WriteString(`
The API servers, etcd, controllers, Git server, hub and agents are real. The nodes are simulated: Pods become ready, but
no container runs in them, so there are no logs, no exec, no network between Pods, and an Ingress answers nobody.
`)
	for _, n := range d.nexts() {
		fmt.Fprintf(&b, "\n# %s\n", n.title)
		for _, c := range n.commands {
			fmt.Fprintf(&b, "%s\n", c)
		}
	}
	b.WriteString("\nCtrl-C ends the demo and everything it started.\n\n")
	fmt.Fprint(d.Out, b.String())
}
