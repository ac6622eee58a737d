package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	_ "github.com/Masterminds/sprig/v3"
	"helm.sh/helm/v3/pkg/chart"
)

// Kept are the values that functions like randAlphaNum gave in a rendering on a cluster, by the place of the call: its file,
// the function, a hash of the arguments, and which of such calls it is in that file. Given to the next rendering they come
// out again, so that no password changes by itself.
type Kept map[string]json.RawMessage

// templateFunctions are the functions of all templates, which each engine copies. Helm has no other way to change one: and a
// template may call them in a text that it makes itself (tpl), so that changing the templates would not do.
//
//go:linkname templateFunctions github.com/Masterminds/sprig/v3.genericMap
var templateFunctions map[string]any

// drawing are the functions whose result is another each time.
var drawing = []string{
	"now", "ago",
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle", "uuidv4",
	"bcrypt", "htpasswd", "encryptAES", "genPrivateKey",
	"genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
}

const (
	enterFile = "flotillaEnterFile"
	leaveFile = "flotillaLeaveFile"
)

// The functions are replaced once, before anything runs; outside of an execution they do what they did.
func init() {
	for _, name := range drawing {
		original := reflect.ValueOf(templateFunctions[name])
		templateFunctions[name] = reflect.MakeFunc(original.Type(), func(args []reflect.Value) []reflect.Value {
			if s := current; s != nil {
				return s.draw(name, original, args)
			}
			return original.Call(args)
		}).Interface()
	}
	templateFunctions["keys"], templateFunctions["values"] = sortedKeys, sortedValues
	templateFunctions[enterFile] = func(file string) string { current.enter(file); return "" }
	templateFunctions[leaveFile] = func() string { current.leave(); return "" }
}

// sortedKeys and sortedValues are Sprig's, in an order that is the same each time.
func sortedKeys(dicts ...map[string]any) []string {
	keys := []string{}
	for _, dict := range dicts {
		keys = append(keys, slices.Sorted(maps.Keys(dict))...)
	}
	return keys
}

func sortedValues(dict map[string]any) []any {
	values := []any{}
	for _, key := range sortedKeys(dict) {
		values = append(values, dict[key])
	}
	return values
}

// markFiles has each template tell when it begins and ends: one template may include another whole file.
func markFiles(root *chart.Chart) {
	for c := range charts(root) {
		for _, t := range c.Templates {
			if !strings.HasPrefix(path.Base(t.Name), "_") {
				file := templateFile(path.Join(c.ChartFullPath(), t.Name), root.Name(), "")
				apart := ""
				if bytes.HasSuffix(t.Data, []byte("{")) {
					apart = "\n" // three braces would be something else
				}
				t.Data = fmt.Appendf(nil, "%s%s%s{{ $_ := %s }}", beginning(file), t.Data, apart, leaveFile)
			}
		}
	}
}

// beginning is what is put in front of a file; it has no line of its own, so that lines stay what they are.
func beginning(file string) string { return fmt.Sprintf("{{ $_ := %s %q }}", enterFile, file) }

// scope is what the functions know while one chart is executed.
type scope struct {
	later time.Duration     // how far the clock of this execution is ahead
	kept  Kept              // nil: nothing is kept
	calls map[string]string // by file: the first drawing function that it called
	files []running
}

// running is a file that is being executed.
type running struct {
	file  string
	count map[string]int // calls so far, by function and arguments
}

// anotherDay sets the clock of a second execution so far ahead that the time is another in whatever form it is written.
const anotherDay = 401*24*time.Hour + 61*time.Minute + 61*time.Second

var (
	executing sync.Mutex
	current   *scope // guarded by executing: there is one table of functions, so one chart is executed at a time
)

func during(s *scope, execute func()) {
	executing.Lock()
	defer executing.Unlock()
	current = s
	defer func() { current = nil }()
	execute()
}

func (s *scope) enter(file string) { s.files = append(s.files, running{file, map[string]int{}}) }

func (s *scope) leave() { s.files = s.files[:len(s.files)-1] }

// draw calls a function, or gives what it gave the last time.
func (s *scope) draw(name string, function reflect.Value, args []reflect.Value) []reflect.Value {
	top := &running{count: map[string]int{}}
	if len(s.files) > 0 {
		top = &s.files[len(s.files)-1]
	}
	if s.calls[top.file] == "" {
		s.calls[top.file] = name
	}
	if s.kept == nil {
		return s.shifted(name, function.Call(args))
	}
	call := name + " " + hashOf(args)
	top.count[call]++
	key := fmt.Sprintf("%s %s %d", top.file, call, top.count[call])
	if _, known := s.kept[key]; !known {
		results := function.Call(args)
		if len(results) > 1 && !results[1].IsNil() {
			return results // its error
		}
		data, err := json.Marshal(results[0].Interface())
		if err != nil {
			panic(fmt.Errorf("keeping what %s gave: %w", name, err))
		}
		s.kept[key] = data
	}
	result := reflect.New(function.Type().Out(0))
	if err := json.Unmarshal(s.kept[key], result.Interface()); err != nil {
		panic(fmt.Errorf("taking up what %s gave: %w", name, err))
	}
	results := []reflect.Value{result.Elem()}
	if function.Type().NumOut() > 1 {
		results = append(results, reflect.Zero(function.Type().Out(1)))
	}
	return results
}

// shifted makes the time of an execution another one: two within a second would read the same, and hide a chart that uses it.
func (s *scope) shifted(name string, results []reflect.Value) []reflect.Value {
	switch now, isTime := results[0].Interface().(time.Time); {
	case isTime:
		results[0] = reflect.ValueOf(now.Add(s.later))
	case name == "ago":
		results[0] = reflect.ValueOf(fmt.Sprintf("%s %s", results[0], s.later))
	}
	return results
}

func hashOf(args []reflect.Value) string {
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = arg.Interface()
	}
	data, err := json.Marshal(values)
	if err != nil {
		data = fmt.Append(nil, values...)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
