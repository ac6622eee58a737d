package install

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	crd "flotilla.io/flotilla/charts/flotilla-crd"
)

const fieldManager = "flotilla-install"

// Target is a cluster to install to.
type Target struct {
	Config *rest.Config

	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// NewTarget reaches the cluster of a config.
func NewTarget(cfg *rest.Config) (*Target, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = -1, -1
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &Target{Config: cfg, dynamic: dyn, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))}, nil
}

// Hub installs the CRDs and the hub's chart. withDeployment false leaves the controller out: it runs as a process.
func (t *Target) Hub(ctx context.Context, values map[string]any, withDeployment bool) error {
	if err := t.CRDs(ctx); err != nil {
		return err
	}
	return t.chart(ctx, HubChart, values, withDeployment, fleet.SystemNamespace, fleet.RegistrationNamespace, fleet.DefaultWorkspace, fleet.LocalWorkspace)
}

// Agent installs the agent's chart with the values of a registration token's Secret.
func (t *Target) Agent(ctx context.Context, values map[string]any, withDeployment bool) error {
	return t.chart(ctx, AgentChart, values, withDeployment, fleet.SystemNamespace)
}

func (t *Target) chart(ctx context.Context, name string, values map[string]any, withDeployment bool, namespaces ...string) error {
	version, err := Version(t.Config)
	if err != nil {
		return err
	}
	objects, err := Chart(ctx, name, fleet.SystemNamespace, values, version)
	if err != nil {
		return err
	}
	if !withDeployment {
		objects = without(objects, "Deployment")
	}
	for _, ns := range namespaces {
		objects = append([]*unstructured.Unstructured{namespace(ns)}, objects...)
	}
	return t.Apply(ctx, objects...)
}

// CRDs installs the kinds of the hub and waits until they are served.
func (t *Target) CRDs(ctx context.Context) error {
	all, err := crd.All()
	if err != nil {
		return err
	}
	for _, c := range all {
		c.TypeMeta = metav1.TypeMeta{APIVersion: apiextensionsv1.SchemeGroupVersion.String(), Kind: "CustomResourceDefinition"}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: content}
		unstructured.RemoveNestedField(u.Object, "status")
		if err := t.Apply(ctx, u); err != nil {
			return err
		}
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		t.mapper.Reset()
		for _, c := range all {
			_, err := t.mapper.RESTMapping(schema.GroupKind{Group: c.Spec.Group, Kind: c.Spec.Names.Kind}, c.Spec.Versions[0].Name)
			if err != nil {
				return false, nil
			}
		}
		return true, nil
	})
}

// Apply applies objects in order with server-side apply.
func (t *Target) Apply(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, o := range objects {
		if err := t.apply(ctx, o); err != nil {
			return fmt.Errorf("applying %s %s/%s: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err)
		}
	}
	return nil
}

func (t *Target) apply(ctx context.Context, o *unstructured.Unstructured) error {
	gvk := o.GroupVersionKind()
	mapping, err := t.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		t.mapper.Reset()
		mapping, err = t.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return err
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	force := true
	_, err = t.client(mapping, o.GetNamespace()).Patch(ctx, o.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: fieldManager, Force: &force})
	return err
}

func (t *Target) client(mapping *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return t.dynamic.Resource(mapping.Resource)
	}
	return t.dynamic.Resource(mapping.Resource).Namespace(cmp.Or(namespace, fleet.SystemNamespace))
}

func namespace(name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("v1")
	u.SetKind("Namespace")
	u.SetName(name)
	return u
}
