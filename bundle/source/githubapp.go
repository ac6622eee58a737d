package source

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// GitHubApp signs in as an installation of an App: its key gets a token for the API, and that one for the repository.
type GitHubApp struct {
	ID, Installation int64
	Key              []byte // private, RSA, in PEM
}

// name tells Apps, installations and keys apart.
func (a *GitHubApp) name() string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("%d %d %s", a.ID, a.Installation, a.Key)
}

// appUser is the user that GitHub knows installations by.
const appUser = "x-access-token"

const (
	maxTokenAnswer = 1 << 20
	tokenSpare     = 5 * time.Minute // a token that ends sooner is not used any more
)

// appToken is an installation's, which GitHub gives out for an hour.
type appToken struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires_at"`
}

// signIn gives a location that asks as a GitHub App its credentials of this hour. Others stay what they are.
func (m *Mirrors) signIn(ctx context.Context, at *location) (*location, error) {
	app := at.auth.App
	if app == nil || at.path != "" {
		return at, nil
	}
	if at.ssh() {
		return nil, &Error{Reason: AuthFailed, Where: at.display, Message: "a GitHub App signs in over HTTPS only", Next: "give the repository as https://host/path"}
	}
	m.mu.Lock()
	token := m.tokens[at.key()]
	m.mu.Unlock()
	if time.Until(token.Expires) < tokenSpare {
		var err error
		if token, err = m.askToken(ctx, at, app); err != nil {
			return nil, err
		}
		m.mu.Lock()
		m.tokens[at.key()] = token
		m.mu.Unlock()
	}
	signedIn := *at
	signedIn.auth.Username, signedIn.auth.Password = appUser, token.Token
	return &signedIn, nil
}

func (m *Mirrors) askToken(ctx context.Context, at *location, app *GitHubApp) (appToken, error) {
	signed, err := app.sign(at)
	if err != nil {
		return appToken{}, err
	}
	api, err := githubAPI(at.url)
	if err != nil {
		return appToken{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/app/installations/%d/access_tokens", api, app.Installation), nil)
	if err != nil {
		return appToken{}, err
	}
	req.Header.Set("Authorization", "Bearer "+signed)
	req.Header.Set("Accept", "application/vnd.github+json")
	transport, err := m.transport(at)
	if err != nil {
		return appToken{}, err
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return appToken{}, at.explain(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenAnswer))
	if err != nil {
		return appToken{}, at.explain(err)
	}
	var answer struct {
		appToken
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &answer) // what is no JSON has no token
	if answer.Token == "" {
		return appToken{}, app.refused(at, res.StatusCode, answer.Message)
	}
	return answer.appToken, nil
}

// sign makes what proves the App to the API, for some minutes; it may be a minute ahead of GitHub's clock.
func (a *GitHubApp) sign(at *location) (string, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM(a.Key)
	if err != nil { // the library's words may quote it
		return "", &Error{Reason: AuthFailed, Where: at.display, Message: "the private key of the GitHub App cannot be read as one",
			Next: "give the file that GitHub made for the App, from -----BEGIN on, in key github_app_private_key of the Secret"}
	}
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: fmt.Sprint(a.ID), IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(9 * time.Minute)),
	}).SignedString(key)
}

func (a *GitHubApp) refused(at *location, status int, message string) *Error {
	e := &Error{Reason: AuthFailed, Where: at.display}
	said := fmt.Sprintf("%d %s", status, shorten(cmp.Or(message, http.StatusText(status)), 200))
	switch status {
	case http.StatusUnauthorized:
		e.Message = fmt.Sprintf("GitHub does not take the key for that of App %d: %s", a.ID, said)
		e.Next = "check github_app_id, and that the key is one of this App's"
	case http.StatusNotFound:
		e.Message = fmt.Sprintf("App %d has no installation %d: %s", a.ID, a.Installation, said)
		e.Next = "check github_app_installation_id, and that the App is installed where the repository is"
	default:
		e.Message = fmt.Sprintf("GitHub gives installation %d of App %d no token: %s", a.Installation, a.ID, said)
		e.Next = "check that the App is not suspended"
	}
	return e
}

// githubAPI is where the API of a repository's host is: github.com's and ghe.com's have names of their own.
func githubAPI(repository string) (string, error) {
	u, err := url.Parse(repository)
	if err != nil {
		return "", err
	}
	if host := strings.ToLower(u.Hostname()); host == "github.com" || strings.HasSuffix(host, ".ghe.com") {
		return "https://api." + host, nil
	}
	return u.Scheme + "://" + u.Host + "/api/v3", nil
}
