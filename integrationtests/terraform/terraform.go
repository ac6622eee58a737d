// Package terraform says what a folder of Terraform would ask its providers for, without any provider: it fills in variables, locals,
// for_each and dynamic blocks with HCL's own library. The id of a resource is its address, such as `pool.cluster["a"]`.
package terraform

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// functions are those of Terraform that folders here use.
var functions = map[string]function.Function{
	"concat": stdlib.ConcatFunc, "distinct": stdlib.DistinctFunc, "keys": stdlib.KeysFunc, "lookup": stdlib.LookupFunc,
	"sort": stdlib.SortFunc, "split": stdlib.SplitFunc, "values": stdlib.ValuesFunc,
}

// module is a folder while it is evaluated.
type module struct {
	locals    hclsyntax.Attributes
	resources []*hclsyntax.Block
	variables map[string]cty.Value
	known     map[string]cty.Value            // locals
	made      map[string]map[string]cty.Value // resources by kind and name
}

// Resources returns, by address, the attributes of all resources of a folder, as JSON. The variables are those of a tfvars file.
// A variable that the file has and the folder does not declare is an error, and so is one without value.
func Resources(dir string, tfvars []byte) (map[string]string, error) {
	m := &module{known: map[string]cty.Value{}, made: map[string]map[string]cty.Value{}, variables: map[string]cty.Value{}}
	if err := m.read(dir, tfvars); err != nil {
		return nil, err
	}
	out := map[string]string{}
	waiting, err := slices.Clone(m.resources), m.resolveLocals()
	if err != nil {
		return nil, err
	}
	for len(waiting) > 0 {
		var next []*hclsyntax.Block
		var why error
		for _, r := range waiting {
			if err := m.make(r, out); err != nil {
				next, why = append(next, r), err
			}
		}
		if len(next) == len(waiting) {
			return nil, why
		}
		waiting = next
	}
	return out, nil
}

func (m *module) read(dir string, tfvars []byte) error {
	parser := hclparse.NewParser()
	given, problems := parser.ParseHCL(tfvars, "tfvars")
	if problems.HasErrors() {
		return problems
	}
	values, problems := given.Body.JustAttributes()
	if problems.HasErrors() {
		return problems
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s has no Terraform: %w", dir, err)
	}
	for _, name := range files {
		file, problems := parser.ParseHCLFile(name)
		if problems.HasErrors() {
			return problems
		}
		for _, b := range file.Body.(*hclsyntax.Body).Blocks {
			switch b.Type {
			case "locals":
				m.locals = b.Body.Attributes
			case "resource":
				m.resources = append(m.resources, b)
			case "variable":
				if err := m.variable(b, values); err != nil {
					return err
				}
			}
		}
	}
	for name := range values {
		return fmt.Errorf("variable %s is not declared in %s", name, dir)
	}
	return nil
}

// variable takes a value out of what is given, or else the default.
func (m *module) variable(b *hclsyntax.Block, given hcl.Attributes) error {
	name := b.Labels[0]
	var expression hcl.Expression
	if a, ok := given[name]; ok {
		expression = a.Expr
	} else if a, ok := b.Body.Attributes["default"]; ok {
		expression = a.Expr
	} else {
		return fmt.Errorf("variable %s has no value", name)
	}
	delete(given, name)
	v, problems := expression.Value(nil)
	m.variables[name] = v
	if problems.HasErrors() {
		return problems
	}
	return nil
}

// scope is what expressions see.
func (m *module) scope(more map[string]cty.Value) *hcl.EvalContext {
	all := map[string]cty.Value{"var": cty.ObjectVal(m.variables), "local": cty.ObjectVal(m.known)}
	for kind, byName := range m.made {
		all[kind] = cty.ObjectVal(byName)
	}
	maps.Copy(all, more)
	return &hcl.EvalContext{Variables: all, Functions: functions}
}

// resolveLocals evaluates each local once those that it needs are known.
func (m *module) resolveLocals() error {
	for len(m.known) < len(m.locals) {
		var why error
		before := len(m.known)
		for name, a := range m.locals {
			if _, ok := m.known[name]; ok {
				continue
			}
			v, problems := a.Expr.Value(m.scope(nil))
			if problems.HasErrors() {
				why = problems
				continue
			}
			m.known[name] = v
		}
		if len(m.known) == before {
			return why
		}
	}
	return nil
}

// make evaluates a resource, or each of its for_each.
func (m *module) make(b *hclsyntax.Block, out map[string]string) error {
	kind, name := b.Labels[0], b.Labels[1]
	address := kind + "." + name
	each, many := b.Body.Attributes["for_each"]
	value, shown := cty.NilVal, map[string]string{}
	if !many {
		var err error
		if value, err = m.instance(b, address, nil, shown); err != nil {
			return err
		}
	} else {
		over, problems := each.Expr.Value(m.scope(nil))
		if problems.HasErrors() {
			return problems
		}
		instances := map[string]cty.Value{}
		for key, v := range over.AsValueMap() {
			one, err := m.instance(b, fmt.Sprintf("%s[%q]", address, key), map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(key), "value": v})}, shown)
			if err != nil {
				return err
			}
			instances[key] = one
		}
		value = cty.ObjectVal(instances)
	}
	if m.made[kind] == nil {
		m.made[kind] = map[string]cty.Value{}
	}
	m.made[kind][name] = value
	maps.Copy(out, shown)
	return nil
}

func (m *module) instance(b *hclsyntax.Block, address string, more map[string]cty.Value, out map[string]string) (cty.Value, error) {
	scope := m.scope(more)
	attributes, err := body(dynblock.Expand(b.Body, scope), b.Body, scope)
	if err != nil {
		return cty.NilVal, err
	}
	data, err := ctyjson.Marshal(cty.ObjectVal(attributes), cty.ObjectVal(attributes).Type())
	out[address] = string(data)
	attributes["id"], attributes["arn"] = cty.StringVal(address), cty.StringVal(address)
	return cty.ObjectVal(attributes), err
}

// body evaluates attributes and nested blocks; what is Terraform's own is left out.
func body(expanded hcl.Body, written *hclsyntax.Body, scope *hcl.EvalContext) (map[string]cty.Value, error) {
	schema := &hcl.BodySchema{}
	for name := range written.Attributes {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	inner := map[string]*hclsyntax.Body{}
	for _, b := range written.Blocks {
		kind, content := b.Type, b.Body
		if kind == "dynamic" {
			kind, content = b.Labels[0], b.Body.Blocks[0].Body
		}
		inner[kind] = content
	}
	for kind := range inner {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: kind})
	}
	content, problems := expanded.Content(schema)
	if problems.HasErrors() {
		return nil, problems
	}
	out := map[string]cty.Value{}
	for name, a := range content.Attributes {
		if name == "for_each" {
			continue
		}
		v, problems := a.Expr.Value(scope)
		if problems.HasErrors() {
			return nil, problems
		}
		out[name] = v
	}
	blocks := map[string][]cty.Value{}
	for _, b := range content.Blocks {
		if b.Type == "lifecycle" {
			continue
		}
		v, err := body(b.Body, inner[b.Type], scope)
		if err != nil {
			return nil, err
		}
		blocks[b.Type] = append(blocks[b.Type], cty.ObjectVal(v))
	}
	for kind, all := range blocks {
		out[kind] = cty.TupleVal(all)
	}
	return out, nil
}
