package render

import (
	"errors"
	"strings"
)

// ErrNotReported: a template asked about the cluster, and the cluster has not told its capabilities yet.
var ErrNotReported = errors.New("the cluster has not reported its version and APIs yet")

// Reasons of an Error, for conditions.
const (
	ReasonInvalidYAML     = "InvalidYAML"
	ReasonInvalidObject   = "InvalidObject"
	ReasonDuplicateObject = "DuplicateObject"
	ReasonTooLarge        = "ObjectTooLarge"
	ReasonPathMissing     = "PathMissing"
	ReasonPathEscape      = "PathEscape"
	ReasonChartInvalid    = "ChartInvalid"
	ReasonValuesMismatch  = "ValuesMismatch"
	ReasonSchemaRef       = "SchemaRefForbidden"
	ReasonRemoteForbidden = "RemoteBaseForbidden"
	ReasonRenderFailed    = "RenderFailed"
	ReasonUnsteady        = "RenderUnsteady"
	ReasonTimeout         = "RenderTimeout"     // by the worker
	ReasonMemoryLimit     = "RenderMemoryLimit" // by the worker
	ReasonCrashed         = "RenderCrashed"     // by the worker
)

// Error tells what is wrong with an input: the same input fails the same way again. It holds no values and no file contents.
type Error struct {
	Reason  string
	Where   string // a file, file:line, a field of the options, or the bundle
	Message string // what is wrong, and what to do
}

func (e *Error) Error() string { return e.Where + ": " + e.Message }

// syntaxError is of a template that cannot be read, whatever the values.
type syntaxError struct{ error *Error }

func (e syntaxError) Error() string { return e.error.Error() }
func (e syntaxError) Unwrap() error { return e.error }

// deferral: only the cluster can give what a template asked for, or keep it.
type deferral struct {
	Template string // the template's file, with the line where it is known
	What     string // the function, the lookup

	entry string // the template that was being rendered, of which Template may be a helper
}

func (d *deferral) Error() string { return d.What + " in " + d.Template }

// capped keeps a library's message to what a condition may hold.
func capped(message string) string {
	const limit = 500
	if len(message) <= limit {
		return message
	}
	return strings.ToValidUTF8(message[:limit], "") + "…"
}
