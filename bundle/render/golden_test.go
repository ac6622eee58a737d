package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/golden"
)

// setting is the options.yaml of a case: what the reader and the target would have found out.
type setting struct {
	Bundle       string                           `json:"bundle"`
	Dir          string                           `json:"dir"` // of the bundle, in input/: files beside it get ../ keys
	Options      v1alpha1.BundleDeploymentOptions `json:"options"`
	Capabilities *Capabilities                    `json:"capabilities"`
}

func (s setting) input(files map[string][]byte) Input {
	in := Input{Bundle: s.Bundle, Files: map[string][]byte{}, Options: s.Options}
	for name, data := range files {
		rel, err := filepath.Rel(filepath.Join("/", s.Dir), "/"+name)
		if err != nil {
			panic(err)
		}
		in.Files[rel] = data
	}
	return in
}

// TestGolden renders testdata/<case>/input with options.yaml and compares with want.golden.
func TestGolden(t *testing.T) {
	for _, file := range glob(t, "testdata/*/options.yaml") {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			s := readSetting(t, read(t, file))
			out, err := Render(t.Context(), s.input(readTree(t, filepath.Join(dir, "input"))), s.Capabilities)
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, filepath.Join(dir, "want.golden"), print(t, out))
		})
	}
}

// TestBroken renders testdata/broken/*.txtar: a comment that is the rule, options.yaml, the bundle's files, and the error in want.
func TestBroken(t *testing.T) {
	for _, file := range glob(t, "testdata/broken/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive := txtar.Parse(read(t, file))
			s, files := unpackCase(t, archive)
			out, err := Render(t.Context(), s.input(files), s.Capabilities)
			if err == nil {
				t.Fatalf("no error, but %d objects", len(out.Objects))
			}
			got := []byte(reason(err) + "\n" + err.Error() + "\n")
			want := section(archive, "want")
			if golden.Updating() {
				want.Data = got
				must(t, os.WriteFile(file, txtar.Format(archive), 0o644))
			} else if !bytes.Equal(got, want.Data) {
				t.Errorf("%s is stale; rerun this package with -update and read the diff\ngot:\n%s\nwant:\n%s", file, got, want.Data)
			}
		})
	}
}

// unpackCase takes options.yaml and want out of an archive; what is left are the bundle's files.

func unpackCase(t *testing.T, archive *txtar.Archive) (setting, map[string][]byte) {
	s := setting{Bundle: "shop"}
	files := map[string][]byte{}
	for _, f := range archive.Files {
		switch f.Name {
		case "options.yaml":
			s = readSetting(t, f.Data)
		case "want":
		default:
			files[f.Name] = f.Data
		}
	}
	return s, files
}

func section(archive *txtar.Archive, name string) *txtar.File {
	for i := range archive.Files {
		if archive.Files[i].Name == name {
			return &archive.Files[i]
		}
	}
	archive.Files = append(archive.Files, txtar.File{Name: name})
	return &archive.Files[len(archive.Files)-1]
}

func reason(err error) string {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Reason
	case errors.Is(err, ErrNotReported):
		return "NotReported"
	}
	return "?"
}

// print shows an output: what was asked, then the objects.
func print(t *testing.T, out *Output) []byte {
	var text bytes.Buffer
	for _, a := range out.Asked {
		fmt.Fprintf(&text, "# asked %s: %s\n", a.Question, a.Answer)
	}
	for _, o := range out.Objects {
		data, err := yaml.Marshal(o.Object)
		must(t, err)
		fmt.Fprintf(&text, "---\n%s", data)
	}
	return text.Bytes()
}

func readSetting(t *testing.T, data []byte) setting {
	var s setting
	must(t, yaml.UnmarshalStrict(data, &s))
	return s
}

func readTree(t testing.TB, dir string) map[string][]byte {
	files := map[string][]byte{}
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[name] = read(t, filepath.Join(dir, name))
		}
		return err
	}))
	return files
}

func glob(t *testing.T, pattern string) []string {
	files, err := filepath.Glob(pattern)
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no test cases at %s", pattern)
	}
	return files
}

func read(t testing.TB, file string) []byte {
	data, err := os.ReadFile(file)
	must(t, err)
	return data
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
