// Package bench measures the whole path on real parts. `make bench` runs it.
package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"flotilla.io/flotilla/integrationtests/world"
)

func configMap(name, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {text: %q}\n", name, text)
}

// memory is what a process holds, in MB: all that is resident, and the anonymous part of it.
func memory(b *testing.B, pid int) (resident, anonymous float64) {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "VmRSS:":
			resident = kb / 1024
		case "RssAnon:":
			anonymous = kb / 1024
		}
	}
	return resident, anonymous
}

// BenchmarkPushToApplied times from the end of `git push` to the changed object on two clusters, and what the processes
// hold, with few objects and with a thousand.
func BenchmarkPushToApplied(b *testing.B) {
	w := world.New(b, world.Options{Clusters: map[string]map[string]string{"one": nil, "two": nil}})
	w.GitRepo("fleet", w.Repo("fleet", map[string]string{"app/fleet.yaml": "defaultNamespace: app\n", "app/a.yaml": configMap("a", "start")}), nil)
	w.Settled("fleet-app")
	time.Sleep(20 * time.Second)
	resident, anonymous := memory(b, w.Agents["one"].Process.PID())
	b.ReportMetric(resident, "MB-agent-idle")
	b.ReportMetric(anonymous, "MB-agent-idle-anon")

	var times []time.Duration
	for i := range 15 {
		text := fmt.Sprintf("push %d", i)
		w.Push("fleet", map[string]string{"app/a.yaml": configMap("a", text)})
		began := time.Now()
		for _, cluster := range []string{"one", "two"} {
			for said := ""; said != text; time.Sleep(5 * time.Millisecond) {
				cm := &corev1.ConfigMap{}
				if err := w.Clients[cluster].Get(context.Background(), client.ObjectKey{Namespace: "app", Name: "a"}, cm); err != nil {
					b.Fatal(err)
				}
				said = cm.Data["text"]
			}
		}
		times = append(times, time.Since(began))
		time.Sleep(500 * time.Millisecond)
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Milliseconds()), "ms-push-to-applied-p50")
	b.ReportMetric(float64(times[len(times)-1].Milliseconds()), "ms-push-to-applied-max")

	files := map[string]string{"many/fleet.yaml": "defaultNamespace: many\n"}
	for i := range 1000 {
		files[fmt.Sprintf("many/cm%04d.yaml", i)] = configMap(fmt.Sprintf("cm%04d", i), "one of a thousand")
	}
	began := time.Now()
	w.Push("fleet", files)
	w.Settled("fleet-many")
	b.ReportMetric(time.Since(began).Seconds(), "s-thousand-objects-ready")
	time.Sleep(20 * time.Second)
	resident, anonymous = memory(b, w.Agents["one"].Process.PID())
	b.ReportMetric(resident, "MB-agent-1000")
	b.ReportMetric(anonymous, "MB-agent-1000-anon")
	resident, anonymous = memory(b, w.Hub.Process.PID())
	b.ReportMetric(resident, "MB-hub")
	b.ReportMetric(anonymous, "MB-hub-anon")
	b.ReportMetric(0, "ns/op")
}
