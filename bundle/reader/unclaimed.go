package reader

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"flotilla.io/flotilla/bundle/fleetyaml"
)

// Unclaimed are charts and kustomizations below the GitRepo's paths that no bundle takes up, so that nothing of them is deployed:
// a sentence each, beginning with the file. found is what Read gave; what is below a broken bundle is not spoken of.
func Unclaimed(tree Tree, repo Repo, found []Found) ([]string, error) {
	dirs, _ := roots(tree, &repo.Spec) // Read tells of those that lead nowhere
	var list []string
	var errs []error
	for _, root := range dirs {
		errs = append(errs, fs.WalkDir(tree, root, func(dir string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case !entry.IsDir():
				return nil
			case dir != root && hidden(entry.Name()):
				return fs.SkipDir
			}
			file := marker(tree, dir)
			switch {
			case file == "":
				return nil
			case !claimed(dir, file, found):
				list = append(list, fmt.Sprintf("%s: no bundle takes it up, so %s; put a %s beside it, name it in one, or list it in %s",
					file, becomes(file), fleetyaml.Name, ignoreFile))
			case path.Base(file) != chartFile:
				return nil
			}
			return fs.SkipDir // what is inside of a chart is the chart's
		}))
	}
	slices.Sort(list)
	return slices.Compact(list), errors.Join(errs...)
}

// becomes says what is made of a chart or kustomization that nobody takes up.
func becomes(file string) string {
	if path.Base(file) == chartFile {
		return "nothing of it is deployed"
	}
	return "it is not built"
}

// marker is the file that makes a chart or kustomization of a directory, "" when there is none.
func marker(tree Tree, dir string) string {
	if file := path.Join(dir, chartFile); exists(tree, file) {
		return file
	}
	return kustomization(tree, dir)
}

// claimed tells whether a bundle uses the directory, or is around it and broken, or leaves it out on purpose.
func claimed(dir, file string, found []Found) bool {
	var around *Found
	for i := range found {
		f := &found[i]
		if slices.Contains(f.uses, dir) {
			return true
		}
		if f.Path != "." && dir != f.Path && !strings.HasPrefix(dir, f.Path+"/") {
			continue
		}
		if around == nil || len(f.Path) > len(around.Path) {
			around = f
		}
	}
	if around == nil {
		return false
	}
	key := file
	if around.Path != "." {
		key = strings.TrimPrefix(file, around.Path+"/")
	}
	_, taken := around.Files[key]
	return !taken
}
