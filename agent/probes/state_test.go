package probes

import (
	"testing"
	"time"
)

func TestAProbeFailsAndComesBack(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, row := range []struct {
		rule   string
		checks []string // what each came to, a second apart
		want   string
	}{
		{"one that was never made says so", nil, "is not made yet"},
		{"one success is enough", []string{""}, ""},
		{"one that never succeeded has no threshold", []string{"503"}, "503"},
		{"it says what it said last", []string{"503", "no answer"}, "no answer"},
		{"a failure after a success may be chance", []string{"", "503"}, ""},
		{"as many as the threshold are none, since the first of them", []string{"", "503", "503"}, "503, since 2026-01-02T03:04:06Z"},
		{"more of the same are no news", []string{"", "503", "503", "503", "503"}, "503, since 2026-01-02T03:04:06Z"},
		{"a success between them counts anew", []string{"", "503", "", "503"}, ""},
		{"one success brings it back", []string{"", "503", "503", ""}, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var s state
			for i, failed := range row.checks {
				s = s.after(failed, start.Add(time.Duration(i)*time.Second))
			}
			if got := s.verdict(2); got != row.want {
				t.Errorf("it says %q, want %q", got, row.want)
			}
		})
	}
}

func TestAProbeIsMadeMoreOftenUntilItSucceeds(t *testing.T) {
	var s state
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if s = s.after("503", time.Now()); s.wait(10*time.Second) != want*time.Second {
			t.Errorf("after %d failures the next is in %s, want %d s", i+1, s.wait(10*time.Second), want)
		}
	}
	for range 100 {
		s = s.after("503", time.Now())
	}
	if got := s.wait(10 * time.Second); got != 10*time.Second {
		t.Errorf("after many failures the next is in %s", got)
	}
	if s = s.after("", time.Now()); s.wait(10*time.Second) != 10*time.Second {
		t.Errorf("after a success the next is in %s", s.wait(10*time.Second))
	}
}
