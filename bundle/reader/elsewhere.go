package reader

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"gopkg.in/yaml.v3"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/bundle/source/charts"
	"flotilla.io/flotilla/bundle/target"
)

// Wanted is a chart that a bundle needs from elsewhere: one that its options name, or a dependency of a chart of its own.
type Wanted struct {
	charts.Ref
	dir  string // where its files go; a dependency's version is added to it
	deps bool
	fail func(err error) error // an error about it, at its place in the files
}

// Charts gives who fetches charts for the bundle at a path of the tree: credentials may differ by path.
type Charts func(path string) ChartFetcher

// ChartFetcher fetches charts, such as a charts.Session.
type ChartFetcher interface {
	Fetch(context.Context, charts.Ref) (*charts.Chart, error)
}

// Fetch brings the charts that bundles need from elsewhere into their files. What cannot be fetched breaks its own bundle only.
func Fetch(ctx context.Context, found []Found, from Charts) {
	for i := range found {
		f := &found[i]
		if f.Err != nil || len(f.Wanted) == 0 {
			continue
		}
		session := from(f.Path)
		var errs []error
		f.Resolved = make([]string, len(f.Wanted))
		for n, w := range f.Wanted {
			got, err := session.Fetch(ctx, w.Ref)
			if err != nil {
				errs = append(errs, w.fail(err))
				continue
			}
			f.Resolved[n] = got.Version
			dir := w.dir
			if w.deps {
				dir += "-" + got.Version
			}
			for name, data := range got.Files {
				f.Files[path.Join(dir, name)] = data
			}
		}
		f.Err = errors.Join(append(errs, checkSize(f))...)
	}
}

// checkSize bounds a bundle with its charts.
func checkSize(f *Found) error {
	total := int64(0)
	for _, data := range f.Files {
		total += int64(len(data))
	}
	if total > maxBytes || len(f.Files) > maxFiles {
		return fmt.Errorf("%s: with its charts the bundle has %d files and %s, the limits are %d and %s; deploy some charts as bundles of their own",
			f.Path, len(f.Files), megabytes(total), maxFiles, megabytes(maxBytes))
	}
	return nil
}

// ChartDir is where a chart from elsewhere is among a bundle's files: Fleet's name for what its options ask for.
func ChartDir(helm *v1alpha1.HelmOptions) string {
	return fmt.Sprintf(".chart/%x", sha256.Sum256([]byte(helm.Chart+":"+helm.Repo+":"+helm.Version)))
}

// elsewhere notes the charts that are to be fetched: one for each that some cluster may be told to deploy.
func (r *reading) elsewhere() error {
	for _, asked := range r.asked() {
		ref, l := asked.ref, asked.layer
		dir := ChartDir(&v1alpha1.HelmOptions{Chart: ref.Chart, Repo: ref.Repo, Version: ref.Version})
		same := func(w Wanted) bool { return w.dir == dir }
		if !isElsewhere(ref) || slices.ContainsFunc(r.found.Wanted, same) {
			continue
		}
		r.found.Wanted = append(r.found.Wanted, Wanted{Ref: ref, dir: dir, fail: func(err error) error { return r.failAt(l, ref, err) }})
	}
	return nil
}

// isElsewhere tells whether a chart is to be fetched.
func isElsewhere(ref charts.Ref) bool { return ref.Repo != "" || target.RemoteChart(ref.Chart) }

// asked is a chart, and the layer that asks for it.
type asked struct {
	ref   charts.Ref
	layer layer
}

// asked are the charts that options can come to: those of the bundle with those of one target over them, or, where all
// customizations count, with those of any of them in order.
func (r *reading) asked() []asked {
	base := asked{over(charts.Ref{}, r.layers[0].options.Helm), r.layers[0]}
	all := r.spec.TargetCustomizationMode == v1alpha1.TargetCustomizationModeAllMatches
	reached := []asked{base}
	var out []asked
	for _, l := range r.layers[1:] {
		from := []asked{base}
		if all {
			from = reached
		}
		for _, before := range slices.Clone(from) {
			now := asked{over(before.ref, l.options.Helm), l}
			if now.ref == before.ref {
				now.layer = before.layer
			}
			out = append(out, now)
			if !slices.ContainsFunc(reached, func(a asked) bool { return a.ref == now.ref }) && len(reached) < maxAsked {
				reached = append(reached, now)
			}
		}
	}
	return out
}

// maxAsked bounds the charts of one bundle.
const maxAsked = 50

// over lays the options of a target over what was asked for.
func over(ref charts.Ref, helm *v1alpha1.HelmOptions) charts.Ref {
	if helm == nil {
		return ref
	}
	set := func(value *string, by string) {
		if by == "-" {
			*value = ""
		} else if by != "" {
			*value = by
		}
	}
	set(&ref.Repo, helm.Repo)
	set(&ref.Chart, helm.Chart)
	set(&ref.Version, helm.Version)
	return ref
}

// failAt puts an error at the field that is to be corrected, in the layer that sets it.
func (r *reading) failAt(l layer, ref charts.Ref, err error) error {
	field := "repo"
	var known *source.Error
	if errors.As(err, &known) {
		switch known.Reason {
		case charts.VersionNotFound, charts.VersionInvalid:
			field = "version"
		case charts.ChartNotFound, charts.ChartInvalid:
			field = "chart"
		}
	}
	if field == "repo" && ref.Repo == "" || field == "version" && ref.Version == "" || field == "chart" && ref.Chart == "" {
		field = "chart"
		if ref.Chart == "" {
			field = "repo"
		}
	}
	if !sets(l.options.Helm, field) {
		l = r.layers[0]
	}
	return &FetchError{Place: r.fail(l, "helm."+field, "%s", err), Cause: err}
}

func sets(helm *v1alpha1.HelmOptions, field string) bool {
	return helm != nil && map[string]string{"repo": helm.Repo, "chart": helm.Chart, "version": helm.Version}[field] != ""
}

// FetchError is a chart that could not be fetched: a place in the files, and why.
type FetchError struct{ Place, Cause error }

func (e *FetchError) Error() string { return e.Place.Error() }
func (e *FetchError) Unwrap() error { return e.Cause }

// As finds the place, too.
func (e *FetchError) As(as any) bool {
	if into, ok := as.(*fleetyaml.Error); ok {
		if place, isPlace := e.Place.(fleetyaml.Error); isPlace {
			*into = place
			return true
		}
	}
	if into, ok := as.(*fleetyaml.Errors); ok {
		if places, are := e.Place.(fleetyaml.Errors); are {
			*into = places
			return true
		}
	}
	return false
}

// vendored notes the dependencies of the repository's own charts that do not lie in their charts directory.
func (r *reading) vendored() {
	if r.updatesNone() {
		return // rendering says what is missing
	}
	for _, dir := range r.found.uses {
		locked := r.locked(dir)
		for _, d := range r.dependenciesOf(dir) {
			if _, local := d.local(); local || d.repository == "" || r.hasVendored(r.files.key(path.Join(dir, "charts", d.name))) {
				continue
			}
			version := d.version
			if pinned := locked[d.name+" "+d.repository]; fits(pinned, d.version) {
				version = pinned
			}
			r.found.Wanted = append(r.found.Wanted, Wanted{
				Ref: charts.Ref{Repo: d.repository, Chart: d.name, Version: version}, dir: r.files.key(path.Join(dir, "charts", d.name)), deps: true,
				fail: func(err error) error { return &FetchError{Place: d.fail("%s", err), Cause: err} },
			})
		}
	}
}

// locked are the versions that a chart's lock names, by name and repository. A lock that is older than the chart's wishes is no
// matter: what does not fit them is not taken.
func (r *reading) locked(dir string) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"Chart.lock", "requirements.lock"} {
		data, err := fs.ReadFile(r.tree, path.Join(dir, name))
		var lock struct {
			Dependencies []struct{ Name, Repository, Version string }
		}
		if err != nil || yaml.Unmarshal(data, &lock) != nil {
			continue
		}
		for _, d := range lock.Dependencies {
			out[d.Name+" "+d.Repository] = d.Version
		}
	}
	return out
}

func fits(version, wanted string) bool {
	v, err := semver.NewVersion(version)
	if err != nil {
		return false
	}
	constraint, err := semver.NewConstraint(cmp.Or(wanted, "*"))
	return err == nil && constraint.Check(v)
}

// hasVendored tells whether a dependency is there, as a directory or packed.
func (r *reading) hasVendored(key string) bool {
	if _, unpacked := r.found.Files[path.Join(key, chartFile)]; unpacked {
		return true
	}
	for name := range maps.Keys(r.found.Files) {
		if strings.HasPrefix(name, key+"-") && strings.HasSuffix(name, ".tgz") {
			return true
		}
	}
	return false
}
