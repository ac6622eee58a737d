package charts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/bundle/fleetyaml/nearest"
	"flotilla.io/flotilla/bundle/source"
)

// index is what a Helm repository has, as far as it matters to us.
type index struct {
	seen seen
	used time.Time
	all  map[string][]version // by the chart's name, the newest first
}

// version is one of a chart.
type version struct {
	Version string   `json:"version"`
	URLs    []string `json:"urls"`
	Digest  string   `json:"digest"`

	parsed *semver.Version
}

// inRepository finds a chart in a Helm repository.
func (s *Session) inRepository(ctx context.Context, ref Ref) (*place, error) {
	home, auth, err := withCredentials(ref.Repo, s.auth(ref.Repo))
	if err != nil {
		return nil, wrong(source.InvalidURL, ref, "helm.repo: "+err.Error(), "give it as https://host/path")
	}
	if ref.Chart == "" {
		return nil, wrong(ChartNotFound, ref, "helm.chart is empty: a Helm repository has many charts", "name one of it")
	}
	have, err := s.index(ctx, ref, auth, home)
	if err != nil {
		return nil, err
	}
	found, err := have.find(ref)
	if err != nil {
		return nil, err
	}
	if len(found.URLs) == 0 {
		return nil, wrong(IndexInvalid, ref, "the repository's index gives version "+found.Version+" no address", "publish the chart again")
	}
	at, err := resolve(home, found.URLs[0])
	if err != nil {
		return nil, wrong(IndexInvalid, ref, "the repository's index gives version "+found.Version+" an address that is none", "publish the chart again")
	}
	ref.Version = found.Version
	return &place{ref: ref, version: found.Version, digest: sha(found.Digest), get: func(ctx context.Context) ([]byte, error) {
		return s.fetcher.download(ctx, ref, auth, home, at, seen{})
	}}, nil
}

// resolve is the address of an archive, which may be relative to the repository's.
func resolve(home *url.URL, raw string) (string, error) {
	at, err := url.Parse(raw)
	if err != nil {
		return "", err
	}
	base := *home
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	at = base.ResolveReference(at)
	if at.RawQuery == "" && at.Host == home.Host { // a token in the repository's query is for its files, too
		at.RawQuery = home.RawQuery
	}
	if !isHTTP(at.String()) {
		return "", errors.New("neither http nor https")
	}
	return at.String(), nil
}

// sha reads the digest of an index, where it is one.
func sha(text string) string {
	text = strings.TrimPrefix(strings.ToLower(text), "sha256:")
	if !hexDigest.MatchString(text) {
		return ""
	}
	return text
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// index asks for a repository's index, once in a session.
func (s *Session) index(ctx context.Context, ref Ref, auth Auth, home *url.URL) (*index, error) {
	key := identity(home.String(), auth)
	s.mu.Lock()
	if s.indexes[key] == nil {
		s.indexes[key] = &once{}
	}
	asked := s.indexes[key]
	s.mu.Unlock()
	asked.Do(func() { asked.index, asked.err = s.fetcher.index(ctx, ref, auth, home, key) })
	var known *source.Error
	if errors.As(asked.err, &known) { // of this chart, though another one asked
		of := *known
		return nil, named(&of, ref)
	}
	return asked.index, asked.err
}

func (f *Fetcher) index(ctx context.Context, ref Ref, auth Auth, home *url.URL, key string) (*index, error) {
	at := *home
	at.Path = strings.TrimSuffix(at.Path, "/") + "/index.yaml"
	at.RawPath = ""
	f.mu.Lock()
	last := f.indexes[key]
	f.mu.Unlock()
	before := seen{}
	if last != nil {
		before = last.seen
	}
	got, err := f.get(ctx, ref, auth, home, at.String(), MaxIndexBytes, before)
	var status *errStatus
	switch {
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		return nil, wrong(source.RepoNotFound, ref, "there is no index.yaml at "+shown(at.String()), "correct helm.repo: it is the address that helm repo add takes")
	case errors.As(err, &status):
		return nil, explain(ref, auth, status)
	case err != nil:
		return nil, err
	case got.unchanged, last != nil && last.seen.digest == got.seen.digest:
		return last, nil
	}
	all, err := parseIndex(got.data)
	if err != nil {
		return nil, wrong(IndexInvalid, ref, "index.yaml at "+shown(at.String())+" is no index of charts: "+err.Error(), "make it anew with helm repo index")
	}
	now := &index{seen: got.seen, used: time.Now(), all: all}
	f.keep(key, now)
	return now, nil
}

// keep puts an index in the place of the one that was used longest ago.
func (f *Fetcher) keep(key string, now *index) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexes[key] = now
	if len(f.indexes) <= maxIndexes {
		return
	}
	oldest := key
	for k, i := range f.indexes {
		if i.used.Before(f.indexes[oldest].used) {
			oldest = k
		}
	}
	delete(f.indexes, oldest)
}

// parseIndex reads an index. Versions that are none are left out, as Helm does.
func parseIndex(data []byte) (map[string][]version, error) {
	var read struct {
		APIVersion string               `json:"apiVersion"`
		Entries    map[string][]version `json:"entries"`
	}
	if err := yaml.Unmarshal(data, &read); err != nil {
		text := strings.Join(strings.Fields(err.Error()), " ")
		return nil, errors.New(text[:min(len(text), 200)])
	}
	if read.APIVersion == "" {
		return nil, errors.New("it has no apiVersion")
	}
	for name, versions := range read.Entries {
		sound := versions[:0]
		for _, v := range versions {
			if parsed, err := semver.NewVersion(v.Version); err == nil {
				v.parsed = parsed
				sound = append(sound, v)
			}
		}
		slices.SortStableFunc(sound, func(a, b version) int { return b.parsed.Compare(a.parsed) })
		read.Entries[name] = sound
	}
	return read.Entries, nil
}

// find picks as Helm does: the version that is written so, else the newest that fits.
func (i *index) find(ref Ref) (*version, error) {
	versions := i.all[ref.Chart]
	if len(versions) == 0 {
		names := make([]string, 0, len(i.all))
		for name := range i.all {
			names = append(names, name)
		}
		hint := strings.TrimPrefix(nearest.Hint(ref.Chart, names), "; ")
		return nil, wrong(ChartNotFound, ref, fmt.Sprintf("the repository has no chart %q, but %d others", ref.Chart, len(names)), cmp.Or(hint, "correct helm.chart"))
	}
	names := make([]string, len(versions))
	for k, v := range versions {
		names[k] = v.Version
	}
	at, err := pick(ref, names)
	if err != nil {
		return nil, err
	}
	return &versions[at], nil
}

// pick is the place of the version that ref means among versions.
func pick(ref Ref, versions []string) (int, error) {
	if at := slices.Index(versions, ref.Version); at >= 0 {
		return at, nil
	}
	wanted, err := semver.NewConstraint(cmp.Or(ref.Version, "*"))
	if err != nil {
		return 0, wrong(VersionInvalid, ref, fmt.Sprintf("%q is neither a version nor a range of versions", ref.Version), `write helm.version as "1.2.3", "1.x" or ">=1.2 <2"`)
	}
	best, newest := -1, (*semver.Version)(nil)
	for k, text := range versions {
		v, err := semver.NewVersion(text)
		if err == nil && wanted.Check(v) && (newest == nil || v.GreaterThan(newest)) {
			best, newest = k, v
		}
	}
	if best < 0 {
		return 0, wrong(VersionNotFound, ref, fmt.Sprintf("no version of the chart fits %q", cmp.Or(ref.Version, "*")), besides(ref.Version, versions))
	}
	return best, nil
}

// besides proposes versions: the newest ones, and the one that looks most like what was asked for.
func besides(asked string, versions []string) string {
	if len(versions) == 0 {
		return "publish one"
	}
	sorted := slices.Clone(versions)
	slices.SortStableFunc(sorted, func(a, b string) int {
		x, errX := semver.NewVersion(a)
		y, errY := semver.NewVersion(b)
		if errX != nil || errY != nil {
			return strings.Compare(b, a)
		}
		return y.Compare(x)
	})
	text := "there are " + strings.Join(sorted[:min(len(sorted), 5)], ", ")
	if len(sorted) > 5 {
		text += fmt.Sprintf(" and %d older ones", len(sorted)-5)
	}
	return text + nearest.Hint(asked, versions)
}
