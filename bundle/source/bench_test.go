package source_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"flotilla.io/flotilla/bundle/source"
	"flotilla.io/flotilla/demo/gitserver"
)

// BenchmarkFetch fetches a repository over HTTP, whole and after one file changed, beside the git command on the same work:
// seconds, as ratios to git's, and the highest heap, beside git's highest resident size. Files are noise, which packs badly.
func BenchmarkFetch(b *testing.B) {
	for _, c := range []struct {
		name        string
		files, size int
	}{
		{"small", 50, 2_000},
		{"large", 5_000, 20_000},
		{"huge", 50_000, 20_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				benchFetch(b, c.files, c.size)
			}
		})
	}
}

func benchFetch(b *testing.B, files, size int) {
	dir := b.TempDir()
	server, err := gitserver.New(gitserver.Options{Dir: filepath.Join(dir, "git")})
	must(b, err)
	must(b, server.Start(b.Context()))
	defer server.Close()
	work := filepath.Join(dir, "work")
	noise := rand.NewChaCha8([32]byte{1})
	data := make([]byte, size)
	for i := range files {
		file := filepath.Join(work, fmt.Sprintf("dir%d", i%100), fmt.Sprintf("file%d", i))
		must(b, os.MkdirAll(filepath.Dir(file), 0o755))
		_, _ = noise.Read(data)
		must(b, os.WriteFile(file, data, 0o644))
	}
	_, err = server.Seed("apps", work)
	must(b, err)

	theirs := filepath.Join(dir, "theirs")
	cold, resident := timed(b, "clone", "--quiet", "--bare", "--depth", fmt.Sprint(source.HistoryDepth), server.URL("apps"), theirs)
	mirrors := source.NewMirrors(source.Options{Dir: filepath.Join(dir, "ours"), Local: true})
	ours, heap := fetchTimed(b, mirrors, server.URL("apps"))
	b.ReportMetric(ours.Seconds(), "s-cold")
	b.ReportMetric(ours.Seconds()/cold.Seconds(), "x-git-cold")
	b.ReportMetric(heap, "MB-heap-cold")
	b.ReportMetric(resident, "MB-git-cold")

	must(b, os.WriteFile(filepath.Join(work, "dir0", "file0"), []byte("changed"), 0o644))
	_, err = server.Seed("apps", work)
	must(b, err)
	changed, _ := timed(b, "--git-dir", theirs, "fetch", "--quiet", "--depth", fmt.Sprint(source.HistoryDepth), server.URL("apps"), "main")
	ours, heap = fetchTimed(b, mirrors, server.URL("apps"))
	b.ReportMetric(ours.Seconds(), "s-changed")
	b.ReportMetric(ours.Seconds()/changed.Seconds(), "x-git-changed")
	b.ReportMetric(heap, "MB-heap-changed")
}

// fetchTimed tells how long a fetch takes, and the highest heap meanwhile in MB.
func fetchTimed(b *testing.B, mirrors *source.Mirrors, url string) (time.Duration, float64) {
	runtime.GC()
	var highest atomic.Uint64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			highest.Store(max(highest.Load(), now.HeapInuse))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	began := time.Now()
	_, _, err := mirrors.Fetch(b.Context(), source.Request{URL: url, Branch: "main"})
	took := time.Since(began)
	close(done)
	<-ended
	must(b, err)
	return took, float64(highest.Load()) / 1e6
}

// timed runs git, and tells how long it takes, and the highest resident size in MB.
func timed(b *testing.B, args ...string) (time.Duration, float64) {
	began := time.Now()
	command := exec.Command("git", args...)
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	took := time.Since(began)
	return took, float64(command.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1e3
}
