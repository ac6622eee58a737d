package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/reader"
)

// Deployment is a BundleDeployment with the files of its Content.
type Deployment struct {
	Object *fleet.BundleDeployment
	Files  map[string][]byte
}

// ParseDeployments reads what target prints: for each bundle its last BundleDeployment, as Fleet does, or that of a cluster
// where one is named. Notes tell which others were left out.
func ParseDeployments(data []byte, cluster string) (all []Deployment, notes []string, err error) {
	contents, deployments, err := stage(data)
	if err != nil {
		return nil, nil, err
	}
	last := map[string]int{} // by bundle, the place in all
	clusters := map[string][]string{}
	for _, bd := range deployments {
		if cluster != "" && bd.Labels[fleet.ClusterLabel] != cluster {
			continue
		}
		d, err := deploymentOf(bd, contents)
		if err != nil {
			return nil, nil, fmt.Errorf("BundleDeployment %s/%s: %w", bd.Namespace, bd.Name, err)
		}
		at, again := last[bd.Name]
		if again {
			all[at] = d
		} else {
			last[bd.Name] = len(all)
			all = append(all, d)
		}
		clusters[bd.Name] = append(clusters[bd.Name], cmp.Or(bd.Labels[fleet.ClusterLabel], bd.Namespace))
	}
	if len(all) == 0 && cluster != "" {
		return nil, nil, fmt.Errorf("the input has no BundleDeployment for cluster %q", cluster)
	}
	for _, d := range all {
		if names := clusters[d.Object.Name]; len(names) > 1 {
			notes = append(notes, fmt.Sprintf("bundle %s is in the input for clusters %s; what the last would get is deployed, as Fleet does: "+
				"--cluster names another", d.Object.Name, strings.Join(names, ", ")))
		}
	}
	return all, notes, nil
}

// stage sorts the documents of the input.
func stage(data []byte) (contents []*fleet.Content, deployments []*fleet.BundleDeployment, err error) {
	all, err := documents(data)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the input: %w", err)
	}
	for _, u := range all {
		switch u.GetKind() {
		case "Content":
			c, err := into(u, &fleet.Content{})
			if err != nil {
				return nil, nil, fmt.Errorf("reading the input: %w", err)
			}
			contents = append(contents, c)
		case "BundleDeployment":
			bd, err := into(u, &fleet.BundleDeployment{})
			if err != nil {
				return nil, nil, fmt.Errorf("reading the input: %w", err)
			}
			deployments = append(deployments, bd)
		}
	}
	switch {
	case len(contents) == 0:
		return nil, nil, errors.New("there is no Content in the input; pipe in what `flotilla target` prints")
	case len(deployments) == 0:
		return nil, nil, errors.New("there is no BundleDeployment in the input: `flotilla target` found no cluster for the bundle")
	}
	return contents, deployments, nil
}

func deploymentOf(bd *fleet.BundleDeployment, contents []*fleet.Content) (Deployment, error) {
	if bd.Spec.DeploymentID == "" {
		return Deployment{}, errors.New("bundle or cluster are paused, so it is only staged; resume them first")
	}
	manifest, _, _ := strings.Cut(bd.Spec.DeploymentID, ":")
	i := slices.IndexFunc(contents, func(c *fleet.Content) bool { return c.Name == manifest })
	if i < 0 {
		return Deployment{}, fmt.Errorf("its Content %s is not in the input", manifest)
	}
	resources, err := resourcesOf(contents[i])
	if err != nil {
		return Deployment{}, err
	}
	files, err := reader.Resources(&fleet.Bundle{Spec: fleet.BundleSpec{Resources: resources}})
	return Deployment{bd, files}, err
}
