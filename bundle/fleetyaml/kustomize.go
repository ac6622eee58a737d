package fleetyaml

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/util/intstr"

	"flotilla.io/flotilla/api/v1alpha1"
)

// kustomize checks the patches, images and replicas of one place at path. What has a ${ } is judged only once it is filled in.
func (f *FleetYAML) kustomize(path string, k *v1alpha1.KustomizeOptions) (errs Errors) {
	if k == nil {
		return nil
	}
	for i, p := range k.Patches {
		at := fmt.Sprintf("%s.patches[%d]", path, i)
		switch {
		case p.Path == "" && p.Patch == "":
			errs = append(errs, f.Errorf(at, "patch or path is missing"))
		case p.Path != "" && p.Patch != "":
			errs = append(errs, f.Errorf(at+".path", "patch stands there, too; keep one"))
		case p.Target == nil && isList(p.Patch):
			errs = append(errs, f.Errorf(at, "target is missing: kind and name of the object that the operations are for"))
		}
	}
	for i, image := range k.Images {
		if image.Name == "" {
			errs = append(errs, f.Errorf(fmt.Sprintf("%s.images[%d]", path, i), "name is missing: the image without its tag"))
		}
	}
	for i, replica := range k.Replicas {
		at := fmt.Sprintf("%s.replicas[%d]", path, i)
		if replica.Name == "" {
			errs = append(errs, f.Errorf(at, "name is missing: that of the workload"))
		}
		if !isCount(replica.Count) {
			errs = append(errs, f.Errorf(at+".count", "want a whole number, or a ${ } that gives one"))
		}
	}
	return errs
}

// isList tells whether a patch is a list, of operations that is.
func isList(patch string) bool {
	var node yaml.Node
	return yaml.Unmarshal([]byte(patch), &node) == nil && len(node.Content) == 1 && node.Content[0].Kind == yaml.SequenceNode
}

func isCount(count intstr.IntOrString) bool {
	if count.Type == intstr.Int {
		return count.IntVal >= 0
	}
	n, err := strconv.ParseInt(count.StrVal, 10, 32)
	return strings.Contains(count.StrVal, "${") || err == nil && n >= 0
}
