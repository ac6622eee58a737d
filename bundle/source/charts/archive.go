package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"flotilla.io/flotilla/bundle/source"
)

// atURL is a chart that is an archive at an address. What follows // in its path is a directory in the archive.
func (s *Session) atURL(_ context.Context, ref Ref) (*place, error) {
	home, auth, err := withCredentials(ref.Chart, s.auth(ref.Chart))
	switch {
	case err != nil:
		return nil, wrong(source.InvalidURL, ref, "helm.chart: "+err.Error(), "give it as https://host/web-1.0.0.tgz")
	case home.Query().Has("checksum"), home.Query().Has("archive"):
		return nil, wrong(source.InvalidURL, ref, "checksum= and archive= in the address are not served", "leave them out; the archive is a .tgz")
	}
	at := *home
	at.Path, _, _ = strings.Cut(home.Path, "//")
	at.RawPath = ""
	f, key := s.fetcher, identity(at.String(), auth)
	return &place{ref: ref, get: func(ctx context.Context) ([]byte, error) {
		f.mu.Lock()
		before := f.archives[key]
		f.mu.Unlock()
		kept, ok := f.blobs.get(before.digest)
		if !ok {
			before = seen{}
		}
		got, err := f.ask(ctx, ref, auth, home, at.String(), before)
		if err != nil {
			return nil, err
		}
		if got.unchanged {
			return kept, nil
		}
		f.mu.Lock()
		f.archives[key] = got.seen
		f.mu.Unlock()
		return got.data, nil
	}}, nil
}

// download fetches an archive.
func (f *Fetcher) download(ctx context.Context, ref Ref, auth Auth, home *url.URL, at string, before seen) ([]byte, error) {
	got, err := f.ask(ctx, ref, auth, home, at, before)
	if err != nil {
		return nil, err
	}
	return got.data, nil
}

func (f *Fetcher) ask(ctx context.Context, ref Ref, auth Auth, home *url.URL, at string, before seen) (*answer, error) {
	got, err := f.get(ctx, ref, auth, home, at, MaxArchiveBytes, before)
	var status *errStatus
	switch {
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		return nil, wrong(ChartNotFound, ref, "there is nothing at "+shown(at), "check the address, and that the chart was published with it")
	case errors.As(err, &status):
		return nil, explain(ref, auth, status)
	}
	return got, err
}

// unpack reads the files of the chart in an archive: of the directory below, or of the one that it has.
func unpack(archive []byte, below string) (map[string][]byte, error) {
	all, err := untar(archive)
	if err != nil {
		return nil, err
	}
	top := strings.Trim(below, "/")
	if top == "" {
		top = topOf(all)
	}
	files := map[string][]byte{}
	for name, data := range all {
		if rest, ok := strings.CutPrefix(name, top+"/"); ok {
			files[rest] = data
		} else if top == "." {
			files[name] = data
		}
	}
	if files[chartYAML] == nil {
		return nil, &source.Error{Reason: ChartInvalid, Message: "the archive has no " + path.Join(top, chartYAML), Next: "pack the chart with helm package"}
	}
	return files, nil
}

const chartYAML = "Chart.yaml"

// topOf is the directory of the only Chart.yaml that is at most one directory deep.
func topOf(files map[string][]byte) string {
	if files[chartYAML] != nil {
		return "."
	}
	for name := range files {
		if strings.Count(name, "/") == 1 && path.Base(name) == chartYAML {
			return path.Dir(name)
		}
	}
	return "."
}

// untar reads an archive with nothing in it that could lead elsewhere.
func untar(archive []byte) (map[string][]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, &source.Error{Reason: ChartInvalid, Message: "what was sent is no .tgz archive (a sign-in page?)", Next: "check the address"}
	}
	files, left := map[string][]byte{}, int64(MaxChartBytes)
	r := tar.NewReader(io.LimitReader(unzipped, 2*MaxChartBytes))
	for {
		header, err := r.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, &source.Error{Reason: ChartInvalid, Message: "the archive is damaged, or unpacks to more than it may", Next: "pack the chart anew with helm package"}
		}
		switch header.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
		default:
			return nil, refuse(header.Name, "is no file: links and devices are refused in charts")
		}
		name := path.Clean(strings.ReplaceAll(header.Name, "\\", "/"))
		if !fs.ValidPath(name) || path.IsAbs(header.Name) || strings.Contains(name, ":") || slices.Contains(strings.Split(header.Name, "/"), "..") {
			return nil, refuse(header.Name, "leads out of the archive")
		}
		if files[name] != nil {
			return nil, refuse(header.Name, "is there twice")
		}
		if left -= header.Size; left < 0 || len(files) == MaxChartFiles {
			return nil, &source.Error{Reason: source.TooLarge, Message: fmt.Sprintf("unpacked, the chart is larger than %d MiB or %d files", MaxChartBytes>>20, MaxChartFiles),
				Next: "take a smaller one"}
		}
		data := make([]byte, 0, min(header.Size, 1<<20))
		content := bytes.NewBuffer(data)
		if _, err := io.Copy(content, r); err != nil {
			return nil, refuse(header.Name, "is damaged")
		}
		files[name] = append([]byte{}, content.Bytes()...)
	}
}

func refuse(name, why string) error {
	name = strings.ToValidUTF8(name, "?")
	return &source.Error{Reason: ChartInvalid, Message: fmt.Sprintf("%q in the archive %s", name[:min(len(name), 200)], why), Next: "pack the chart anew with helm package"}
}

// metadata is what a chart says about itself.
type metadata struct {
	Name         string       `json:"name"`
	Version      string       `json:"version"`
	Dependencies []dependency `json:"dependencies"`
}

type dependency struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Repository string `json:"repository"`
}

func readMetadata(files map[string][]byte) (*metadata, error) {
	var meta metadata
	if err := yaml.Unmarshal(files[chartYAML], &meta); err != nil || meta.Name == "" {
		return nil, &source.Error{Reason: ChartInvalid, Message: "its Chart.yaml is not one", Next: "pack the chart anew with helm package"}
	}
	if len(meta.Dependencies) == 0 { // charts of Helm 2 have them in a file of their own
		_ = yaml.Unmarshal(files["requirements.yaml"], &meta)
	}
	return &meta, nil
}

// missing are the dependencies that the chart does not bring along.
func (m *metadata) missing(files map[string][]byte) (out []dependency) {
	for _, d := range m.Dependencies {
		there := false
		for name := range files {
			rest, ok := strings.CutPrefix(name, "charts/"+d.Name)
			there = there || ok && (strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "-"))
		}
		if !there && !strings.HasPrefix(d.Repository, "file://") {
			out = append(out, d)
		}
	}
	return out
}
