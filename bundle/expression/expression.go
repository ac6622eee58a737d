// Package expression compiles and evaluates the CEL expressions that people write in bundles.
//
// What an expression sees are JSON-like values under a few names; what it gives is JSON again. Time is bounded by cost, size by
// bytes. An error of an evaluation names keys and never shows a value.
package expression

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
)

// Names that expressions see.
const (
	Self    = "self"    // the object
	Cluster = "cluster" // name, namespace, labels, annotations, values, facts: as far as they are known where it is evaluated
	Each    = "each"    // name, namespace of the cluster that a value is for
	Bundle  = "bundle"  // name, commit, committed (when the commit was made): what is deployed
)

const (
	// MaxSource bounds an expression in bytes.
	MaxSource = 4 << 10
	// MaxValue bounds what one gives, in bytes of JSON.
	MaxValue = 32 << 10
	// maxCost ends what runs away: it is some 100 ms.
	maxCost = 1_000_000
)

// Expression is compiled, and safe for concurrent use.
type Expression struct {
	program cel.Program
	names   []string
}

var environments sync.Map // joined names -> *cel.Env

func environment(names []string) (*cel.Env, error) {
	key := strings.Join(names, " ")
	if known, ok := environments.Load(key); ok {
		return known.(*cel.Env), nil
	}
	options := []cel.EnvOption{ext.Strings(), ext.Encoders(), ext.Lists(), ext.Sets(), ext.Math(), cel.OptionalTypes(), cel.DefaultUTCTimeZone(true)}
	for _, name := range names {
		options = append(options, cel.Variable(name, cel.DynType))
	}
	env, err := cel.NewEnv(options...)
	if err == nil {
		environments.Store(key, env)
	}
	return env, err
}

// Compile reads an expression over the given names. Its error tells the column and what is wrong.
func Compile(source string, names ...string) (*Expression, error) {
	return compile(source, names, nil)
}

// CompileBool reads an expression that gives true or false.
func CompileBool(source string, names ...string) (*Expression, error) {
	return compile(source, names, cel.BoolType)
}

// CompileText reads an expression that gives text.
func CompileText(source string, names ...string) (*Expression, error) {
	return compile(source, names, cel.StringType)
}

// in words, what an expression of a type gives
var wanted = map[*cel.Type]string{cel.BoolType: "true or false", cel.StringType: "text"}

// compile reads an expression; with a type, one that can give another is refused where that can be told from the text.
func compile(source string, names []string, gives *cel.Type) (*Expression, error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are allowed", len(source), MaxSource)
	}
	env, err := environment(names)
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, explain(issues, names)
	}
	if t := ast.OutputType(); gives != nil && !t.IsEquivalentType(gives) && !t.IsEquivalentType(cel.DynType) {
		return nil, fmt.Errorf("it gives %s, and has to give %s", t, wanted[gives])
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, fmt.Errorf("it cannot be compiled: %w", err)
	}
	return &Expression{program, names}, nil
}

var undeclared = regexp.MustCompile(`undeclared reference to '([^']+)'`)

// explain makes one line of what the compiler found first.
func explain(issues *cel.Issues, names []string) error {
	first := issues.Errors()[0]
	message, _, _ := strings.Cut(first.Message, "\n")
	if found := undeclared.FindStringSubmatch(message); found != nil {
		message = fmt.Sprintf("there is no %q%s; it may use %s", found[1], nearest.Hint(found[1], names), strings.Join(names, ", "))
	}
	return fmt.Errorf("column %d: %s", first.Location.Column()+1, strings.TrimPrefix(message, "Syntax error: "))
}

// Unresolved is the error of an expression that asks for what is not there (yet).
type Unresolved struct{ Key string }

func (e *Unresolved) Error() string { return fmt.Sprintf("there is no %q yet", e.Key) }

var missing = regexp.MustCompile(`^no such (?:key|attribute\(s\)): (?:.*\.)?([^.]+)$`)

// Value evaluates the expression. see has a value for each of its names; one that is not there is null. The answer is JSON-like:
// nil, bool, int64, float64, string, []any, map[string]any.
func (e *Expression) Value(ctx context.Context, see map[string]any) (any, error) {
	activation := make(map[string]any, len(e.names))
	for _, name := range e.names {
		activation[name] = see[name]
	}
	out, _, err := e.program.ContextEval(ctx, activation)
	if err != nil {
		return nil, hide(err)
	}
	value, err := native(out)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, errors.New("it gives what JSON cannot hold")
	}
	if len(data) > MaxValue {
		return nil, fmt.Errorf("it gives %d bytes, and at most %d are handed over", len(data), MaxValue)
	}
	return value, nil
}

// Bool evaluates an expression that gives true or false.
func (e *Expression) Bool(ctx context.Context, see map[string]any) (bool, error) {
	value, err := e.Value(ctx, see)
	yes, ok := value.(bool)
	if err == nil && !ok {
		err = errors.New("it gives no true or false")
	}
	return yes, err
}

// Text evaluates an expression that gives text.
func (e *Expression) Text(ctx context.Context, see map[string]any) (string, error) {
	value, err := e.Value(ctx, see)
	text, ok := value.(string)
	if err == nil && !ok {
		err = errors.New("it gives no text")
	}
	return text, err
}

// hide keeps values out of an error: the library quotes what it could not convert.
func hide(err error) error {
	text := err.Error()
	if found := missing.FindStringSubmatch(text); found != nil {
		return &Unresolved{strings.Trim(found[1], "'\"")}
	}
	for _, known := range []string{"no such overload", "index out of bounds", "division by zero", "cost limit exceeded", "evaluation cancelled"} {
		if at := strings.Index(text, known); at >= 0 {
			return errors.New(known)
		}
	}
	return errors.New("it cannot be evaluated here (the message is not shown, it may hold values)")
}
