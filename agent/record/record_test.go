package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"flotilla.io/flotilla/agent/record"
)

type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

func TestEachChangeIsALine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		method, path, content, body string
		want                        string // "" is no line
	}{
		{http.MethodPatch, "/apis/apps/v1/namespaces/web/deployments/shop?fieldManager=a&force=false", "application/apply-patch+yaml", `{}`, "apply apps v1 deployments  web shop 201"},
		{http.MethodPatch, "/api/v1/namespaces/web/configmaps/c", "application/json-patch+json", `{}`, "patch  v1 configmaps  web c 201"},
		{http.MethodPost, "/api/v1/namespaces", "application/json", `{"metadata":{"name":"web"}}`, "create  v1 namespaces   web 201"},
		{http.MethodPost, "/apis/batch/v1/namespaces/web/jobs", "application/json", `{"kind":"Job","metadata":{"name":"hook"},"spec":"canary"}`, "create batch v1 jobs  web hook 201"},
		{http.MethodDelete, "/api/v1/namespaces/web", "application/json", `{}`, "delete  v1 namespaces   web 201"},
		{http.MethodPut, "/api/v1/namespaces/web/status", "application/json", `{}`, "update  v1 namespaces status  web 201"},
		{http.MethodPatch, "/apis/a.b/v1/things/t/status", "application/merge-patch+json", `{}`, "patch a.b v1 things status  t 201"},
		{http.MethodPatch, "/k8s/clusters/c-1/apis/a.b/v1/namespaces/n/things/t", "application/merge-patch+json", `{}`, "patch a.b v1 things  n t 201"},
		{http.MethodPatch, "/api/v1/namespaces/web/configmaps/c?dryRun=All", "application/apply-patch+yaml", `{}`, ""},
		{http.MethodGet, "/api/v1/namespaces/web/configmaps/c", "", ``, ""},
		{http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "application/json", `{}`, ""},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			answer := &http.Response{StatusCode: http.StatusCreated, Header: http.Header{"Audit-Id": {"an-id"}}}
			wrapped := record.Changes(&out)(answers(func(*http.Request) (*http.Response, error) { return answer, nil }))
			ctx := record.With(context.Background(), record.Cause{ClusterNamespace: "ns", Bundle: "shop", Revision: "abc", Reason: record.Deploy})
			r, err := http.NewRequestWithContext(record.Because(ctx, record.Drift), row.method, "https://localhost"+row.path, strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", row.content)
			r.Header.Set("Impersonate-User", "system:serviceaccount:a:b")
			if got, err := wrapped.RoundTrip(r); got != answer || err != nil {
				t.Fatal("the answer is not passed on")
			}
			if row.want == "" {
				if out.Len() > 0 {
					t.Fatalf("it writes %s", out.String())
				}
				return
			}
			var c record.Change
			if err := json.Unmarshal(out.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			got := strings.Join([]string{c.Verb, c.APIGroup, c.APIVersion, c.Resource, c.Subresource, c.Namespace, c.Name, "201"}, " ")
			if want := (record.Cause{ClusterNamespace: "ns", Bundle: "shop", Revision: "abc", Reason: record.Drift}); c.Code != 201 || got != row.want || c.Cause != want ||
				c.AuditID != "an-id" || c.User != "system:serviceaccount:a:b" || c.Record != record.Kind || c.Time.IsZero() {
				t.Errorf("it writes %s, want %s", out.String(), row.want)
			}
			if strings.Contains(out.String(), "canary") {
				t.Errorf("it shows content: %s", out.String())
			}
		})
	}
}

func TestWhatHasNoAnswerIsALineToo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	broken := errors.New("broken")
	wrapped := record.Changes(&out)(answers(func(*http.Request) (*http.Response, error) { return nil, broken }))
	r, err := http.NewRequest(http.MethodDelete, "https://localhost/api/v1/nodes/n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrapped.RoundTrip(r); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"code":0`) {
		t.Errorf("it writes %q", out.String())
	}
}
