package tenant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// Kind is a kind of object as the cluster serves it.
type Kind struct {
	Resource   schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// NotServedError says that the cluster does not serve a kind, or not in this version.
type NotServedError struct{ schema.GroupVersionKind }

func (e *NotServedError) Error() string {
	return fmt.Sprintf("kind %s of %s is not served by this cluster", e.Kind, e.GroupVersion())
}

// IsNotServed tells whether err is about a kind that the cluster does not serve.
func IsNotServed(err error) bool {
	var not *NotServedError
	return errors.As(err, &not)
}

// Kinds answers which resource a kind is and whether it is namespaced. It asks for one API version at a time, when first
// needed, and asks again when a kind is not in what it knows: a CustomResourceDefinition may have come. Its methods may be
// called at the same time.
type Kinds struct {
	discovery *discovery.DiscoveryClient

	mu    sync.Mutex
	known map[schema.GroupVersion]map[string]Kind
}

func newKinds(config *rest.Config) (*Kinds, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing discovery: %w", err)
	}
	return &Kinds{discovery: client, known: map[schema.GroupVersion]map[string]Kind{}}, nil
}

// Of finds a kind; a *NotServedError if the cluster does not serve it.
func (k *Kinds) Of(gvk schema.GroupVersionKind) (Kind, error) {
	gv := gvk.GroupVersion()
	k.mu.Lock()
	kind, ok := k.known[gv][gvk.Kind]
	k.mu.Unlock()
	if ok {
		return kind, nil
	}
	kinds, err := k.ask(gv)
	if err != nil {
		return Kind{}, err
	}
	k.mu.Lock()
	k.known[gv] = kinds
	k.mu.Unlock()
	if kind, ok = kinds[gvk.Kind]; !ok {
		return Kind{}, &NotServedError{gvk}
	}
	return kind, nil
}

// ask reads what an API version serves: nothing, if the cluster does not know it.
func (k *Kinds) ask(gv schema.GroupVersion) (map[string]Kind, error) {
	list, err := k.discovery.ServerResourcesForGroupVersion(gv.String())
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking what %s serves: %w", gv, err)
	}
	kinds := make(map[string]Kind, len(list.APIResources))
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			kinds[r.Kind] = Kind{gv.WithResource(r.Name), r.Kind, r.Namespaced}
		}
	}
	return kinds, nil
}

// Forget drops what is known of an API version: an answer showed that it is not true any more.
func (k *Kinds) Forget(gv schema.GroupVersion) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, gv)
}

// InAnyVersion finds a kind that is not served in the version it was once applied at: it may have moved to another.
func (k *Kinds) InAnyVersion(gk schema.GroupKind, tried string) (Kind, error) {
	groups, err := k.discovery.ServerGroups()
	if err != nil {
		return Kind{}, fmt.Errorf("asking for the versions of %s: %w", gk.Group, err)
	}
	for _, group := range groups.Groups {
		if group.Name != gk.Group {
			continue
		}
		for _, v := range group.Versions {
			if v.Version == tried {
				continue
			}
			if kind, err := k.Of(gk.WithVersion(v.Version)); err == nil || !IsNotServed(err) {
				return kind, err
			}
		}
	}
	return Kind{}, &NotServedError{gk.WithVersion(tried)}
}

// Served lists what the cluster serves: "group/version" and "group/version/Kind", sorted, as charts ask for it. An API
// that is registered but does not answer is left out, and named in the error; the rest is still true.
func (k *Kinds) Served() ([]string, error) {
	_, lists, err := k.discovery.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("asking what the cluster serves: %w", err)
	}
	var served []string
	for _, list := range lists {
		served = append(served, list.GroupVersion)
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") {
				served = append(served, list.GroupVersion+"/"+r.Kind)
			}
		}
	}
	slices.Sort(served)
	return slices.Compact(served), err
}

// Index is a digest of what the cluster serves, at the cost of one small request: as long as it stays, Served does too.
func (k *Kinds) Index() (string, error) {
	index, err := k.discovery.RESTClient().Get().AbsPath("/openapi/v3").Do(context.Background()).Raw()
	if err != nil {
		return "", fmt.Errorf("asking what the cluster serves: %w", err)
	}
	sum := sha256.Sum256(index)
	return hex.EncodeToString(sum[:]), nil
}

// Version is the cluster's version, as "v1.37.2".
func (k *Kinds) Version() (string, error) {
	info, err := k.discovery.ServerVersion()
	if err != nil {
		return "", fmt.Errorf("asking for the cluster's version: %w", err)
	}
	return info.GitVersion, nil
}

// Listable are the kinds that live in namespaces and can be listed, each in the version that the cluster prefers. All APIs must
// answer: what is in one that does not is not known.
func (k *Kinds) Listable() ([]Kind, error) {
	lists, err := k.discovery.ServerPreferredNamespacedResources()
	if err != nil {
		return nil, fmt.Errorf("asking what the cluster serves: %w", err)
	}
	var kinds []Kind
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("asking what the cluster serves: %w", err)
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && !strings.Contains(r.Name, "/") {
				kinds = append(kinds, Kind{gv.WithResource(r.Name), r.Kind, true})
			}
		}
	}
	return kinds, nil
}
