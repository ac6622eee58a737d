// Package outputs prints the values that bundles hand to others: as a table, as data, and as variables for Terraform.
package outputs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/controller/output"
)

// hidden stands where a sensitive value would.
const hidden = "(sensitive)"

const widest = 60 // characters of a value in a table

// Table prints a line for each value.
func Table(w io.Writer, all []output.Shown) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "BUNDLE\tOUTPUT\tCLUSTER\tFOR\tVALUE\tTAKEN-BY\tSTATUS")
	for _, s := range all {
		var status []string
		for _, text := range []string{s.Error, s.Left} {
			if text != "" {
				status = append(status, text)
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Bundle, s.Output, s.Cluster, s.Each, short(s), strings.Join(s.Takers, ","), strings.Join(status, "; "))
	}
	return tw.Flush()
}

func short(s output.Shown) string {
	if s.Sensitive {
		return hidden
	}
	if s.Value == nil {
		return ""
	}
	text, isText := s.Value.(string)
	if !isText {
		data, _ := json.Marshal(s.Value)
		text = string(data)
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > widest {
		text = string(runes[:widest-1]) + "…"
	}
	return text
}

// Names prints what --format name does: BUNDLE/OUTPUT, once each.
func Names(w io.Writer, all []output.Shown) error {
	last := ""
	for _, s := range all {
		if name := s.Bundle + "/" + s.Output; name != last {
			last = name
			if _, err := fmt.Fprintln(w, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// JSON prints a list.
func JSON(w io.Writer, all []output.Shown) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(append([]output.Shown{}, all...))
}

// YAML prints a list.
func YAML(w io.Writer, all []output.Shown) error {
	data, err := yaml.Marshal(append([]output.Shown{}, all...))
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// TFVars prints a variable for each output: a map by cluster, of an output with a value for each consumer a map of maps. Its name is
// that of the output, behind that of the bundle where qualified asks for it. What is sensitive is left out.
func TFVars(w io.Writer, all []output.Shown, qualified bool) error {
	values, order := map[string]map[string]any{}, []string(nil)
	for _, s := range all {
		if s.Sensitive || s.Value == nil {
			continue
		}
		name := s.Output
		if qualified {
			name = strings.NewReplacer("-", "_", ".", "_").Replace(s.Bundle) + "_" + name
		}
		if values[name] == nil {
			values[name], order = map[string]any{}, append(order, name)
		}
		into, key := values[name], s.Cluster
		if s.Each != "" {
			inner, _ := into[s.Cluster].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
			}
			into[s.Cluster], into, key = inner, inner, s.Each
		}
		into[key] = s.Value
	}
	file := hclwrite.NewEmptyFile()
	for _, name := range order {
		value, err := hclOf(values[name])
		if err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
		file.Body().SetAttributeValue(name, value)
	}
	_, err := file.WriteTo(w)
	return err
}

func hclOf(value any) (cty.Value, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return cty.NilVal, err
	}
	kind, err := ctyjson.ImpliedType(data)
	if err != nil {
		return cty.NilVal, err
	}
	return ctyjson.Unmarshal(data, kind)
}

// ErrNoneHealthy says that an output has values, and none of a healthy cluster: whoever writes a file of them keeps the last one.
var ErrNoneHealthy = errors.New("no cluster is healthy; keep what was written last")

// Healthy leaves out what inputs that want healthy clusters would not take.
func Healthy(all []output.Shown) ([]output.Shown, error) {
	type name struct{ bundle, output string }
	left, kept := map[name]string{}, map[name]bool{}
	var order []name
	var out []output.Shown
	for _, s := range all {
		of := name{s.Bundle, s.Output}
		if s.Left == "" {
			kept[of], out = true, append(out, s)
			continue
		}
		if left[of] == "" {
			order = append(order, of)
		}
		left[of] = s.Cluster + ": " + s.Left
	}
	for _, of := range order {
		if !kept[of] {
			return nil, fmt.Errorf("output %s of bundle %s: %w: %s", of.output, of.bundle, ErrNoneHealthy, left[of])
		}
	}
	return out, nil
}

// Formats are what Print takes.
var Formats = []string{"table", "json", "yaml", "tfvars", "name"}

// Print prints in one of Formats, or prints nothing at all.
func Print(w io.Writer, all []output.Shown, format string, qualified bool) error {
	var text bytes.Buffer
	err := fmt.Errorf("--format %q: want one of %s", format, strings.Join(Formats, ", "))
	switch format {
	case "table":
		err = Table(&text, all)
	case "json":
		err = JSON(&text, all)
	case "yaml":
		err = YAML(&text, all)
	case "tfvars":
		err = TFVars(&text, all, qualified)
	case "name":
		err = Names(&text, all)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(text.Bytes())
	return err
}
