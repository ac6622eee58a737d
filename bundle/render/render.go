// Package render turns a bundle's files and the options of one target into Kubernetes objects.
//
// It is a pure function with libraries only: Helm v3's engine and Kustomize's API, over files in memory. It starts no
// process, opens no connection, resolves no name, reads no environment and no file of this machine. What a template asks
// about the cluster goes through a recorder, so that Output.Asked holds all that a rendering depended on besides its Input,
// and a Key made of both names the result.
//
// What would make a rendering depend on more than that (lookup, hooks, random or timely values) is refused with a
// *NotServedError. Everything else that is wrong with the input is an *Error naming file and line.
//
// A template can still loop or fill memory without end: the hub and the agent render through the package worker.
package render

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Version names this renderer in every Base. Whatever changes what the same input renders to changes it: our own code (the
// number in front) and the libraries (a test compares them with go.mod).
const Version = "1 helm.sh/helm/v3@v3.22.0 sigs.k8s.io/kustomize/api@v0.21.2"

// Input is one bundle with the options merged for one target.
type Input struct {
	Bundle string // the bundle's name: the default of .Release.Name and the name of the chart around raw templates
	// Files are relative to the bundle's directory, slash-separated and clean; keys that begin with "../" are Kustomize
	// bases and charts beside it. They are not modified.
	Files   map[string][]byte
	Options v1alpha1.BundleDeploymentOptions // values already templated; valuesFiles already merged in
}

// Capabilities are what templates may ask about a cluster. A nil *Capabilities stands for a cluster that has not reported yet.
type Capabilities struct {
	KubernetesVersion string   // as the API server tells it: v1.31.2+k3s1
	APIs              []string // group/version and group/version/Kind, in any order
}

// Output is a rendering.
type Output struct {
	// Objects are sorted: namespaces and CRDs, then the rest, by group, kind, namespace and name. Each has an apiVersion, a
	// kind and a name, no two are the same, whole numbers are int64. Namespaces are as written.
	Objects []*unstructured.Unstructured
	Asked   []v1alpha1.CapabilityAnswer // sorted by question, each once
}

// Render renders in for a cluster with these capabilities.
//
// Errors are an *Error (the input is wrong), a *NotServedError (the input needs what is not served yet), ErrNotReported
// (something was asked and caps is nil; all else went unjudged) or ctx's.
func Render(ctx context.Context, in Input, caps *Capabilities) (out *Output, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, &Error{ReasonRenderFailed, in.Bundle, capped(fmt.Sprintf("the renderer panicked: %v", r))}
		}
	}()
	files, err := clean(in.Files)
	if err != nil {
		return nil, err
	}
	in.Files = files
	st, err := detect(in)
	if err != nil {
		return nil, err
	}
	rec := newRecorder(caps)
	objects, err := st.objects(ctx, in, rec)
	if rec.err != nil {
		return nil, fmt.Errorf("rendering %s: %w", in.Bundle, rec.err)
	}
	if err != nil {
		return nil, err
	}
	sorted, err := settle(objects)
	if err != nil {
		return nil, err
	}
	return &Output{Objects: sorted, Asked: rec.answers()}, ctx.Err()
}

// objects renders by style: the chart or the raw manifests, then Kustomize over what the chart gave; then, over all of it, what the
// options ask of Kustomize.
func (st style) objects(ctx context.Context, in Input, rec *recorder) ([]object, error) {
	objects, err := st.plainObjects(ctx, in, rec)
	if err != nil {
		return nil, err
	}
	custom := customization(&in.Options)
	if custom == nil || len(objects) == 0 {
		return objects, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return customize(objects, custom)
}

func (st style) plainObjects(ctx context.Context, in Input, rec *recorder) ([]object, error) {
	var objects, crds []object
	var err error
	switch {
	case st.chart != "":
		crds, objects, err = renderChart(ctx, in, st.chart, st.chartLoader(in), rec)
	case st.kustomization == "":
		objects, err = renderRaw(ctx, in, rec)
	}
	if err != nil || st.kustomization == "" {
		return append(crds, objects...), err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	objects, err = kustomize(in.Files, st.kustomization, objects)
	return append(crds, objects...), err
}
