package charts

import (
	"fmt"
	"regexp"

	"sigs.k8s.io/yaml"
)

// Credentials say which repositories get which credentials. Those of ByPath, when it is there, are for the bundles at these paths
// of the tree, and the others then get none.
type Credentials struct {
	All    Auth
	ByPath map[string]Auth
	// URLs matches the repositories that credentials are sent to; nil matches none. Whom to trust does not depend on it.
	URLs *regexp.Regexp
}

// NewCredentials reads the pattern, which must match the whole of an address. An empty one matches none.
func NewCredentials(all Auth, byPath map[string]Auth, pattern string) (*Credentials, error) {
	c := &Credentials{All: all, ByPath: byPath}
	if pattern == "" {
		return c, nil
	}
	var err error
	if c.URLs, err = regexp.Compile("^(?:" + pattern + ")$"); err != nil {
		return nil, fmt.Errorf("helmRepoURLRegex %q is no regular expression: %w", pattern, err)
	}
	return c, nil
}

// For gives what a Session asks for, for the bundle at a path.
func (c *Credentials) For(path string) func(url string) Auth {
	auth := c.All
	if c.ByPath != nil {
		auth = c.ByPath[path]
		if len(auth.CABundle) == 0 {
			auth.CABundle = c.All.CABundle
		}
	}
	return func(url string) Auth {
		if c.URLs != nil && c.URLs.MatchString(url) {
			return auth
		}
		none := Auth{}
		none.CABundle = auth.CABundle
		return none
	}
}

// ParseByPath reads a file secrets-path.yaml: credentials by the path of a bundle.
func ParseByPath(data []byte) (map[string]Auth, error) {
	var read map[string]struct {
		Username           string `json:"username"`
		Password           string `json:"password"`
		CABundle           []byte `json:"caBundle"`
		InsecureSkipVerify bool   `json:"insecureSkipVerify"`
		BasicHTTP          bool   `json:"basicHTTP"`
	}
	if err := yaml.Unmarshal(data, &read); err != nil {
		return nil, fmt.Errorf("it is no list of credentials by path") // the text of the error may hold one
	}
	out := map[string]Auth{}
	for path, r := range read {
		a := Auth{PlainHTTP: r.BasicHTTP}
		a.Username, a.Password, a.CABundle, a.Insecure = r.Username, r.Password, r.CABundle, r.InsecureSkipVerify
		out[path] = a
	}
	return out, nil
}
