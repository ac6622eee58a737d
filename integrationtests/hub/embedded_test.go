package hub

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"flotilla.io/flotilla/integrationtests/terminal"
	"flotilla.io/flotilla/integrationtests/world"
)

// A person with no cluster runs a hub, stops it and runs it again: it is the same hub.
func TestTheEmbeddedHubKeepsItsData(t *testing.T) {
	dir := terminal.Folder(t)
	bin := world.Bin(t)
	p := terminal.New(t, "sh").With("LOCALFLEET_BIN="+filepath.Join(bin, "localfleet"), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"))
	hub := func() string {
		return fmt.Sprintf("exec '%s/flotilla' hub --dir '%s' --webhook-addr %s", bin, dir, world.FreeAddress(t))
	}
	command := hub()
	kubectl := filepath.Join(bin, "localfleet") + " kubectl "

	first := p.Opens("/", command)
	first.Says("the hub is ready", terminal.Patience)
	if !strings.Contains(first.Output(), "the API server comes from "+bin) || !strings.Contains(first.Output(), "export KUBECONFIG="+dir) {
		t.Errorf("it says\n%s", first.Output())
	}
	p.MustRun(kubectl + "create -n fleet-default -f - <<END\n" +
		"apiVersion: fleet.cattle.io/v1alpha1\nkind: Bundle\nmetadata: {name: mine}\nspec: {}\nEND")
	p.Eventually(kubectl+"get bundle mine -n fleet-default -o jsonpath='{.status.conditions[*].type} {.metadata.uid}'", "Targeted")
	uid := p.MustRun(kubectl + "get bundle mine -n fleet-default -o jsonpath='{.metadata.uid}'")
	server := p.MustRun(kubectl + "config view -o jsonpath='{.clusters[0].cluster.server}'")

	if out, err := p.Runs("/", hub()); terminal.ExitCode(err) != 1 || !strings.Contains(out, "runs in "+dir) {
		t.Errorf("a second hub in the same folder ends with %v and says\n%s", err, out)
	}
	stop(t, first, dir)

	again := p.Opens("/", command)
	again.Says("the hub is ready", terminal.Patience)
	if now := p.MustRun(kubectl + "get bundle mine -n fleet-default -o jsonpath='{.metadata.uid}'"); now != uid {
		t.Errorf("the Bundle of the first run has UID %s in the second, want %s", now, uid)
	}
	if now := p.MustRun(kubectl + "config view -o jsonpath='{.clusters[0].cluster.server}'"); now != server {
		t.Errorf("agents know the hub as %s, and it is at %s now", server, now)
	}
	p.MustRun(kubectl + "annotate bundle mine -n fleet-default touched=again && " + kubectl +
		"patch bundle mine -n fleet-default --type=merge -p '{\"spec\":{\"paused\":true}}'")
	p.Eventually(kubectl+"get bundle mine -n fleet-default -o jsonpath='{.metadata.generation} {.status.observedGeneration}'", "2 2")
	stop(t, again, dir)
}

func stop(t *testing.T, hub *terminal.Session, dir string) {
	t.Helper()
	hub.CtrlC()
	if err := hub.Ends(terminal.Patience); err != nil {
		t.Errorf("Ctrl-C ends the hub with %v; it said\n%s", err, hub.Output())
	}
	terminal.NothingLeft(t, dir)
}
