package argocd

import (
	"errors"
	"regexp"
	"strings"
)

// reports collects what is not carried, and notes, in the order in which they come up and each once.
type reports struct {
	losses []Loss
	notes  []string
	seen   map[string]bool
}

// report is the reports for one ApplicationSet.
type report struct {
	*reports
	name string
}

func (r *reports) of(name string) report { return report{r, name} }

func (r report) add(where, reason string) {
	loss := Loss{r.name + ": " + where, reason}
	if !r.seen[loss.String()] {
		r.seen[loss.String()] = true
		r.losses = append(r.losses, loss)
	}
}

func (r report) note(text string) {
	text = r.name + ": " + text
	if !r.seen[text] {
		r.seen[text] = true
		r.notes = append(r.notes, text)
	}
}

// lose adds an error as a loss; a problem knows where it is.
func (r report) lose(err error) {
	var p *problem
	if errors.As(err, &p) {
		r.add(p.where, p.reason)
		return
	}
	r.add("spec", err.Error())
}

// problem is why an Application, or all of a generator, is not carried.
type problem struct{ where, reason string }

func (p *problem) Error() string { return p.where + ": " + p.reason }

// reasons tell why a field is not carried; the first whose expression fits the field's path counts. A note is no loss.
var reasons = []struct {
	field  *regexp.Regexp
	reason string
	note   bool
}{
	{expression(`spec.template.metadata.(annotations|finalizers|labels|namespace)`), "they are of the Application, and there is none; clusters, bundles and their objects have labels of their own", true},
	{expression(`spec.template.spec.(info|revisionHistoryLimit)`), "it is of the Application, and there is none", true},
	{expression(`spec.generators.*requeueAfterSeconds`), "the GitRepo's pollingInterval says how often Git is asked", true},
	{expression(`spec.*syncPolicy.retry`), "what fails is tried again, always", true},
	{expression(`spec.*kustomize.(namespace|commonLabels|commonAnnotations|commonAnnotationsEnvsubst|nameSuffix|components|forceCommonLabels|forceCommonAnnotations|labelWithoutSelector|labelIncludeTemplates|ignoreMissingComponents)`), "put it into the directory's kustomization.yaml", false},
	{expression(`spec.*(kustomize|helm).(version|kubeVersion|apiVersions)`), "the hub renders, for the version and APIs of each cluster", false},
	{expression(`spec.*helm.fileParameters`), "put the file's text into the values", false},
	{expression(`spec.*helm.passCredentials`), "helmSecretName and helmRepoURLRegex of the GitRepo say who gets credentials", false},
	{expression(`spec.*helm.skipCrds`), "crds/ of a chart is applied always", false},
	{expression(`spec.*helm.ignoreMissingValueFiles`), "a values file that is missing is an error; take it out of the list", false},
	{expression(`spec.*helm.namespace`), "the release's namespace is that of the bundle", false},
	{expression(`spec.*ignoreDifferences.*(jqPathExpressions|managedFieldsManagers)`), "diff.comparePatches of fleet.yaml takes JSON pointers; name the fields by these", false},
	{expression(`spec.*plugin`), "config management plugins are not run; the hub renders Helm, Kustomize and plain manifests", false},
	{expression(`spec.*directory.(jsonnet|include)`), "the hub renders Helm, Kustomize and plain manifests, all of a directory", false},
	{expression(`spec.*automated.allowEmpty`), "a revision that lost all objects deletes them, as any revision does", false},
	{expression(`spec.syncPolicy.(applicationsSync|.*)`), "there are no Applications that could be created, updated or kept by themselves", false},
	{expression(`spec.(ignoreApplicationDifferences|preservedFields)`), "there are no Applications that somebody could change", true},
}

func expression(field string) *regexp.Regexp {
	escaped := strings.NewReplacer(".*", ".*", ".", `\.`).Replace(field)
	return regexp.MustCompile(`^` + escaped + `$`)
}

// unread reports a field that nothing here knows how to carry.
func (r report) unread(field string) {
	for _, known := range reasons {
		if known.field.MatchString(field) {
			if known.note {
				r.note(field + " is left out: " + known.reason)
			} else {
				r.add(field, known.reason)
			}
			return
		}
	}
	r.add(field, "there is nothing like it")
}
