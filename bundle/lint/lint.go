// Package lint checks a fleet repo without a cluster: all that is wrong in it at once, each with its place.
//
// It reads the bundles as the hub does, reads every plain manifest, and renders each bundle for made-up clusters, one for
// each of its targets and customizations. What depends on a cluster that nobody knows here is not judged: a label that a
// value asks for.
package lint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/fleetyaml"
	"flotilla.io/flotilla/bundle/preview"
	"flotilla.io/flotilla/bundle/reader"
	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// Problem is one mistake. Line and Column count from 1.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Warning bool   `json:"warning,omitempty"` // it keeps nothing from being deployed, but has not the effect it seems to have
	Message string `json:"message"`
}

func (p Problem) String() string {
	word := "error"
	if p.Warning {
		word = "warning"
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, word, p.Message)
}

// Result is what a check found.
type Result struct {
	Problems []Problem // sorted by place
	Bundles  int
}

// MadeUp is what made-up clusters are like.
type MadeUp struct {
	render.Capabilities                // what charts see
	Inputs              target.Assumed // a bundle whose inputs are not all known is not rendered
}

// Check checks the tree as the GitRepo reads it. charts fetches those from elsewhere.
func Check(ctx context.Context, tree reader.Tree, repo reader.Repo, charts reader.Charts, on MadeUp) (Result, error) {
	l := &linter{tree: tree, on: on, seen: map[Problem]bool{}}
	found, err := reader.Read(tree, repo)
	l.errors(".", err)
	if l.inputs, err = preview.Inputs(found, err == nil, on.Inputs); err != nil {
		return Result{}, err
	}
	reader.Fetch(ctx, found, charts)
	for i := range found {
		l.bundle(ctx, &found[i])
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
	}
	idle, err := reader.Unclaimed(tree, repo, found)
	if err != nil {
		return Result{}, err
	}
	for _, text := range idle {
		l.text(".", text, true)
	}
	slices.SortFunc(l.problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Message, b.Message))
	})
	return Result{l.problems, len(found)}, nil
}

type linter struct {
	tree     reader.Tree
	on       MadeUp
	inputs   *target.Assumptions
	problems []Problem
	seen     map[Problem]bool
}

// bundle checks one bundle as far as its mistakes let it be understood.
func (l *linter) bundle(ctx context.Context, f *reader.Found) {
	if f.Err != nil {
		l.errors(f.Path, f.Err)
		return
	}
	for _, n := range f.NotServed {
		l.text(f.Path, n.Field+": not served yet: "+n.Why, !n.Blocks)
	}
	settings := l.settings(f)
	blocked := false
	for _, n := range target.NotServed(f.Bundle) {
		blocked = blocked || n.Blocks
		p := settings.Errorf(settingsPath(settings, n.Field), "not served yet: %s", n.Why)
		l.add(Problem{File: p.File, Line: p.Line, Column: p.Column, Warning: !n.Blocks, Message: p.Message})
	}
	faults := render.Faults(render.Input{Bundle: f.Bundle.Name, Files: f.Files, Options: f.Bundle.Spec.BundleDeploymentOptions})
	for _, err := range faults {
		l.errors(f.Path, err)
	}
	l.sources(f, settings)
	if len(faults) == 0 && !blocked {
		l.render(ctx, f)
	}
}

// render renders the bundle for each of the made-up clusters, and each rendering once.
func (l *linter) render(ctx context.Context, f *reader.Found) {
	rendered := map[string]*render.Output{}
	patches := idle{map[string]string{}, map[string]bool{}}
	for _, c := range madeUp(f.Bundle) {
		m, err := target.New(f.Bundle, c.groups)
		if err != nil {
			l.errors(f.Path, err)
			return
		}
		given := l.inputs.For(f.Bundle)
		m.Give(given)
		matches, errs := m.MatchAll(ctx, []*v1alpha1.Cluster{&c.Cluster}, l.fill(f))
		match := matches[0]
		if match == nil {
			l.missing(f, errs[0])
			continue // not for this cluster, or a value asks for a label that only a real one has
		}
		if _, err := given(&c.Cluster).Objects(f.Bundle); err != nil {
			l.errors(f.Path, l.settings(f).Errorf("inputs", "%s", err))
		}
		in := render.Input{Bundle: f.Bundle.Name, Files: f.Files, Options: match.Options}
		base, err := render.Base(in)
		if _, known := rendered[base]; !known && err == nil {
			rendered[base], err = render.Sketch(ctx, in, &l.on.Capabilities)
		}
		if unshown := (*render.UnshownError)(nil); !errors.As(err, &unshown) { // it may be sound where the cluster has what it asks for
			l.errors(f.Path, err)
		}
		patches.note(f.Bundle, match, rendered[base])
	}
	patches.tell(l, f)
}

// fill fills in templates for a cluster, after telling what is wrong with them on every one.
func (l *linter) fill(f *reader.Found) target.Filler {
	return func(ctx context.Context, job target.Job) []target.Filled {
		for _, text := range job.Texts {
			if err := text.Check(); err != nil {
				field, message, _ := strings.Cut(err.Error(), ": ")
				l.errors(f.Path, l.settings(f).Errorf(field, "%s", message))
			}
		}
		return target.Fill(ctx, job)
	}
}

// settings reads a bundle's fleet.yaml again, for the places of its keys.
func (l *linter) settings(f *reader.Found) *fleetyaml.FleetYAML {
	for _, name := range []string{fleetyaml.Name, fleetyaml.Fallback} {
		file := path.Join(f.Path, name)
		if data, err := fs.ReadFile(l.tree, file); err == nil {
			parsed, _ := fleetyaml.Parse(file, data)
			return parsed
		}
	}
	parsed, _ := fleetyaml.Parse(f.Path, nil)
	return parsed
}

var specTarget = regexp.MustCompile(`^targets\[(\d+)\]`)

// settingsPath is a field of a Bundle's spec as the settings name it: there, customizations are a list of their own.
func settingsPath(settings *fleetyaml.FleetYAML, field string) string {
	field = strings.TrimPrefix(field, "spec.")
	at := specTarget.FindStringSubmatch(field)
	if at == nil {
		return field
	}
	i, _ := strconv.Atoi(at[1])
	written := len(settings.Targets)
	switch {
	case i < written:
		return field
	case i < written+len(settings.TargetCustomizations):
		return fmt.Sprintf("targetCustomizations[%d]%s", i-written, field[len(at[0]):])
	}
	return fmt.Sprintf("overrideTargets[%d]%s", i-written-len(settings.TargetCustomizations), field[len(at[0]):])
}

// errors takes an error apart into problems. dir is the bundle's directory, for those that name no file of the tree.
func (l *linter) errors(dir string, err error) {
	var all fleetyaml.Errors
	var one fleetyaml.Error
	var rendering *render.Error
	joined, isJoined := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
	case isJoined:
		for _, err := range joined.Unwrap() {
			l.errors(dir, err)
		}
	case errors.As(err, &all):
		for _, e := range all {
			l.add(Problem{File: e.File, Line: e.Line, Column: e.Column, Message: e.Message})
		}
	case errors.As(err, &one):
		l.add(Problem{File: one.File, Line: one.Line, Column: one.Column, Message: one.Message})
	case errors.As(err, &rendering):
		l.text(dir, rendering.Error(), false)
	default:
		l.text(dir, err.Error(), false)
	}
}

var placed = regexp.MustCompile(`^([^\s:]+)(?::(\d+))?(?::(\d+))?(?: \([^)]*\))?: `)

// text is a problem whose message begins with its file, in the bundle's directory or the tree, and perhaps its line.
func (l *linter) text(dir, message string, warning bool) {
	p := Problem{File: l.fileOf(dir), Warning: warning, Message: message}
	if at := placed.FindStringSubmatch(message); at != nil {
		for _, file := range []string{path.Join(dir, at[1]), at[1]} {
			if _, err := fs.Stat(l.tree, file); err == nil && fs.ValidPath(file) {
				p.File, p.Message = file, message[len(at[0]):]
				p.Line, _ = strconv.Atoi(at[2])
				p.Column, _ = strconv.Atoi(at[3])
				break
			}
		}
	}
	l.add(p)
}

// fileOf is the file that speaks for a bundle: its fleet.yaml, or the directory itself.
func (l *linter) fileOf(dir string) string {
	for _, name := range []string{fleetyaml.Name, fleetyaml.Fallback} {
		if file := path.Join(dir, name); exists(l.tree, file) {
			return file
		}
	}
	return dir
}

func exists(tree reader.Tree, file string) bool {
	_, err := fs.Stat(tree, file)
	return err == nil
}

// add takes a problem up once, and gives it a place: where the line begins, or the first line.
func (l *linter) add(p Problem) {
	p.File = path.Clean(p.File)
	if p.Line > 0 && p.Column == 0 {
		p.Column = l.indent(p.File, p.Line) + 1
	}
	p.Line, p.Column = max(p.Line, 1), max(p.Column, 1)
	if !l.seen[p] {
		l.seen[p] = true
		l.problems = append(l.problems, p)
	}
}

// indent is how far a line of a file is indented.
func (l *linter) indent(file string, line int) int {
	data, err := fs.ReadFile(l.tree, file)
	lines := strings.Split(string(data), "\n")
	if err != nil || line > len(lines) {
		return 0
	}
	return len(lines[line-1]) - len(strings.TrimLeft(lines[line-1], " \t"))
}

// candidate is a made-up cluster, with the groups that it is in.
type candidate struct {
	v1alpha1.Cluster
	groups []v1alpha1.ClusterGroup
}
