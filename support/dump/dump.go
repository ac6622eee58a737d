// Package dump writes the state of a hub into an archive, for somebody who is to look into it elsewhere: its objects as YAML,
// its events and its metrics.
//
// Nobody should have to read an archive before sending it away. So what may be confidential is left out unless it is asked
// for: values of Secrets, what Contents hold, files and values that stand in Bundles, and copies of them that kubectl keeps in
// annotations.
package dump

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	agentapi "flotilla.io/flotilla/api/flotilla/v1alpha1"
	fleet "flotilla.io/flotilla/api/v1alpha1"
)

// Options say what goes into the archive.
type Options struct {
	Namespace string // a workspace; "" for all
	// At most one of these names what the archive is about; with it go its bundles and what they deploy.
	GitRepo, Bundle, HelmOp string
	Limit                   int64 // objects of a kind that are fetched at once; 0 for no limit

	Secrets, SecretsMetadata bool // Secrets with all they hold, or without
	Content, ContentMetadata bool // Contents with all they hold, or their names; with them files and values in Bundles
}

// filtered tells whether the archive is about one thing.
func (o Options) filtered() bool { return o.GitRepo+o.Bundle+o.HelmOp != "" }

// Hub is where a dump is made.
type Hub struct {
	Objects  dynamic.Interface
	Metadata metadata.Interface
	Kube     kubernetes.Interface
}

// Reach prepares reading a hub.
func Reach(cfg *rest.Config) (*Hub, error) {
	var h Hub
	var err error
	if h.Objects, err = dynamic.NewForConfig(cfg); err != nil {
		return nil, err
	}
	if h.Metadata, err = metadata.NewForConfig(cfg); err != nil {
		return nil, err
	}
	h.Kube, err = kubernetes.NewForConfig(cfg)
	return &h, err
}

// kinds that are dumped whole, or of one workspace.
var kinds = []schema.GroupVersionResource{
	of("clusters"), of("clustergroups"), of("clusterregistrations"), of("clusterregistrationtokens"), of("bundlenamespacemappings"),
	of("gitreporestrictions"), of("policies"), of("schedules"), of("imagescans"),
}

func of(resource string) schema.GroupVersionResource {
	return fleet.GroupVersion.WithResource(resource)
}

// Write makes the archive at path. What cannot be read is left out, and told.
func (h *Hub) Write(ctx context.Context, path string, o Options) (left []error, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".dump-") // readable for its owner only
	if err != nil {
		return nil, fmt.Errorf("making the archive: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	packed := gzip.NewWriter(file)
	a := &archive{hub: h, tar: tar.NewWriter(packed), options: o, names: map[string]bool{}, namespaces: map[string]bool{}}
	if err := a.fill(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(a.tar.Close(), packed.Close(), file.Close()); err != nil {
		return nil, fmt.Errorf("writing the archive: %w", err)
	}
	return a.left, os.Rename(file.Name(), path)
}

// archive is one on its way.
type archive struct {
	hub     *Hub
	tar     *tar.Writer
	options Options

	bundles    []fleet.Bundle  // of the archive: names and labels
	layers     []string        // names of Contents that its deployments need
	namespaces map[string]bool // whose events and Secrets belong to it
	names      map[string]bool // files in it
	left       []error
}

// fill reads one kind after the other. Only what is wrong with the archive itself ends it.
func (a *archive) fill(ctx context.Context) error {
	a.namespaces[fleet.SystemNamespace] = true
	for _, step := range []func(context.Context) error{a.sources, a.inBundles, a.deployments, a.others, a.contents, a.secrets, a.events, a.metrics} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// skip tells what was left out, unless it is the caller who gave up.
func (a *archive) skip(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.left = append(a.left, fmt.Errorf("%s: %w", what, err))
	return nil
}

func (a *archive) add(name string, data []byte) error {
	if a.names[name] {
		return nil
	}
	a.names[name] = true
	header := &tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Size: int64(len(data))}
	if err := a.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	if _, err := a.tar.Write(data); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	return nil
}

func (a *archive) addObject(resource string, u *unstructured.Unstructured) error {
	data, err := yaml.Marshal(reduced(u, a.options).Object)
	if err != nil {
		return fmt.Errorf("encoding %s %s/%s: %w", resource, u.GetNamespace(), u.GetName(), err)
	}
	if u.GetNamespace() != "" {
		a.namespaces[u.GetNamespace()] = true
	}
	return a.add(fmt.Sprintf("%s_%s_%s", resource, u.GetNamespace(), u.GetName()), data)
}

// list reads a kind page by page. One that the hub does not serve has no objects.
func (a *archive) list(ctx context.Context, r schema.GroupVersionResource, namespace, selector string, take func(*unstructured.Unstructured) error) error {
	options := metav1.ListOptions{Limit: a.options.Limit, LabelSelector: selector}
	for {
		page, err := a.hub.Objects.Resource(r).Namespace(namespace).List(ctx, options)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return a.skip(ctx, r.Resource, err)
		}
		for i := range page.Items {
			if err := take(&page.Items[i]); err != nil {
				return err
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// sources are the GitRepos and HelmOps.
func (a *archive) sources(ctx context.Context) error {
	for resource, name := range map[string]string{"gitrepos": a.options.GitRepo, "helmops": a.options.HelmOp} {
		err := a.list(ctx, of(resource), a.options.Namespace, "", func(u *unstructured.Unstructured) error {
			if a.options.filtered() && u.GetName() != name {
				return nil
			}
			return a.addObject(resource, u)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) inBundles(ctx context.Context) error {
	return a.list(ctx, of("bundles"), a.options.Namespace, "", func(u *unstructured.Unstructured) error {
		labels := u.GetLabels()
		switch o := a.options; {
		case o.Bundle != "" && u.GetName() != o.Bundle,
			o.GitRepo != "" && labels[fleet.RepoLabel] != o.GitRepo,
			o.HelmOp != "" && labels[fleet.HelmOpLabel] != o.HelmOp && u.GetName() != o.HelmOp:
			return nil
		}
		a.bundles = append(a.bundles, fleet.Bundle{ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName()}})
		return a.addObject("bundles", u)
	})
}

// deployments are those of the bundles, wherever their clusters are.
func (a *archive) deployments(ctx context.Context) error {
	wanted := map[string]bool{}
	for _, b := range a.bundles {
		wanted[b.Namespace+"/"+b.Name] = true
	}
	selector := ""
	if a.options.Namespace != "" {
		selector = fleet.BundleNamespaceLabel + "=" + a.options.Namespace
	}
	return a.list(ctx, of("bundledeployments"), "", selector, func(u *unstructured.Unstructured) error {
		labels := u.GetLabels()
		if a.options.filtered() && !wanted[labels[fleet.BundleNamespaceLabel]+"/"+labels[fleet.BundleLabel]] {
			return nil
		}
		layers, _, _ := unstructured.NestedSlice(u.Object, "spec", "layers")
		for _, l := range layers {
			if ref, ok := l.(map[string]any); ok {
				a.layers = append(a.layers, fmt.Sprint(ref["id"]))
			}
		}
		return a.addObject("bundledeployments", u)
	})
}

func (a *archive) others(ctx context.Context) error {
	for _, r := range kinds {
		err := a.list(ctx, r, a.options.Namespace, "", func(u *unstructured.Unstructured) error { return a.addObject(r.Resource, u) })
		if err != nil {
			return err
		}
	}
	// Agents are in cluster namespaces: those that have a deployment in the archive.
	return a.list(ctx, agentapi.GroupVersion.WithResource("agents"), "", "", func(u *unstructured.Unstructured) error {
		if a.options.Namespace != "" && !a.namespaces[u.GetNamespace()] {
			return nil
		}
		return a.addObject("agents", u)
	})
}

// contents are those that the deployments need, or all.
func (a *archive) contents(ctx context.Context) error {
	wanted := func(name string) bool {
		if a.options.Namespace == "" && !a.options.filtered() {
			return true
		}
		for _, id := range a.layers {
			if name == id || strings.HasPrefix(name, id+"-") {
				return true
			}
		}
		return false
	}
	switch {
	case a.options.Content:
		return a.list(ctx, of("contents"), "", "", func(u *unstructured.Unstructured) error {
			if !wanted(u.GetName()) {
				return nil
			}
			data, err := yaml.Marshal(u.Object)
			if err != nil {
				return err
			}
			return a.add("contents_"+u.GetName(), data)
		})
	case a.options.ContentMetadata:
		return a.listMetadata(ctx, of("contents"), "", wanted, func(m *metav1.PartialObjectMetadata) string { return "contents_" + m.Name })
	}
	return nil
}

func (a *archive) listMetadata(ctx context.Context, r schema.GroupVersionResource, namespace string, wanted func(string) bool, name func(*metav1.PartialObjectMetadata) string) error {
	list, err := a.hub.Metadata.Resource(r).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return a.skip(ctx, r.Resource, err)
	}
	for i := range list.Items {
		m := &list.Items[i]
		if !wanted(m.Name) {
			continue
		}
		delete(m.Annotations, corev1.LastAppliedConfigAnnotation)
		m.ManagedFields = nil
		m.APIVersion, m.Kind = r.GroupVersion().String(), "Secret"
		if r.Group != "" {
			m.Kind = "Content"
		}
		data, err := yaml.Marshal(m)
		if err != nil {
			return err
		}
		if err := a.add(name(m), data); err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) secrets(ctx context.Context) error {
	for _, ns := range a.sortedNamespaces() {
		switch {
		case a.options.Secrets:
			list, err := a.hub.Kube.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				if err := a.skip(ctx, "secrets of "+ns, err); err != nil {
					return err
				}
				continue
			}
			for i := range list.Items {
				s := &list.Items[i]
				s.APIVersion, s.Kind = "v1", "Secret"
				data, err := yaml.Marshal(s)
				if err != nil {
					return err
				}
				if err := a.add(fmt.Sprintf("secrets_%s_%s", ns, s.Name), data); err != nil {
					return err
				}
			}
		case a.options.SecretsMetadata:
			everyone := func(string) bool { return true }
			name := func(m *metav1.PartialObjectMetadata) string { return fmt.Sprintf("secrets_%s_%s", ns, m.Name) }
			if err := a.listMetadata(ctx, corev1.SchemeGroupVersion.WithResource("secrets"), ns, everyone, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// events of a namespace are a file of JSON lines.
func (a *archive) events(ctx context.Context) error {
	for _, ns := range a.sortedNamespaces() {
		list, err := a.hub.Kube.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			if err := a.skip(ctx, "events of "+ns, err); err != nil {
				return err
			}
			continue
		}
		var lines bytes.Buffer
		encoder := json.NewEncoder(&lines)
		for i := range list.Items {
			if err := encoder.Encode(&list.Items[i]); err != nil {
				return err
			}
		}
		if lines.Len() > 0 {
			if err := a.add("events_"+ns, lines.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}
