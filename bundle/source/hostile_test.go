package source_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

const (
	user   = "robot-account-0815"
	canary = "c4n4ry/pass w0rd"
)

// silent fails when an error shows a credential in any form.
func silent(t *testing.T, err error) {
	t.Helper()
	forms := []string{canary, url.QueryEscape(canary), url.PathEscape(canary), "c4n4ry", "w0rd", user,
		base64.StdEncoding.EncodeToString([]byte(user + ":" + canary))}
	for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("the error shows a credential: %s", text)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	open := newFixture(t, gitserver.Options{})
	open.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	private := newFixture(t, gitserver.Options{TLS: true})
	private.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	private.server.Protect("apps", user, "another password")
	ca := private.server.CA()
	other, err := gitserver.New(gitserver.Options{Dir: t.TempDir(), TLS: true})
	must(t, err)
	misnamed, err := gitserver.New(gitserver.Options{Dir: t.TempDir(), TLS: true, Addr: "127.0.0.2:0"})
	must(t, err)
	must(t, misnamed.Start(t.Context()))
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html>sign in</html>")
	}))
	t.Cleanup(html.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "your header was %v", r.Header)
	}))
	t.Cleanup(broken.Close)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		name, password, _ := r.BasicAuth()
		line := fmt.Sprintf("ERR you are %s, also %s: %s, %s", r.Header.Get("Authorization"), name, password, url.QueryEscape(password))
		fmt.Fprintf(w, "%04x%s", len(line)+4, line)
	}))
	t.Cleanup(echo.Close)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		io.WriteString(w, "001e# service=git-upload-pack\n0000")
		for i, err := 0, error(nil); err == nil; i++ {
			line := fmt.Sprintf("%040x refs/heads/%0800d\x00agent=x\n", i+1, i)
			_, err = fmt.Fprintf(w, "%04x%s", len(line)+4, line)
		}
	}))
	t.Cleanup(endless.Close)
	plain := strings.Replace(private.req.URL, "https://", "http://", 1)

	for _, row := range []struct {
		rule   string
		req    source.Request
		reason string
		says   string
	}{
		{"a wrong password is told", source.Request{URL: private.req.URL, Auth: source.Auth{CABundle: ca}}, source.AuthFailed, "refused the credentials"},
		{"an unknown CA is told", source.Request{URL: private.req.URL}, source.UnknownCA, "caBundle"},
		{"another CA is unknown too", source.Request{URL: private.req.URL, Auth: source.Auth{CABundle: other.CA()}}, source.UnknownCA, "caBundle"},
		{"a CA bundle that is none is told", source.Request{URL: private.req.URL, Auth: source.Auth{CABundle: []byte("x")}}, source.CertificateInvalid, "PEM"},
		{"a name the certificate is not for is told", source.Request{URL: misnamed.URL("apps"), Auth: source.Auth{CABundle: misnamed.CA()}}, source.CertificateInvalid, "127.0.0.2"},
		{"TLS to a server without is told", source.Request{URL: strings.Replace(open.req.URL, "http://", "https://", 1)}, source.Unreachable, "does not speak TLS"},
		{"no TLS to a server with is told", source.Request{URL: plain}, source.FetchFailed, ""},
		{"a repository that is not there is told", source.Request{URL: open.server.URL("nowhere")}, source.RepoNotFound, "check the URL"},
		{"a path that is not there is told", source.Request{URL: "file:///nowhere/at/all"}, source.RepoNotFound, "/nowhere/at/all"},
		{"a closed port is told", source.Request{URL: closed.URL + "/apps.git"}, source.Unreachable, "refused"},
		{"a host without an address is told", source.Request{URL: "http://nowhere.invalid/apps.git"}, source.Unreachable, "nowhere.invalid"},
		{"a page in place of Git is told", source.Request{URL: html.URL + "/apps.git"}, source.NotGit, "text/html"},
		{"a server's failure is told", source.Request{URL: broken.URL + "/apps.git"}, source.FetchFailed, "500"},
		{"a token in the query is kept quiet", source.Request{URL: broken.URL + "/apps.git?token=" + url.QueryEscape(canary)}, source.InvalidURL, "as the password"},
		{"a server that repeats the credentials is cut short", source.Request{URL: echo.URL + "/apps.git"}, source.FetchFailed, "you are"},
		{"credentials in a URL are kept quiet", source.Request{URL: strings.Replace(closed.URL, "://", "://"+url.UserPassword(user, canary).String()+"@", 1) + "/a.git"}, source.Unreachable, "refused"},
		{"a list without end is cut off", source.Request{URL: endless.URL + "/apps.git"}, source.TooLarge, "64 MiB"},
		{"git's transports are not served", source.Request{URL: "ext::sh -c id"}, source.InvalidURL, "https://"},
		{"an option is no URL", source.Request{URL: "--upload-pack=id"}, source.InvalidURL, "https://"},
		{"a broken URL is kept quiet", source.Request{URL: "https://" + user + ":" + canary + "%zz@host/apps"}, source.InvalidURL, "https://"},
		{"a URL without a path is told", source.Request{URL: "https://host"}, source.InvalidURL, "path"},
		{"a branch that is nearly there is told", source.Request{URL: open.req.URL, Branch: "mian"}, source.RefNotFound, `did you mean "main"?`},
		{"a branch is no tag", source.Request{URL: open.req.URL, Revision: "main"}, source.RefNotFound, `"main" is a branch`},
		{"a short commit is no commit", source.Request{URL: open.req.URL, Revision: "abc1234"}, source.RefNotFound, "40 digits"},
		{"an unknown commit is told", source.Request{URL: open.req.URL, Revision: strings.Repeat("ab", 20)}, source.RefNotFound, "abab"},
		{"an unknown commit on disk is told", source.Request{URL: open.clone, Revision: strings.Repeat("ab", 20)}, source.RefNotFound, "abab"},
		{"a ref that climbs is no ref", source.Request{URL: open.req.URL, Branch: "../../x"}, source.RefNotFound, "main"},
		{"the mirrors are no source", source.Request{URL: "file://" + open.dir + "/x.git"}, source.InvalidURL, "mirrors"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			must(t, os.MkdirAll(open.dir+"/x.git", 0o755))
			row.req.Auth.Username, row.req.Auth.Password = user, canary
			_, _, err := open.Fetch(t.Context(), row.req)
			refused(t, err, row.reason, row.says)
			silent(t, err)
			t.Log(err)
			if _, err := open.Head(t.Context(), row.req); err != nil {
				silent(t, err)
			}
		})
	}
}

func TestCredentialsThatAreServed(t *testing.T) {
	f := newFixture(t, gitserver.Options{TLS: true})
	commit := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	f.server.Protect("apps", user, canary)
	ca := f.server.CA()
	inURL := strings.Replace(f.req.URL, "https://", "https://"+url.UserPassword(user, canary).String()+"@", 1)
	for _, row := range []struct {
		rule string
		req  source.Request
	}{
		{"user, password and CA", source.Request{URL: f.req.URL, Auth: source.Auth{Username: user, Password: canary, CABundle: ca}}},
		{"credentials in the URL", source.Request{URL: inURL, Auth: source.Auth{CABundle: ca}}},
		{"no CA, but insecure", source.Request{URL: f.req.URL, Auth: source.Auth{Username: user, Password: canary, Insecure: true}}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if _, revision := f.fetch(t, row.req); revision.Commit != commit {
				t.Errorf("got %s, want %s", revision.Commit, commit)
			}
		})
	}

	pinned := source.Request{URL: f.req.URL, Revision: commit, Auth: source.Auth{CABundle: ca}}
	_, _, err := f.Fetch(t.Context(), pinned)
	refused(t, err, source.AuthFailed) // what one credential fetched is not there for another
	must(t, filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			data, readErr := os.ReadFile(path)
			if err = readErr; bytes.Contains(data, []byte("c4n4ry")) || bytes.Contains(data, []byte(user)) {
				t.Errorf("%s holds a credential", path)
			}
		}
		return err
	}))
}

func TestRedirects(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	commit := f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
	backend, err := url.Parse(f.req.URL)
	must(t, err)
	backend.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(backend)

	var elsewhereSaw []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhereSaw = append(elsewhereSaw, r.Header.Get("Authorization"))
		if strings.HasPrefix(r.URL.Path, "/private/") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(elsewhere.Close)
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != canary {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch {
		case strings.HasPrefix(r.URL.Path, "/same/"):
			http.Redirect(w, r, strings.Replace(r.URL.String(), "/same/", "/", 1), http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, "/moved/"):
			http.Redirect(w, r, elsewhere.URL+strings.Replace(r.URL.String(), "/moved/", "/", 1), http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, "/private/"), strings.HasSuffix(r.URL.Path, "/late.git/git-upload-pack"):
			http.Redirect(w, r, elsewhere.URL+r.URL.String(), http.StatusTemporaryRedirect)
		default:
			r.URL.Path = strings.Replace(r.URL.Path, "/late.git", "/apps.git", 1)
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(here.Close)
	auth := source.Auth{Username: user, Password: canary}

	_, revision, err := f.Fetch(t.Context(), source.Request{URL: here.URL + "/same/apps.git", Auth: auth})
	must(t, err)
	if revision.Commit != commit {
		t.Errorf("a redirect on the same host: got %s, want %s", revision.Commit, commit)
	}
	_, _, err = f.Fetch(t.Context(), source.Request{URL: here.URL + "/moved/apps.git", Auth: auth})
	must(t, err)
	_, _, err = f.Fetch(t.Context(), source.Request{URL: here.URL + "/private/apps.git", Auth: auth})
	refused(t, err, source.AuthFailed, "redirects to "+strings.TrimPrefix(elsewhere.URL, "http://"), "set the URL")
	silent(t, err)
	_, _, err = f.Fetch(t.Context(), source.Request{URL: here.URL + "/late.git", Auth: auth})
	refused(t, err, source.FetchFailed)
	silent(t, err)
	if len(elsewhereSaw) != 3 { // a listing and a pack, and a refused listing
		t.Errorf("the other host saw %d requests, want 3", len(elsewhereSaw))
	}
	for _, header := range elsewhereSaw {
		if header != "" {
			t.Errorf("another host was sent credentials")
		}
	}
}

// TestATransferThatIsHarmed puts a proxy between that harms the pack and then lets it through.
func TestATransferThatIsHarmed(t *testing.T) {
	for _, row := range []struct {
		rule   string
		harm   func(t *testing.T, f *fixture, answer []byte) []byte
		reason string
	}{
		{"one that ends in the middle", func(_ *testing.T, _ *fixture, p []byte) []byte { return p[:len(p)/2] }, source.FetchFailed},
		{"one with a flipped bit", func(_ *testing.T, _ *fixture, p []byte) []byte { p[len(p)-100] ^= 1; return p }, source.FetchFailed},
		{"one with nothing in it", func(_ *testing.T, _ *fixture, p []byte) []byte { return nil }, source.FetchFailed},
		{"one that claims a file larger than may be", func(_ *testing.T, _ *fixture, p []byte) []byte {
			return replacePack(p, 1, objectHeader(3, source.MaxObjectBytes+1), []byte("whatever follows"))
		}, source.TooLarge},
		{"one whose delta makes more than may be", func(_ *testing.T, _ *fixture, p []byte) []byte {
			base := slices.Concat(objectHeader(3, 4), deflate("base"))
			delta := slices.Concat(varint(4), varint(source.MaxObjectBytes+1), []byte{0x90, 4})
			return replacePack(p, 2, base, objectHeader(6, len(delta)), []byte{byte(len(base))}, deflate(string(delta)))
		}, source.TooLarge},
		{"one that lacks a file", func(t *testing.T, f *fixture, p []byte) []byte {
			objects := filepath.Join(t.TempDir(), "objects")
			must(t, os.WriteFile(objects, []byte(git(t, f.clone, "rev-parse", "HEAD", "HEAD^{tree}", "HEAD:b.yaml")+"\n"), 0o644))
			pack := filepath.Join(t.TempDir(), "pack")
			git(t, f.clone, "-c", "alias.pack=!git pack-objects --quiet --stdout < "+objects+" > "+pack, "pack")
			data, err := os.ReadFile(pack)
			must(t, err)
			return answerWith(p, data)
		}, source.FetchFailed},
		{"one that is noise", func(_ *testing.T, _ *fixture, p []byte) []byte { return bytes.Repeat([]byte("noise"), 1000) }, source.FetchFailed},
	} {
		t.Run(row.rule, func(t *testing.T) {
			f := newFixture(t, gitserver.Options{})
			backend, err := url.Parse(f.req.URL)
			must(t, err)
			backend.Path = ""
			proxy := httputil.NewSingleHostReverseProxy(backend)
			harmful := false
			between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !harmful || r.Method != http.MethodPost {
					proxy.ServeHTTP(w, r)
					return
				}
				recorded := httptest.NewRecorder()
				proxy.ServeHTTP(recorded, r)
				w.Header().Set("Content-Type", recorded.Header().Get("Content-Type"))
				w.Write(row.harm(t, f, recorded.Body.Bytes()))
			}))
			t.Cleanup(between.Close)
			req := source.Request{URL: between.URL + "/apps.git", Branch: "main"}
			f.push(t, "First", map[string]string{"a.yaml": "a: 1\n"})
			good, _ := f.fetch(t, req)
			f.push(t, "Second", map[string]string{"a.yaml": strings.Repeat("a: 2\n", 1000), "b.yaml": "b: 2\n"})

			harmful = true
			_, _, err = f.Fetch(t.Context(), req)
			refused(t, err, row.reason)
			t.Log(err)
			contains(t, good, "a.yaml", "a: 1\n")
			if packs, _ := filepath.Glob(filepath.Join(f.dir, "*/objects/pack/*.pack")); len(packs) != 1 {
				t.Errorf("kept what was harmed: %v", packs)
			}
			if left, _ := filepath.Glob(filepath.Join(f.dir, "*/objects/pack/tmp-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			harmful = false
			tree, _ := f.fetch(t, req)
			contains(t, tree, "b.yaml", "b: 2\n")
		})
	}
}

func TestAServerThatHangs(t *testing.T) {
	isolate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	mirrors := source.NewMirrors(source.Options{Dir: t.TempDir(), Local: true})
	ctx, cancel := testContext(t)
	defer cancel()
	_, err = mirrors.Head(ctx, source.Request{URL: "http://" + listener.Addr().String() + "/apps.git"})
	refused(t, err, source.Timeout)
}

func TestDirectoriesThatNestTooDeep(t *testing.T) {
	f := newFixture(t, gitserver.Options{})
	f.push(t, "Too deep", map[string]string{strings.Repeat("d/", source.MaxDirDepth) + "f": "x"})
	_, _, err := f.Fetch(t.Context(), f.req)
	refused(t, err, source.TooLarge, "nest", f.req.URL)
}

// replacePack puts another pack into an answer of git-upload-pack.
func replacePack(answer []byte, objects byte, parts ...[]byte) []byte {
	pack := slices.Concat(append([][]byte{{'P', 'A', 'C', 'K', 0, 0, 0, 2, 0, 0, 0, objects}}, parts...)...)
	sum := sha1.Sum(pack)
	return answerWith(answer, append(pack, sum[:]...))
}

func answerWith(answer, pack []byte) []byte {
	before := answer[:bytes.Index(answer, []byte("PACK"))-5] // the length and the band of its line
	return fmt.Appendf(slices.Clone(before), "%04x\x01%s0000", len(pack)+5, pack)
}

// objectHeader is a kind of object (3 is a file, 6 a delta to an earlier one) and its unpacked size, as in a pack.
func objectHeader(kind byte, size int) []byte {
	head := []byte{kind<<4 | byte(size&15)}
	if size >>= 4; size > 0 {
		head[0] |= 0x80
		head = append(head, varint(size)...)
	}
	return head
}

func varint(n int) []byte {
	var out []byte
	for ; n > 0x7f; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

func deflate(text string) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	io.WriteString(w, text)
	w.Close()
	return out.Bytes()
}
