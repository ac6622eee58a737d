package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rogpeppe/go-internal/txtar"

	"flotilla.io/flotilla/bundle/render"
)

// The test binary plays all parts: the tests, a child, and a parent to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "render-worker":
			exit(Serve())
		case "parent":
			exit(parent())
		case "fenced":
			exit(fenced(os.Args[2]))
		case "echo":
			_, err := io.Copy(os.Stdout, os.Stdin)
			exit(err)
		case "quit":
			exit(errors.New("no"))
		}
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// parent keeps its child busy, tells the child's process id, and waits to be killed.
func parent() error {
	p := New(Options{Exe: os.Args[0], Args: []string{"render-worker"}, Children: 1})
	if _, err := p.Render(context.Background(), good("a"), nil); err != nil {
		return err
	}
	c := p.idle[0]
	go p.Render(context.Background(), chart(endless), nil)
	awaitBusy(p)
	fmt.Println(c.cmd.Process.Pid)
	select {}
}

// awaitBusy waits until the only child renders.
func awaitBusy(p *Pool) {
	for busy := false; !busy; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		busy = len(p.idle) == 0
		p.mu.Unlock()
	}
}

// fenced tries what a library might.
func fenced(url string) error {
	fence()
	for try, err := range map[string]error{
		"http":    second(http.Get(url)),
		"dns":     second(net.LookupHost("localhost.localdomain")),
		"command": second(exec.LookPath("git")),
	} {
		if err == nil {
			return errors.New(try + " works")
		}
	}
	fmt.Print("nothing works")
	return nil
}

func second[T any](_ T, err error) error { return err }

const memory = 192 << 20

var raceDetector bool

func pool(t *testing.T, children int, timeout time.Duration) *Pool {
	p := New(Options{Exe: os.Args[0], Args: []string{"render-worker"}, Children: children, Timeout: timeout, Memory: memory})
	t.Cleanup(p.Close)
	return p
}

// good is a bundle that renders to one ConfigMap of its name.
func good(name string) render.Input {
	return chart(`{apiVersion: v1, kind: ConfigMap, metadata: {name: ` + name + `}, data: {whole: 9007199254740993}}`)
}

func chart(template string) render.Input {
	return render.Input{Bundle: "shop", Files: map[string][]byte{
		"Chart.yaml":       []byte("{apiVersion: v2, name: web, version: 1.0.0}"),
		"templates/a.yaml": []byte(template),
	}}
}

const endless = `{{ range until 20000 }}{{ range until 20000 }}{{ range until 20000 }}{{ end }}{{ end }}{{ end }}`

func TestChildRendersAsTheLibrary(t *testing.T) {
	in := good("a")
	caps := &render.Capabilities{KubernetesVersion: "v1.31.2", APIs: []string{"v1"}}
	in.Files["templates/b.yaml"] = []byte(`{apiVersion: v1, kind: Secret, metadata: {name: "b{{ .Capabilities.KubeVersion.Minor }}"}}`)
	want, err := render.Render(t.Context(), in, caps)
	must(t, err)
	got, err := pool(t, 1, time.Minute).Render(t.Context(), in, caps)
	must(t, err)
	if encoded(t, got) != encoded(t, want) {
		t.Errorf("got %s\nwant %s", encoded(t, got), encoded(t, want))
	}
	if whole := got.Objects[0].Object["data"].(map[string]any)["whole"]; whole != int64(9007199254740993) {
		t.Errorf("whole numbers stay whole over the pipe, not %T %v", whole, whole)
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	p := pool(t, 1, time.Minute)
	for _, row := range []struct {
		rule     string
		template string
		is       func(error) bool
	}{
		{"what is wrong with the input", "{{ .Values.a.b }}", func(err error) bool {
			var e *render.Error
			return errors.As(err, &e) && e.Where == "templates/a.yaml:1" && e.Reason == render.ReasonRenderFailed
		}},
		{"what was not reported", `{{ .Capabilities.KubeVersion }}`, func(err error) bool {
			return errors.Is(err, render.ErrNotReported) && strings.Contains(err.Error(), "kubeVersion")
		}},
	} {
		if _, err := p.Render(t.Context(), chart(row.template), nil); !row.is(err) {
			t.Errorf("%s: %#v", row.rule, err)
		}
	}
	if len(p.idle) != 1 {
		t.Error("a wrong input ends no child")
	}
}

func TestOnTheClusterTheParentLooksUp(t *testing.T) {
	p := pool(t, 1, time.Minute)
	in := chart(`{{ $s := lookup "v1" "Secret" "ns" "x" }}{apiVersion: v1, kind: ConfigMap, metadata: {name: "a{{ $s.n }}"}, data: {a: "{{ randAlpha 9 }}"}}`)
	put, err := p.Render(t.Context(), in, nil)
	must(t, err)
	if put.OnCluster != "lookup of v1 Secret in templates/a.yaml:1" {
		t.Errorf("put off for %q", put.OnCluster)
	}
	asked := 0
	on := render.Cluster{Lookup: func(l render.Lookup) (map[string]any, error) {
		if asked++; l != (render.Lookup{APIVersion: "v1", Kind: "Secret", Namespace: "ns", Name: "x"}) {
			return nil, fmt.Errorf("looking up %s", l)
		}
		return map[string]any{"n": int64(12345678)}, nil
	}}
	first, err := p.RenderOn(t.Context(), in, on)
	must(t, err)
	if name := first.Objects[0].GetName(); name != "a12345678" || asked != 1 {
		t.Errorf("%s after %d lookups: a whole number stays whole, and two renderings ask once", name, asked)
	}
	on.Kept = first.Kept
	second, err := p.RenderOn(t.Context(), in, on)
	must(t, err)
	if encoded(t, first.Objects) != encoded(t, second.Objects) {
		t.Error("a random value is another with what was kept")
	}
	on.Lookup = func(render.Lookup) (map[string]any, error) { return nil, errors.New("not yours") }
	if _, err := p.RenderOn(t.Context(), in, on); err == nil || !strings.Contains(err.Error(), "not yours") || len(p.idle) != 1 {
		t.Errorf("a lookup that fails: %v, %d children", err, len(p.idle))
	}
}

// TestHostile renders testdata/hostile/*.txtar: a comment that is the rule, the bundle's files, and in want the reasons that
// it may end with. The pool serves others at the same time and afterwards.
func TestHostile(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.txtar")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("no hostile charts")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			must(t, err)
			in, want := render.Input{Bundle: "hostile", Files: map[string][]byte{}}, []string(nil)
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = strings.Fields(string(f.Data))
					continue
				}
				in.Files[f.Name] = grow(f.Data)
			}
			limit := time.Minute // another limit ends it first, also on a machine that is busy
			if slices.Contains(want, render.ReasonTimeout) {
				limit = 4 * time.Second
			}
			if raceDetector {
				want = append(want, render.ReasonCrashed)
			}
			p := pool(t, 2, limit)
			done := make(chan error, 1)
			go func() {
				_, err := p.Render(t.Context(), in, nil)
				done <- err
			}()
			for i := range 5 {
				mustRender(t, p, fmt.Sprint("beside-", i))
			}
			err = <-done
			var e *render.Error
			if !errors.As(err, &e) || !slices.Contains(want, e.Reason) {
				t.Errorf("%v, want one of %v", err, want)
			}
			t.Log(err)
			mustRender(t, p, "afterwards")
		})
	}
}

// grow replaces "GROW <n> <text>" at the end of a file by n times the text.
func grow(data []byte) []byte {
	before, spec, ok := bytes.Cut(data, []byte("GROW "))
	if !ok {
		return data
	}
	count, text, _ := bytes.Cut(bytes.TrimSpace(spec), []byte(" "))
	n, err := strconv.Atoi(string(count))
	if err != nil {
		panic(err)
	}
	return append(before, bytes.Repeat(text, n)...)
}

func TestTimeoutNamesTheBundle(t *testing.T) {
	p := pool(t, 1, time.Second)
	_, err := p.Render(t.Context(), chart(endless), nil)
	if want := "shop: rendering took longer than 1s; a template loops, or the bundle should be split"; fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestCallerCanGiveUp(t *testing.T) {
	p := pool(t, 1, time.Minute)
	mustRender(t, p, "a")
	busy := p.idle[0]
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 2)
	for range 2 { // one in the child, one in line
		go func() {
			_, err := p.Render(ctx, chart(endless), nil)
			waiting <- err
		}()
	}
	awaitBusy(p)
	cancel()
	for range 2 {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if busy.alive() {
		t.Error("a child whose answer nobody waits for ends")
	}
}

func TestChildrenAreLazyAndReused(t *testing.T) {
	p := pool(t, 2, time.Minute)
	if len(p.idle) != 0 {
		t.Fatal("no child before the first rendering")
	}
	mustRender(t, p, "a")
	first := p.idle[0].cmd.Process.Pid
	mustRender(t, p, "b")
	if len(p.idle) != 1 || p.idle[0].cmd.Process.Pid != first {
		t.Error("one after the other needs one child")
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { mustRender(t, p, fmt.Sprint("c", i)) })
	}
	wg.Wait()
	if n := len(p.idle); n > 2 {
		t.Errorf("%d children, at most 2", n)
	}
	if got := testutil.ToFloat64(p.Renderings); got != 22 {
		t.Errorf("22 renderings were done, counted %v", got)
	}
}

func TestChildThatDiedIdleIsReplaced(t *testing.T) {
	p := pool(t, 1, time.Minute)
	mustRender(t, p, "a")
	c := p.idle[0]
	must(t, c.cmd.Process.Kill())
	<-c.exited
	mustRender(t, p, "b")
}

func TestIdleChildIsDismissed(t *testing.T) {
	p := pool(t, 1, time.Minute)
	mustRender(t, p, "a")
	c := p.idle[0]
	c.retire.Reset(0)
	<-c.exited
	mustRender(t, p, "b")
	p.Close()
	if _, err := p.Render(t.Context(), good("c"), nil); err == nil {
		t.Error("a closed pool renders nothing")
	}
}

func TestKilledFromOutsideIsACrash(t *testing.T) {
	p := pool(t, 1, time.Minute)
	mustRender(t, p, "a")
	c := p.idle[0]
	go func() {
		awaitBusy(p)
		_ = c.cmd.Process.Kill()
	}()
	_, err := p.Render(t.Context(), chart(endless), nil)
	var e *render.Error
	if !errors.As(err, &e) || e.Reason != render.ReasonCrashed {
		t.Error(err)
	}
	mustRender(t, p, "b")
}

func TestChildInheritsNothing(t *testing.T) {
	t.Setenv("FLOTILLA_TEST_SECRET", "canary-7d1")
	p := pool(t, 1, time.Minute)
	mustRender(t, p, "a")
	proc := fmt.Sprintf("/proc/%d/", p.idle[0].cmd.Process.Pid)
	environ, err := os.ReadFile(proc + "environ")
	must(t, err)
	if len(environ) != 0 {
		t.Errorf("a child has no environment, not %q", environ)
	}
	open, err := os.ReadDir(proc + "fd")
	must(t, err)
	for _, fd := range open {
		if target, _ := os.Readlink(proc + "fd/" + fd.Name()); strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "/dev/") && !strings.HasPrefix(target, "/sys/") && !strings.HasPrefix(target, "/proc/") {
			t.Errorf("a child holds no file of its parent: %s", target)
		}
	}
}

func TestChildDiesWithItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0], "parent")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var pid int
	_, err = fmt.Fscan(out, &pid)
	must(t, err)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	deadline := time.Now().Add(time.Minute)
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("child %d lives on", pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// zombie: dead, but nobody took notice yet, as in a container without an init.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

func TestChildEndsWithItsInput(t *testing.T) {
	p := pool(t, 1, time.Minute)
	mustRender(t, p, "a")
	c := p.idle[0]
	must(t, c.in.Close())
	<-c.exited
	if !c.cmd.ProcessState.Success() {
		t.Error(c.cmd.ProcessState, c.stderr)
	}
}

func TestFence(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	out, err := exec.Command(os.Args[0], "fenced", server.URL).CombinedOutput()
	if err != nil || string(out) != "nothing works" {
		t.Errorf("%s, %v", out, err)
	}
}

func TestProgramThatIsNoWorker(t *testing.T) {
	for rule, o := range map[string]Options{
		"a program that is not there":  {Exe: "/nonexistent"},
		"a program that ends at once":  {Exe: os.Args[0], Args: []string{"quit"}},
		"a program that says nonsense": {Exe: os.Args[0], Args: []string{"echo"}},
	} {
		o.Children = 1
		p := New(o)
		if out, err := p.Render(t.Context(), good("a"), nil); err == nil {
			t.Errorf("%s: %v", rule, out)
		}
		p.Close()
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	p := New(Options{Exe: os.Args[0], Args: []string{"render-worker"}, Children: 1})
	defer p.Close()
	for b.Loop() {
		if _, err := p.Render(b.Context(), good("a"), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func mustRender(t *testing.T, p *Pool, name string) {
	t.Helper()
	out, err := p.Render(t.Context(), good(name), nil)
	if err != nil || len(out.Objects) != 1 || out.Objects[0].GetName() != name {
		t.Errorf("rendering %s: %v, %v", name, out, err)
	}
}

func encoded(t *testing.T, value any) string {
	data, err := json.Marshal(value)
	must(t, err)
	return string(data)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
