//go:build packs

package packs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// controllerFolder is a controller's module.
func controllerFolder(name string) string {
	return filepath.Join(root(), "integrationtests", "packs", "controllers", name)
}

// cacheFolder is where localfleet is kept too.
func cacheFolder() (string, error) {
	if dir := os.Getenv("FLOTILLA_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "flotilla"), err
}

// build compiles a controller's programs, unless the cache has them, and returns their folder. They are a function of the
// files in the controller's module, the compiler and the platform.
func build(t testing.TB, name string) string {
	t.Helper()
	cache, err := cacheFolder()
	if err == nil {
		err = os.MkdirAll(cache, 0o755)
	}
	must(t, err)
	key, err := controllerKey(name)
	must(t, err)
	bin := filepath.Join(cache, "controller-"+name+"-"+key)
	lock, err := os.OpenFile(filepath.Join(cache, "controllers.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	defer lock.Close() // which unlocks it, as our end would
	must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	t.Logf("building %s: minutes the first time, then it is in %s", name, cache)
	start := time.Now()
	part := filepath.Join(cache, ".building-"+name)
	must(t, os.RemoveAll(part))
	cmd := exec.Command("go", append([]string{"install", "-buildvcs=false", "-ldflags", "-s -w"}, programs(t, name)...)...)
	cmd.Dir = controllerFolder(name)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOBIN="+part, "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out[max(0, len(out)-4000):])
	}
	must(t, os.Rename(part, bin))
	t.Logf("built %s in %s", name, time.Since(start).Round(time.Second))
	dropOld(cache, name, bin)
	return bin
}

// programs are the packages of a controller's module that are programs: its own and those in folders, and the tools that its
// go.mod names.
func programs(t testing.TB, name string) (out []string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(controllerFolder(name), "main.go")); err == nil {
		out = append(out, "./...")
	}
	mod, err := os.ReadFile(filepath.Join(controllerFolder(name), "go.mod"))
	must(t, err)
	if strings.Contains(string(mod), "\ntool ") {
		out = append(out, "tool")
	}
	return out
}

func controllerKey(name string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	folder := os.DirFS(controllerFolder(name))
	err := fs.WalkDir(folder, ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(folder, file)
		fmt.Fprintf(h, "%s %d\n%s", file, len(data), data)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// dropOld deletes what the cache has of older versions, but those of the last days, which another clone may use.
func dropOld(cache, name, keep string) {
	old, _ := filepath.Glob(filepath.Join(cache, "controller-"+name+"-*"))
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && dir != keep && time.Since(info.ModTime()) > 72*time.Hour {
			_ = os.RemoveAll(dir)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
