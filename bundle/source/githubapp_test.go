package source_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

// github is a server of GitHub's: repositories, and the API that gives out tokens for them.
type github struct {
	*fixture
	key    *rsa.PrivateKey
	issued int
	lives  time.Duration // of tokens
}

func newGitHub(t *testing.T) *github {
	t.Helper()
	g := &github{fixture: newFixture(t, gitserver.Options{}), lives: time.Hour}
	var err error
	g.key, err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/api/v3/") {
			g.token(w, req)
			return
		}
		g.server.Handler().ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(g.key)})
	g.req = source.Request{URL: server.URL + "/apps.git", Branch: "main",
		Auth: source.Auth{CABundle: ca, App: &source.GitHubApp{ID: 12, Installation: 34, Key: pkcs1}}}
	return g
}

// token answers as GitHub does: https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
func (g *github) token(w http.ResponseWriter, req *http.Request) {
	claims := &jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "), claims,
		func(*jwt.Token) (any, error) { return &g.key.PublicKey, nil }, jwt.WithIssuer("12"), jwt.WithIssuedAt(), jwt.WithExpirationRequired(), jwt.WithValidMethods([]string{"RS256"}))
	switch {
	case err != nil || time.Until(claims.ExpiresAt.Time) > 10*time.Minute:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"message":"A JSON web token could not be decoded"}`)
	case req.Method != http.MethodPost || req.URL.Path != "/api/v3/app/installations/34/access_tokens":
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"Not Found"}`)
	default:
		g.issued++
		token := fmt.Sprintf("ghs_%d", g.issued)
		g.server.Protect("apps", "x-access-token", token)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":%q,"expires_at":%q}`, token, time.Now().Add(g.lives).UTC().Format(time.RFC3339))
	}
}

func TestAGitHubAppSignsIn(t *testing.T) {
	g := newGitHub(t)
	first := g.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	tree, revision := g.fetch(t, g.req)
	contains(t, tree, "a.yaml", "a: 1\n")
	if revision.Commit != first {
		t.Errorf("got %s, want %s", revision.Commit, first)
	}
	for range 3 {
		_, err := g.Head(t.Context(), g.req)
		must(t, err)
	}
	if g.issued != 1 {
		t.Errorf("%d tokens were asked for, want 1 for its hour", g.issued)
	}
}

func TestATokenThatEndsIsAskedForAnew(t *testing.T) {
	g := newGitHub(t)
	g.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	g.lives = time.Minute
	for range 2 {
		_, err := g.Head(t.Context(), g.req)
		must(t, err)
	}
	if g.issued != 2 {
		t.Errorf("%d tokens were asked for, want 2: each ended within the minute", g.issued)
	}
}

func TestAGitHubAppThatIsRefused(t *testing.T) {
	g := newGitHub(t)
	g.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	stranger := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(other)})
	for _, row := range []struct {
		rule   string
		change func(*source.Request, *source.GitHubApp)
		says   string
	}{
		{"another App's key", func(_ *source.Request, a *source.GitHubApp) { a.Key = stranger }, "does not take the key for that of App 12: 401"},
		{"another App", func(_ *source.Request, a *source.GitHubApp) { a.ID = 13 }, "does not take the key for that of App 13"},
		{"an installation that is not there", func(_ *source.Request, a *source.GitHubApp) { a.Installation = 35 }, "App 12 has no installation 35: 404 Not Found"},
		{"a key that is none", func(_ *source.Request, a *source.GitHubApp) { a.Key = []byte(canary) }, "cannot be read"},
		{"SSH", func(r *source.Request, _ *source.GitHubApp) { r.URL = "git@github.com:a/b.git" }, "over HTTPS only"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			req, app := g.req, *g.req.Auth.App
			req.Auth.App = &app
			row.change(&req, &app)
			_, err := g.Head(t.Context(), req)
			refused(t, err, source.AuthFailed, row.says)
			silent(t, err)
		})
	}
	if g.issued != 0 {
		t.Errorf("%d tokens were given out", g.issued)
	}
}
