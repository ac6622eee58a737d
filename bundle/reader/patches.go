package reader

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"flotilla.io/flotilla/api/v1alpha1"
)

// patches puts patches from files in place, so that they are templates like those that stand in the settings. Their files are no
// manifests then, unless the bundle is built by Kustomize and may name them itself.
func (r *reading) patches() error {
	built := false
	for _, l := range r.layers {
		dir := r.place.dir
		if k := l.options.Kustomize; k != nil {
			dir = path.Join(dir, k.Dir)
		}
		built = built || kustomization(r.tree, dir) != ""
	}
	var errs []error
	for _, l := range r.layers {
		if l.options.Kustomize == nil {
			continue
		}
		for i := range l.options.Kustomize.Patches {
			if p := &l.options.Kustomize.Patches[i]; p.Path != "" {
				errs = append(errs, r.patch(l, fmt.Sprintf("kustomize.patches[%d].path", i), p, built))
			}
		}
	}
	return errors.Join(errs...)
}

func (r *reading) patch(l layer, field string, p *v1alpha1.KustomizePatch, built bool) error {
	file := path.Join(r.place.dir, p.Path)
	switch {
	case !fs.ValidPath(file):
		return r.fail(l, field, "%q leaves the repository", p.Path)
	case !exists(r.tree, file):
		return r.fail(l, field, "there is no file %q%s", file, r.yamlBeside(p.Path))
	}
	data, err := fs.ReadFile(r.tree, file)
	if err != nil {
		return r.fail(l, field, "reading %s: %s", file, err)
	}
	p.Patch, p.Path = string(bytes.TrimPrefix(data, []byte("\ufeff"))), ""
	switch {
	case !r.files.within(file):
		r.files.outside = append(r.files.outside, file)
	case !built:
		r.files.skip[file] = true
	}
	return nil
}
