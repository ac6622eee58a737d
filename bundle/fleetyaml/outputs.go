package fleetyaml

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/expression"
)

// valueName is what outputs and inputs are called: templates write it behind a dot.
var valueName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

const valueNameRule = "has letters, digits and _, begins with no digit, and is at most 63 long, so that ${ .Inputs.NAME } can be written"

func (f *FleetYAML) validateOutputs() (errs Errors) {
	seen := map[string]bool{}
	for i, o := range f.Outputs {
		path := fmt.Sprintf("outputs[%d]", i)
		fail := func(field, format string, args ...any) { errs = append(errs, f.Errorf(path+field, format, args...)) }
		switch {
		case !valueName.MatchString(o.Name):
			fail(".name", "an output's name "+valueNameRule)
		case seen[o.Name]:
			fail(".name", "%q is the name of an output above; give each its own", o.Name)
		}
		seen[o.Name] = true
		if o.Generate != nil {
			if o.Value != "" || o.Object != nil || o.ForEach != nil {
				fail(".generate", "a value that is generated has no object, value and forEach")
			}
			if o.Generate.Bytes < 16 || o.Generate.Bytes > 1024 {
				fail(".generate.bytes", "want 16 to 1024")
			}
			continue
		}
		errs = append(errs, f.lookedAt(path+".object", o.Object)...)
		errs = append(errs, f.expression(path+".value", o.Value, seenBy(&o)...)...)
		if o.ForEach != nil {
			if o.ForEach.ClusterSelector == nil {
				fail(".forEach", "clusterSelector is missing; {} picks all clusters")
			}
			errs = append(errs, f.selector(path+".forEach.clusterSelector", o.ForEach.ClusterSelector)...)
		}
	}
	return errs
}

// lookedAt checks that an output says which object it looks at, or which ones.
func (f *FleetYAML) lookedAt(path string, o *v1alpha1.OutputObject) Errors {
	switch {
	case o == nil:
		return nil
	case o.APIVersion == "" || o.Kind == "" || o.Name == "" && o.LabelSelector == nil:
		return Errors{f.Errorf(path, "apiVersion, kind and name say which object it is; one of them is missing")}
	case o.Name != "" && o.LabelSelector != nil:
		return Errors{f.Errorf(path+".labelSelector", "it is either one object by its name, or those with labels")}
	}
	return f.selector(path+".labelSelector", o.LabelSelector)
}

// seenBy are the names that an output's expression may use.
func seenBy(o *v1alpha1.Output) []string {
	var names []string
	if o.Object != nil {
		names = append(names, expression.Self, expression.Bundle)
	}
	names = append(names, expression.Cluster)
	if o.ForEach != nil {
		names = append(names, expression.Each)
	}
	return names
}

func (f *FleetYAML) expression(path, source string, names ...string) Errors {
	if strings.TrimSpace(source) == "" {
		return Errors{f.Errorf(path, "a CEL expression is missing, such as self.data.token")}
	}
	if _, err := expression.Compile(source, names...); err != nil {
		return Errors{f.Errorf(path, "%s", err)}
	}
	return nil
}

var inputClusters = []string{string(v1alpha1.InputClustersOne), string(v1alpha1.InputClustersSame), string(v1alpha1.InputClustersAll)}

func (f *FleetYAML) validateInputs() (errs Errors) {
	seen := map[string]bool{}
	for i, in := range f.Inputs {
		path := fmt.Sprintf("inputs[%d]", i)
		fail := func(field, format string, args ...any) { errs = append(errs, f.Errorf(path+field, format, args...)) }
		switch {
		case !valueName.MatchString(in.Name):
			fail(".name", "an input's name "+valueNameRule)
		case seen[in.Name]:
			fail(".name", "%q is the name of an input above; give each its own", in.Name)
		}
		seen[in.Name] = true
		if in.Clusters != "" && !slices.Contains(inputClusters, string(in.Clusters)) {
			fail(".clusters", "want %s; clusters are picked by clusterSelector", strings.Join(inputClusters, ", "))
		}
		errs = append(errs, f.selector(path+".clusterSelector", in.ClusterSelector)...)
		errs = append(errs, f.from(path+".from", &in.From)...)
		if in.Default != nil && !in.Optional {
			fail(".default", "only an input that is optional has a default")
		}
		if into := in.Into; into != nil && (into.Name == "" || into.Kind != "Secret" && into.Kind != "ConfigMap") {
			fail(".into", "kind Secret or ConfigMap, and a name, say what is made; one of them is missing")
		}
	}
	return errs
}

// from checks that an input names an output of a bundle, or a fact.
func (f *FleetYAML) from(path string, from *v1alpha1.InputFrom) Errors {
	switch {
	case from.Fact != "" && (from.Bundle != "" || from.Output != ""):
		return Errors{f.Errorf(path, "it is either a fact, or an output of a bundle")}
	case from.Fact != "":
		return f.expression(path+".fact", from.Fact, expression.Cluster)
	case from.Bundle == "" || from.Output == "":
		return Errors{f.Errorf(path, "bundle and output are missing, or fact")}
	}
	return nil
}
