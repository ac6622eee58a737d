// Package record writes down what the agent asks its cluster to change: a line of JSON for each such request and its answer.
// It stands between the agent and the API server, so nothing that is asked for as a tenant passes it by; it sees no answer's
// content, and of what is sent only the name of an object that is created.
package record

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is what each line says of itself.
const Kind = "flotilla.io/change"

// Change is a line.
type Change struct {
	Record string    `json:"record"` // Kind
	Time   time.Time `json:"time"`
	Cause
	User        string `json:"user"`              // the service account that was acted as
	Verb        string `json:"verb"`              // create, apply, patch, update or delete
	APIGroup    string `json:"apiGroup"`          // "" is the core
	APIVersion  string `json:"apiVersion"`        // v1
	Resource    string `json:"resource"`          // deployments
	Subresource string `json:"subresource"`       // "" is the object itself
	Namespace   string `json:"namespace"`         // "" is none
	Name        string `json:"name"`              // of the object
	Code        int    `json:"code"`              // HTTP's: 201 created, 200 changed, 4xx and 5xx refused, 0 no answer
	AuditID     string `json:"auditID,omitempty"` // of the API server's own audit event for the request
}

// Cause is why something is changed.
type Cause struct {
	ClusterNamespace string `json:"clusterNamespace"` // on the hub
	Bundle           string `json:"bundle"`
	Revision         string `json:"revision"` // the commit, shortened, or the deployment's ID
	Reason           string `json:"reason"`   // one of those below
}

// Reasons of changes.
const (
	Deploy = "deploy"
	Hook   = "hook"
	Drift  = "drift"
	Remove = "remove"
)

type key struct{}

// With says why, for all that is done with the context.
func With(ctx context.Context, c Cause) context.Context { return context.WithValue(ctx, key{}, c) }

// Because is With with another reason.
func Because(ctx context.Context, reason string) context.Context {
	c, _ := ctx.Value(key{}).(Cause)
	c.Reason = reason
	return With(ctx, c)
}

// Changes wraps a transport so that what changes something is written to out.
func Changes(out io.Writer) func(http.RoundTripper) http.RoundTripper {
	var mu sync.Mutex // one line at a time, whoever writes
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			c, changes := changeOf(r)
			answer, err := next.RoundTrip(r)
			if !changes {
				return answer, err
			}
			if answer != nil {
				c.Code, c.AuditID = answer.StatusCode, answer.Header.Get("Audit-Id")
			}
			c.Time = time.Now().UTC()
			if line, err := json.Marshal(c); err == nil {
				mu.Lock()
				defer mu.Unlock()
				_, _ = out.Write(append(line, '\n')) // what is done is done; there is nobody to tell
			}
			return answer, err
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// changeOf says what a request changes; false if nothing.
func changeOf(r *http.Request) (Change, bool) {
	c := Change{Record: Kind}
	switch query := r.URL.Query(); {
	case len(query["dryRun"]) > 0:
		return c, false
	case r.Method == http.MethodPost:
		c.Verb = "create"
	case r.Method == http.MethodPut:
		c.Verb = "update"
	case r.Method == http.MethodDelete:
		c.Verb = "delete"
	case r.Method == http.MethodPatch && strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch"):
		c.Verb = "apply"
	case r.Method == http.MethodPatch:
		c.Verb = "patch"
	default:
		return c, false
	}
	c.Cause, _ = r.Context().Value(key{}).(Cause)
	c.User = r.Header.Get("Impersonate-User")
	c.locate(r.URL)
	if c.Name == "" {
		c.Name = nameIn(r)
	}
	return c, c.APIGroup != "authorization.k8s.io" // those only ask
}

// locate reads the path: [prefix/]api/v1/… or [prefix/]apis/GROUP/VERSION/…, then [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func (c *Change) locate(u *url.URL) {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	i := slices.IndexFunc(parts, func(p string) bool { return p == "api" || p == "apis" })
	if i < 0 {
		return
	}
	if parts[i] == "apis" && len(parts) > i+1 {
		i++
		c.APIGroup = parts[i]
	}
	next := func() (part string) {
		if i++; i < len(parts) {
			part = parts[i]
		}
		return part
	}
	c.APIVersion, c.Resource = next(), next()
	if c.Resource == "namespaces" && len(parts) > i+2 && parts[i+2] != "status" && parts[i+2] != "finalize" {
		c.Namespace, c.Resource = next(), next()
	}
	c.Name, c.Subresource = next(), next()
}

// nameIn is the name of an object that is created.
func nameIn(r *http.Request) string {
	if r.GetBody == nil {
		return ""
	}
	body, err := r.GetBody()
	if err != nil {
		return ""
	}
	defer body.Close()
	var object struct {
		Metadata struct{ Name string } `json:"metadata"`
	}
	_ = json.NewDecoder(body).Decode(&object) // what cannot be read has no name
	return object.Metadata.Name
}
