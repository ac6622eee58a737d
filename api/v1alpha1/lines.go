package v1alpha1

import "strings"

// String is the line in which Fleet writes an object that is not ready: "deployment.apps ns/web [progressing] 1 of 3".
func (s NonReadyStatus) String() string {
	return objectName(s.APIVersion, s.Kind, s.Namespace, s.Name) + " " + s.Summary.String()
}

// String is "[progressing] a, b" or "error] a". That the second has no opening bracket is Fleet's; scripts look for it.
func (s Summary) String() string {
	line := ""
	switch {
	case s.Transitioning && s.Error:
		line = "[progressing,error]"
	case s.Transitioning:
		line = "[progressing]"
	case s.Error:
		line = "error]"
	default:
		return s.State
	}
	if len(s.Message) > 0 {
		line += " " + strings.Join(s.Message, ", ")
	}
	return line
}

// String is the line in which Fleet writes an object with drift: "deployment.apps ns/web modified …", "configmap.v1 ns/a missing".
func (s ModifiedStatus) String() string {
	object := objectName(s.APIVersion, s.Kind, s.Namespace, s.Name)
	switch {
	case s.Create && s.Exist:
		return object + " is not owned by us" + because(s.Patch)
	case s.Create:
		return object + " missing" + because(s.Patch)
	case s.Delete:
		return object + " extra"
	}
	return object + " modified " + s.Patch
}

// because is what Flotilla has to add about an object that is not there: why it cannot be put back.
func because(text string) string {
	if text == "" {
		return ""
	}
	return "; " + text
}

// objectName is Fleet's: deployment.apps ns/web, configmap.v1 ns/web, namespace.v1 web.
func objectName(apiVersion, kind, namespace, name string) string {
	if namespace != "" {
		name = namespace + "/" + name
	}
	group, _, _ := strings.Cut(apiVersion, "/")
	if group != "" {
		group = "." + group
	}
	return strings.ToLower(kind) + group + " " + name
}
