package render

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
)

// charts yields a chart and those in it.
func charts(c *chart.Chart) func(yield func(*chart.Chart) bool) {
	return func(yield func(*chart.Chart) bool) {
		if !yield(c) {
			return
		}
		for _, sub := range c.Dependencies() {
			for found := range charts(sub) {
				if !yield(found) {
					return
				}
			}
		}
	}
}

var (
	// engineError: parse errors, and what fail and required say, as Helm puts them.
	engineError = regexp.MustCompile(`(?s)^(?:parse error|execution error) (?:at|in) \(([^()]*)\): (.*)$`)
	// frame is one template in the chain of an error of text/template.
	frame     = regexp.MustCompile(`template: ([^:\s]+:\d+)(?::\d+)?: executing "[^"]*" at (<.*?>): `)
	firstLine = regexp.MustCompile(`^([^:]+):1:(\d+)$`)
	// unset is how text/template says that a value is missing.
	unset = regexp.MustCompile(`nil pointer evaluating [^.]*\.(\w+)`)
	// quoted is what such an error may hold of values.
	quoted = regexp.MustCompile(`(?s)(cannot parse template|during tpl function execution for) "(?:[^"\\]|\\.)*"|(parsing) "[^"]*"|(range can't iterate over) .*`)
)

// inFile corrects the column in a first line, where the file's beginning is marked.
func inFile(where, chartName string) string {
	found := firstLine.FindStringSubmatch(where)
	if found == nil {
		return where
	}
	column, _ := strconv.Atoi(found[2])
	file := templateFile(found[1], chartName, "")
	return fmt.Sprintf("%s:1:%d", found[1], max(0, column-len(beginning(file))))
}

// templateError tells where in which template rendering ended, in the innermost one that is a file, and why.
func templateError(err error, chartName, dir string) error {
	text := quoted.ReplaceAllString(err.Error(), "$1$2$3 a value")
	where, entry, reason := chartName, "", text
	if found := engineError.FindStringSubmatch(text); found != nil {
		where, reason = found[1], found[2]
	} else if frames := frame.FindAllStringSubmatchIndex(text, -1); frames != nil {
		inner := frames[len(frames)-1]
		reason = text[inner[4]:inner[5]] + ": " + text[inner[1]:]
		entry = text[frames[0][2]:frames[0][3]]
		for _, f := range slices.Backward(frames) {
			if where = text[f[2]:f[3]]; !strings.HasPrefix(where, "gotpl:") {
				break
			}
		}
	}
	where = templateFile(inFile(strings.TrimSpace(where), chartName), chartName, dir)
	if entry != "" {
		entry = templateFile(entry, chartName, dir)
	}
	var put *deferral
	if errors.As(err, &put) {
		file, _, _ := strings.Cut(entry, ":")
		return &deferral{where, put.What, file}
	}
	reason = unset.ReplaceAllString(reason, "what stands before .$1 is not set")
	if entry != "" && entry != where {
		reason += " (called from " + entry + ")"
	}
	wrong := &Error{ReasonRenderFailed, where, capped(reason)}
	if strings.HasPrefix(text, "parse error") {
		return syntaxError{wrong}
	}
	return wrong
}
