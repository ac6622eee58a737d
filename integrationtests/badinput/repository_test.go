package badinput

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flotilla.io/flotilla/integrationtests/world"
)

// mistake is one bundle of a repository in which a push breaks one thing.
type mistake struct {
	rule  string
	dir   string            // of the bundle; its namespace, too
	chart bool              // the good state is a chart, not plain manifests
	good  map[string]string // besides what every bundle has
	bad   map[string]string // what the push changes; "" removes
	link  string            // a symbolic link, to where, that the push adds
	// told are parts of what kubectl shows of the Bundle.
	told []string
	// cluster: the cluster refuses something of the revision. What it takes is deployed: the ConfigMap then says lives.
	cluster bool
	lives   string
	// mend are files that put right what reverting bad alone does not.
	mend map[string]string
	// kept is looked at while the mistake stands.
	kept func(*world.World)
}

const (
	fleetYAML = "fleet.yaml"
	stateYAML = "state.yaml"
	template  = "templates/state.yaml"
	chartYAML = "apiVersion: v2\nname: app\nversion: 1.0.0\n"
)

// files is a bundle's state: its ConfigMap says text.
func (m *mistake) files(text string) map[string]string {
	if m.chart {
		return map[string]string{fleetYAML: "defaultNamespace: " + m.dir + "\n", "Chart.yaml": chartYAML, template: configMap("state", text)}
	}
	return map[string]string{fleetYAML: "defaultNamespace: " + m.dir + "\n", stateYAML: configMap("state", text)}
}

// broken is what the push changes: the ConfigMap too, so that a revision which should not count would be seen.
func (m *mistake) broken() map[string]string { return merged(m.files("next"), m.good, m.bad) }

// mended is what puts it right again.
func (m *mistake) mended() map[string]string {
	out := map[string]string{}
	for path := range m.bad {
		out[path] = ""
	}
	if m.link != "" {
		out["link.yaml"] = ""
	}
	return merged(out, m.files("mended"), m.good, m.mend)
}

func (m *mistake) bundle() string { return "shop-" + m.dir }

// mistakesInARepository: one push breaks every bundle of a repository but one, each in its own way.
func mistakesInARepository(t *testing.T, w *world.World) {
	prepareTenants(w)
	all := mistakes()
	good, broken, mended := map[string]string{}, map[string]string{}, map[string]string{}
	var bundles []string
	for i := range all {
		m := &all[i]
		good = merged(good, in(m.dir, merged(m.files("good"), m.good)))
		broken = merged(broken, in(m.dir, m.broken()))
		mended = merged(mended, in(m.dir, m.mended()))
		bundles = append(bundles, m.bundle())
	}
	sound := mistake{dir: "sound"}
	gitRepo(w, "shop", w.Repo("shop", merged(good, in(sound.dir, sound.files("good")))), nil)
	w.Settled(append(bundles, sound.bundle())...)

	w.Push("shop", map[string]string{"note.text": "a first commit makes the work tree\n"})
	for i := range all {
		if m := &all[i]; m.link != "" {
			w.Check(os.Symlink(m.link, filepath.Join(w.Dir, "work", "shop", m.dir, "link.yaml")))
		}
	}
	before := map[string]string{}
	for _, b := range bundles {
		before[b] = commitOf(w, b)
	}
	w.Push("shop", merged(broken, in(sound.dir, sound.files("next"))))
	for i := range all {
		m := &all[i]
		t.Run(m.rule, func(t *testing.T) { m.check(of(t, w), before[m.bundle()]) })
	}
	t.Run("other bundles go on", func(t *testing.T) { says(of(t, w), sound.dir, "state", "next") })
	t.Run("the GitRepo names the first three and counts the rest", func(t *testing.T) {
		w := of(t, w)
		w.T.Log(tells(w, "the GitRepo", func() string { return row(w, "gitrepos", "shop") }, "BundlesFailed: ", "more; what was deployed before stays"))
	})

	w.Push("shop", mended)
	for i := range all {
		m := &all[i]
		t.Run("mended: "+m.rule, func(t *testing.T) {
			w := of(t, w)
			says(w, m.dir, "state", "mended")
			settled(w, m.bundle())
		})
	}
	t.Run("mended: the GitRepo has nothing to say", func(t *testing.T) {
		w := of(t, w)
		w.Eventually("the GitRepo", func() error {
			if c := condition(w, "gitrepo", world.Workspace, "shop", "Ready"); c != "True : " {
				return fmt.Errorf("it says %q", c)
			}
			return nil
		})
	})
}

// check: the Bundle tells, the last good state stays, and the hub's own mistakes reach no cluster.
func (m *mistake) check(w *world.World, commit string) {
	bundle := func() string { return row(w, "bundles", m.bundle()) }
	if m.cluster {
		w.T.Log(tells(w, "the bundle", bundle, m.told...))
		w.T.Log(tells(w, "the BundleDeployment", func() string { return deploymentRow(w, m.bundle()) }, m.told...))
		says(w, m.dir, "state", cmp.Or(m.lives, "next"))
	} else {
		w.T.Log(tells(w, "the bundle", bundle, append(m.told, commit[:7]+" stays deployed", "1/1")...))
		still(w, m.dir, "state", "good")
	}
	if line := deploymentRow(w, m.bundle()); strings.Contains(line, "Healthy") == m.cluster {
		w.T.Errorf("its BundleDeployment reads %q", line)
	}
	if m.kept != nil {
		m.kept(w)
	}
}
