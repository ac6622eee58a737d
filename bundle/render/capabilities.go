package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Questions. Each asks as little as it can: the fewer clusters tell apart by an answer, the fewer renderings.
const (
	askVersion    = "kubeVersion" // v1.31.2
	askMajor      = "kubeVersion.major"
	askMinor      = "kubeVersion.minor"
	askConstraint = "kubeVersion:" // + a constraint as in Chart.yaml: "true" or "false"
	askAPI        = "apis:"        // + group/version or group/version/Kind: "true" or "false"
)

// Answer answers a question as a cluster with caps does. It returns ErrNotReported when caps is nil.
func Answer(question string, caps *Capabilities) (string, error) {
	if caps == nil {
		return "", ErrNotReported
	}
	if api, ok := strings.CutPrefix(question, askAPI); ok {
		return fmt.Sprint(slices.Contains(caps.APIs, api)), nil
	}
	version, err := semver.NewVersion(caps.KubernetesVersion)
	if err != nil {
		return "", fmt.Errorf("answering %s: the cluster reports version %q: %w", question, caps.KubernetesVersion, err)
	}
	if constraint, ok := strings.CutPrefix(question, askConstraint); ok {
		return fmt.Sprint(chartutil.IsCompatibleRange(constraint, caps.KubernetesVersion)), nil
	}
	switch question {
	case askVersion:
		return caps.KubernetesVersion, nil
	case askMajor:
		return fmt.Sprint(version.Major()), nil
	case askMinor:
		return fmt.Sprint(version.Minor()), nil
	}
	return "", fmt.Errorf("answering %q: this version of Flotilla does not know the question", question)
}

// recorder is what templates see as .Capabilities: it answers, and keeps what was asked.
type recorder struct {
	caps  *Capabilities
	asked map[string]string
	err   error // the first question that had no answer
}

func newRecorder(caps *Capabilities) *recorder {
	return &recorder{caps: caps, asked: map[string]string{}}
}

// answer asks the cluster and keeps the question.
func (r *recorder) answer(question string) (string, error) {
	if answer, ok := r.asked[question]; ok {
		return answer, nil
	}
	answer, err := Answer(question, r.caps)
	if err != nil {
		if r.err == nil {
			r.err = fmt.Errorf("asking the cluster for %s: %w", question, err)
		}
		return "", err
	}
	r.asked[question] = answer
	return answer, nil
}

// ask is answer for templates. It panics when there is none, which ends the template: nothing it does with a made-up answer
// may count. Where something catches the panic, err still tells.
func (r *recorder) ask(question string) string {
	answer, err := r.answer(question)
	if err != nil {
		panic(err)
	}
	return answer
}

func (r *recorder) answers() []v1alpha1.CapabilityAnswer {
	var answers []v1alpha1.CapabilityAnswer
	for question, answer := range r.asked {
		answers = append(answers, v1alpha1.CapabilityAnswer{Question: question, Answer: answer})
	}
	slices.SortFunc(answers, byQuestion)
	return answers
}

// The methods below are templates' .Capabilities: fields of Helm's own type are methods here.

// HelmVersion is the same for every cluster: no question.
func (r *recorder) HelmVersion() any { return chartutil.DefaultCapabilities.HelmVersion }

func (r *recorder) KubeVersion() kubeVersion { return kubeVersion{r} }

// APIVersions can be asked with Has only: whatever reads all of them would tell every cluster from every other.
func (r *recorder) APIVersions() apiVersions { return apiVersions{r} }

type kubeVersion struct{ r *recorder }

func (k kubeVersion) Version() string    { return k.r.ask(askVersion) }
func (k kubeVersion) GitVersion() string { return k.r.ask(askVersion) }
func (k kubeVersion) String() string     { return k.r.ask(askVersion) }
func (k kubeVersion) Major() string      { return k.r.ask(askMajor) }
func (k kubeVersion) Minor() string      { return k.r.ask(askMinor) }

type apiVersions struct{ r *recorder }

func (a apiVersions) Has(api string) bool { return a.r.ask(askAPI+api) == "true" }

// BuiltIn are the APIs that every cluster of about this version serves, with their kinds: what there is to go by where no
// cluster can be asked.
func BuiltIn() []string {
	apis := slices.Clone(chartutil.DefaultVersionSet)
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version != runtime.APIVersionInternal && slices.Contains(apis, gvk.GroupVersion().String()) {
			apis = append(apis, gvk.GroupVersion().String()+"/"+gvk.Kind)
		}
	}
	slices.Sort(apis)
	return apis
}
