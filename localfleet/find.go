package localfleet

import (
	"errors"
	"os"
	"path/filepath"
)

// BinaryEnv names the environment variable that holds the path of the localfleet program.
const BinaryEnv = "LOCALFLEET_BIN"

// ErrNoBinary is Find's answer when the localfleet program is nowhere to be found.
var ErrNoBinary = errors.New("no localfleet program found; build it once with: make localfleet (in Flotilla's repository)")

// Find tells where the localfleet program is: the path in $LOCALFLEET_BIN, else beside the running program, else in bin/ of
// the repository that holds the working directory, else the one that make localfleet built last, in its cache.
//
// A $LOCALFLEET_BIN that names no program is an error, never skipped. The error for nothing found is ErrNoBinary.
func Find() (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		if !isProgram(path) {
			return "", errors.New("$" + BinaryEnv + " is " + path + ", which is no program; unset it or run: make localfleet")
		}
		return filepath.Abs(path)
	}
	for _, path := range places() {
		if isProgram(path) {
			return path, nil
		}
	}
	return "", ErrNoBinary
}

// places lists where the program may be, the nearest first.
func places() []string {
	var paths []string
	if exe, err := os.Executable(); err == nil {
		paths = append(paths, filepath.Join(filepath.Dir(exe), "localfleet"))
	}
	if dir, err := os.Getwd(); err == nil {
		if root := repository(dir); root != "" {
			paths = append(paths, filepath.Join(root, "bin", "localfleet"))
		}
	}
	if dir := cacheDir(); dir != "" {
		paths = append(paths, filepath.Join(dir, "localfleet"))
	}
	return paths
}

// repository is the nearest folder at or above dir that holds localfleet's sources, or "".
func repository(dir string) string {
	for {
		if _, err := os.Stat(filepath.Join(dir, "localfleet", "build.mk")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// cacheDir is the folder that build.mk builds into, by the same rule; "" without a home.
func cacheDir() string {
	if dir := os.Getenv("FLOTILLA_CACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "flotilla")
	}
	if dir := os.Getenv("HOME"); dir != "" {
		return filepath.Join(dir, ".cache", "flotilla")
	}
	return ""
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
