// Package render turns a bundle's files and the options of one target into Kubernetes objects.
//
// It is a pure function with libraries only: Helm v3's engine and Kustomize's API, over files in memory. It starts no
// process, opens no connection, resolves no name, reads no environment and no file of this machine. What a template asks
// about the cluster goes through a recorder, so that Output.Asked holds all that a rendering depended on besides its Input,
// and a Key made of both names the result.
//
// What makes a rendering depend on more than that (lookup, valuesFrom, random or timely values) is not rendered here: the
// Output then holds the input itself, packed into objects, for the agent of each cluster to render with RenderOn. Whatever
// is wrong with the input is an *Error naming file and line.
//
// A template can still loop or fill memory without end: the hub and the agent render through the package worker.
package render

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/api/v1alpha1"
)

// Version names this renderer in every Base. Whatever changes what the same input renders to changes it: our own code (the
// number in front) and the libraries (a test compares them with go.mod).
const Version = "2 helm.sh/helm/v3@v3.22.0 sigs.k8s.io/kustomize/api@v0.21.2"

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
	// OnCluster tells why this has to be rendered on the cluster; Objects are then the packed input. "" if they are what is
	// wanted.
	OnCluster string
	Kept      Kept // of RenderOn: the values to hand over next time
	Warnings  []Warning
}

// Render renders in for a cluster with these capabilities.
//
// Errors are an *Error (the input is wrong), ErrNotReported (something was asked and caps is nil; all else went unjudged) or
// ctx's.
func Render(ctx context.Context, in Input, caps *Capabilities) (*Output, error) {
	return render(ctx, in, newRecorder(caps), nil)
}

// RenderOn renders in on a cluster, where nothing needs to be put off. valuesFrom must be in the values already.
func RenderOn(ctx context.Context, in Input, on Cluster) (*Output, error) {
	return render(ctx, in, newRecorder(&on.Capabilities), &on)
}

func render(ctx context.Context, in Input, rec *recorder, on *Cluster) (out *Output, err error) {
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
	why := st.putOff(in)
	if why != "" && on == nil {
		return pack(in, why)
	}
	tpl := templating{rec: rec, cluster: newLookups(on), kept: on.kept()}
	objects, warnings, err := st.objects(ctx, in, tpl)
	var later *deferral
	if errors.As(err, &later) {
		return pack(in, later.Error())
	}
	if rec.err != nil {
		return nil, fmt.Errorf("rendering %s: %w", in.Bundle, rec.err)
	}
	if err != nil {
		return nil, err
	}
	sorted, err := settle(withoutUnrun(objects))
	if err != nil {
		return nil, err
	}
	return &Output{Objects: sorted, Asked: rec.answers(), Kept: tpl.kept, Warnings: warnings}, ctx.Err()
}

// objects renders by style: the chart or the raw manifests, then Kustomize over what the chart gave; then, over all of it, what the
// options ask of Kustomize.
func (st style) objects(ctx context.Context, in Input, tpl templating) ([]object, []Warning, error) {
	objects, err := st.plainObjects(ctx, in, tpl)
	if err != nil {
		return nil, nil, err
	}
	custom := customization(&in.Options)
	if custom == nil || len(objects) == 0 {
		return objects, nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return customize(objects, custom)
}

func (st style) plainObjects(ctx context.Context, in Input, tpl templating) ([]object, error) {
	var objects, crds []object
	var err error
	switch {
	case st.chart != "":
		crds, objects, err = renderChart(ctx, in, st.chart, st.chartLoader(in), tpl)
	case st.kustomization == "":
		objects, err = renderRaw(ctx, in, tpl)
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
