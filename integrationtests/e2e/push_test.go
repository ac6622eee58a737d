package e2e

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

func configMap(name string, data string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {text: %q}\n", name, data)
}

var clusters = []string{"production", "development"}

// text reads what a ConfigMap says on a cluster; "" when it is not there.
func text(w *world.World, cluster, namespace, name string) (string, types.UID, error) {
	cm := &corev1.ConfigMap{}
	err := w.Clients[cluster].Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, cm)
	if apierrors.IsNotFound(err) {
		return "", "", nil
	}
	return cm.Data["text"], cm.UID, err
}

// says waits until the ConfigMap says want on every cluster; want "" waits until it is gone.
func says(w *world.World, namespace, name, want string) {
	w.T.Helper()
	for _, cluster := range clusters {
		w.Eventually(fmt.Sprintf("%s/%s on %s", namespace, name, cluster), func() error {
			got, _, err := text(w, cluster, namespace, name)
			if err == nil && got != want {
				err = fmt.Errorf("says %q, want %q", got, want)
			}
			return err
		})
	}
}

func aPushReachesEveryCluster(w *world.World) {
	url := w.Repo("pushed", map[string]string{
		"app/fleet.yaml": "defaultNamespace: pushed\n",
		"app/a.yaml":     configMap("a", "one"), "app/b.yaml": configMap("b", "one"),
	})
	w.GitRepo("pushed", url, nil)
	w.Settled("pushed-app")
	says(w, "pushed", "a", "one")

	w.Push("pushed", map[string]string{"app/a.yaml": configMap("a", "two")})
	says(w, "pushed", "a", "two")

	w.Push("pushed", map[string]string{"app/b.yaml": ""})
	says(w, "pushed", "b", "")
	says(w, "pushed", "a", "two")
}

func aRenamedPathHandsItsObjectsOver(w *world.World) {
	w.GitRepo("renamed", w.Repo("renamed", map[string]string{
		"old/fleet.yaml": "defaultNamespace: renamed\n", "old/a.yaml": configMap("a", "one"), "old/b.yaml": configMap("b", "one"),
	}), nil)
	w.Settled("renamed-old")
	before := uids(w, "renamed", "a", "b")
	w.Push("renamed", map[string]string{
		"old": "", "new/fleet.yaml": "defaultNamespace: renamed\n", "new/a.yaml": configMap("a", "one"), "new/b.yaml": configMap("b", "two"),
	})
	w.Settled("renamed-new")
	w.Eventually("the old bundle going", func() error {
		err := w.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "renamed-old"}, &fleet.Bundle{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there (%v)", err)
	})
	says(w, "renamed", "b", "two")
	for key, uid := range uids(w, "renamed", "a", "b") {
		if before[key] != uid || uid == "" {
			w.T.Errorf("%s was made anew: UID %q before, %q after", key, before[key], uid)
		}
	}
}

func uids(w *world.World, namespace string, names ...string) map[string]types.UID {
	out := map[string]types.UID{}
	for _, cluster := range clusters {
		for _, name := range names {
			_, uid, err := text(w, cluster, namespace, name)
			w.Check(err)
			out[cluster+"/"+name] = uid
		}
	}
	return out
}

func namespacesCRDsAndClaimsStay(w *world.World) {
	crd := `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`
	claim := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec:\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n"
	w.GitRepo("kept", w.Repo("kept", map[string]string{
		"app/fleet.yaml": "defaultNamespace: kept\nignore:\n  conditions: []\n", "app/cm.yaml": configMap("a", "one"),
		"app/ns.yaml":  "apiVersion: v1\nkind: Namespace\nmetadata: {name: extra}\n",
		"app/crd.yaml": crd, "app/claim.yaml": claim,
	}), nil)
	for _, cluster := range clusters {
		w.Eventually("the claim on "+cluster, func() error {
			out, err := w.TryKubectl(cluster, "-n", "kept", "get", "pvc", "data", "-o", "name")
			if err != nil {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	}
	w.Push("kept", map[string]string{"app/ns.yaml": "", "app/crd.yaml": "", "app/claim.yaml": "", "app/cm.yaml": configMap("a", "two")})
	says(w, "kept", "a", "two")
	w.Eventually("the status naming what stays", func() error {
		list := &fleet.BundleDeploymentList{}
		w.Check(w.Hub.Client.List(context.Background(), list, client.MatchingLabels{fleet.BundleLabel: "kept-app"}))
		if len(list.Items) != len(clusters) {
			return fmt.Errorf("there are %d deployments", len(list.Items))
		}
		for _, bd := range list.Items {
			kept := strings.ToLower(strings.Join(bd.Status.Kept, " "))
			for _, want := range []string{"extra", "boats.example.com", "data"} {
				if !strings.Contains(kept, want) {
					return fmt.Errorf("%s/%s keeps %q, want %s among them", bd.Namespace, bd.Name, kept, want)
				}
			}
		}
		return nil
	})
	for _, cluster := range clusters {
		w.Kubectl(cluster, "get", "namespace", "extra")
		w.Kubectl(cluster, "get", "crd", "boats.example.com")
		w.Kubectl(cluster, "-n", "kept", "get", "pvc", "data")
	}
}
