package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/target"
)

// contexts are what templates see of n clusters: c0, c1, ...
func contexts(n int) []v1alpha1.GenericMap {
	all := make([]v1alpha1.GenericMap, n)
	for i := range all {
		all[i].Data = map[string]any{"ClusterName": fmt.Sprint("c", i), "ClusterValues": map[string]any{"id": int64(9007199254740993)}}
	}
	return all
}

func TestFillInAChild(t *testing.T) {
	p := pool(t, 1, time.Minute)
	job := target.Job{Texts: []target.Text{{Path: "helm.values", Source: "a: ${ .ClusterName }"}, {Path: "helm.values", Source: "${ .ClusterValues.id }"}}, Contexts: contexts(1200)}
	got := p.Fill(t.Context(), job)
	for i, f := range got {
		if f.Error != "" || f.Texts[0] != fmt.Sprint("a: c", i) || f.Texts[1] != "9007199254740993" {
			t.Fatalf("cluster %d: %+v; a large number keeps its digits over the pipe", i, f)
		}
	}
	if len(got) != 1200 {
		t.Errorf("%d answers", len(got))
	}
	job = target.Job{Texts: []target.Text{{Path: "helm.values", Source: "${ .Nope }"}}, Contexts: contexts(1)}
	if got := p.Fill(t.Context(), job); !strings.Contains(got[0].Error, "there is no .Nope") || got[0].Broken {
		t.Errorf("a missing key is told as the library does: %+v", got)
	}
	job.Texts[0].Source = "${ nope }"
	if got := p.Fill(t.Context(), job); got[0].Error != `helm.values: ${ } has no function "nope"` || !got[0].Broken {
		t.Errorf("a mistake in the template is one of all clusters: %+v", got)
	}
	if got := p.Fill(t.Context(), target.Job{}); len(got) != 0 {
		t.Errorf("nothing to fill is nothing: %+v", got)
	}
}

const doubling = `${ $s := "0123456789" }${ range until 60 }${ $s = printf "%s%s" $s $s }${ end }`

// TestFillIsFenced has a template that runs away on one cluster of several: that one alone is told, and the pool serves others.
func TestFillIsFenced(t *testing.T) {
	for _, c := range []struct {
		rule, runaway, want string
		clusters            int
		timeout             time.Duration
	}{
		{"a text that doubles", doubling, "the templates: rendering needs more than 192 MiB", 8, time.Minute},
		{"a list that doubles", `${ $l := list 1 2 }${ range until 60 }${ $l = concat $l $l }${ end }`, "the templates: rendering needs more than 192 MiB", 2, time.Minute},
		{"a pattern over a long text, again and again", // the first half is fine, so of two clusters the second
			`${ $s := repeat 99999 "abcdefghij" }${ range until 9999 }${ $x := regexReplaceAll "([a-z]+)([0-9]*)z" $s "x" }${ end }`,
			"the templates: rendering took longer than 2s", 2, 2 * time.Second},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p := pool(t, 1, c.timeout)
			source := `${ if eq .ClusterName "c1" }` + c.runaway + `${ end }x`
			got := p.Fill(t.Context(), target.Job{Texts: []target.Text{{Path: "helm.values", Source: source}}, Contexts: contexts(c.clusters)})
			for i, f := range got {
				if i == 1 {
					if !strings.HasPrefix(f.Error, c.want) && !raceDetector {
						t.Errorf("got %q, want %q", f.Error, c.want)
					}
				} else if f.Error != "" || f.Texts[0] != "x" {
					t.Errorf("cluster %d: %+v", i, f)
				}
			}
			mustRender(t, p, "afterwards")
		})
	}
}

// TestFillGivesUp has a template that runs away everywhere: only so many children are ended for it.
func TestFillGivesUp(t *testing.T) {
	p := pool(t, 1, time.Minute)
	f := filling{p, []target.Text{{Path: "helm.values", Source: doubling}}, 3}
	for i, f := range f.fill(t.Context(), target.Job{Texts: f.texts, Contexts: contexts(300)}) {
		if f.Error == "" {
			t.Errorf("cluster %d: %+v", i, f)
		}
	}
	if f.left != 0 {
		t.Errorf("%d children were left to end", f.left)
	}
	mustRender(t, p, "afterwards")
}
