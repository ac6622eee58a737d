package rollout

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func scheduleSpec(cron, duration, location string) fleet.ScheduleSpec {
	d, err := time.ParseDuration(duration)
	if err != nil {
		panic(err)
	}
	return fleet.ScheduleSpec{Schedule: cron, Duration: metav1.Duration{Duration: d}, Location: location}
}

func TestWindowIsOpen(t *testing.T) {
	nightly := scheduleSpec("0 0 22 * * *", "2h", "UTC")
	paris := scheduleSpec("0 30 2 * * *", "1h", "Europe/Paris")
	for _, c := range []struct {
		rule       string
		spec       fleet.ScheduleSpec
		now        string
		open       bool
		turn, next string
	}{
		{"before its start it is closed", nightly, "2026-11-23T21:59:59Z", false, "2026-11-23T22:00:00Z", "2026-11-23T22:00:00Z"},
		{"at its start it is open", nightly, "2026-11-23T22:00:00Z", true, "2026-11-24T00:00:00Z", "2026-11-24T22:00:00Z"},
		{"who starts in the middle of it knows that it is open", nightly, "2026-11-23T23:17:05Z", true, "2026-11-24T00:00:00Z", "2026-11-24T22:00:00Z"},
		{"a part of a second before its end it is open", nightly, "2026-11-23T23:59:59.9Z", true, "2026-11-24T00:00:00Z", "2026-11-24T22:00:00Z"},
		{"at its end it is closed", nightly, "2026-11-24T00:00:00Z", false, "2026-11-24T22:00:00Z", "2026-11-24T22:00:00Z"},
		{"seconds come first", scheduleSpec("30 0 22 * * *", "10s", "UTC"), "2026-11-23T22:00:30Z", true, "2026-11-23T22:00:40Z", "2026-11-24T22:00:30Z"},
		{"days of the week may be named", scheduleSpec("0 0 1 ? * SAT,SUN", "3h", "UTC"), "2026-11-28T02:00:00Z", true, "2026-11-28T04:00:00Z", "2026-11-29T01:00:00Z"},
		{"times are those of the location", scheduleSpec("0 0 1 * * *", "1h", "America/New_York"), "2026-11-23T06:30:00Z", true, "2026-11-23T07:00:00Z", "2026-11-24T06:00:00Z"},
		{"in summer they are summer's", scheduleSpec("0 0 1 * * *", "1h", "America/New_York"), "2026-07-23T05:30:00Z", true, "2026-07-23T06:00:00Z", "2026-07-24T05:00:00Z"},
		{"of an hour that is there twice the first one opens nothing", paris, "2026-10-25T00:45:00Z", false, "2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"},
		{"of an hour that is there twice the second one opens", paris, "2026-10-25T01:45:00Z", true, "2026-10-25T02:30:00Z", "2026-10-26T01:30:00Z"},
		{"a start in an hour that is not there comes an hour later", paris, "2026-03-29T01:45:00Z", true, "2026-03-29T02:30:00Z", "2026-03-30T00:30:00Z"},
		{"a duration of nothing never opens", scheduleSpec("0 0 22 * * *", "0s", "UTC"), "2026-11-23T22:00:00Z", false, "2026-11-24T22:00:00Z", "2026-11-24T22:00:00Z"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			now := moment(t, c.now)
			w, err := NewWindow(&c.spec, now)
			if err != nil {
				t.Fatal(err)
			}
			got := w.At(now)
			if got.Open != c.open || !got.Turn().Equal(moment(t, c.turn)) || !got.Next.Equal(moment(t, c.next)) {
				t.Errorf("open %v, turns %s, next %s; want %v, %s, %s", got.Open, shown(got.Turn()), shown(got.Next), c.open, c.turn, c.next)
			}
		})
	}
}

func TestScheduleThatCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		rule string
		spec fleet.ScheduleSpec
		says string
	}{
		{"five fields are not enough", scheduleSpec("0 1 * * *", "1h", "UTC"), `spec.schedule "0 1 * * *": `},
		{"a location must have a name", scheduleSpec("0 0 1 * * *", "1h", "Europe/Atlantis"), "spec.location: unknown time zone Europe/Atlantis; write an IANA name"},
		{"a window must be over when the next one opens", scheduleSpec("0 0 * * * *", "1h", "UTC"), "spec.duration 1h0m0s is too long: a window that opens at 2026-11-23T13:00:00Z would be open when the next one opens at 2026-11-23T14:00:00Z"},
		{"the shortest gap counts, not the next one", scheduleSpec("0 0 1,3 * * *", "3h", "UTC"), "would be open when the next one opens at 2026-11-24T03:00:00Z"},
		{"one that never fires again is told", scheduleSpec("0 0 1 1 1 ? 2020", "1h", "UTC"), "never fires again"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := NewWindow(&c.spec, moment(t, "2026-11-23T12:00:00Z"))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestWindowsOfACluster(t *testing.T) {
	schedule := func(name string, spec fleet.ScheduleSpec, targets ...fleet.ScheduleTarget) fleet.Schedule {
		spec.Targets.Clusters = targets
		return fleet.Schedule{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	all := fleet.ScheduleTarget{ClusterSelector: &metav1.LabelSelector{}}
	night, noon := scheduleSpec("0 0 22 * * *", "2h", "UTC"), scheduleSpec("0 0 12 * * *", "1h", "UTC")
	leaving := schedule("old", night, all)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	groups := []fleet.ClusterGroup{{ObjectMeta: metav1.ObjectMeta{Name: "edge"}, Spec: fleet.ClusterGroupSpec{Selector: &metav1.LabelSelector{}}}}
	for _, c := range []struct {
		rule      string
		schedules []fleet.Schedule
		want      Access
	}{
		{"without a Schedule a cluster is changed at any time", nil, Access{}},
		{"a Schedule without targets picks nobody", []fleet.Schedule{schedule("night", night)}, Access{}},
		{"a Schedule that picks others does not concern it", []fleet.Schedule{schedule("night", night, fleet.ScheduleTarget{ClusterName: "other"})}, Access{}},
		{"a Schedule may pick by name", []fleet.Schedule{schedule("noon", noon, fleet.ScheduleTarget{ClusterName: "east"})}, Access{Scheduled: true, Open: true}},
		{"a Schedule may pick by group", []fleet.Schedule{schedule("noon", noon, fleet.ScheduleTarget{ClusterGroup: "edge"})}, Access{Scheduled: true, Open: true}},
		{"outside of its window it waits, and for what is told", []fleet.Schedule{schedule("night", night, all)},
			Access{Scheduled: true, Waits: "waits for its maintenance window: Schedule night opens at 2026-11-23T22:00:00Z"}},
		{"one open window of several is enough", []fleet.Schedule{schedule("night", night, all), schedule("noon", noon, all)}, Access{Scheduled: true, Open: true}},
		{"a Schedule on its way out does not count", []fleet.Schedule{leaving}, Access{}},
		{"one that cannot be read keeps its clusters closed", []fleet.Schedule{schedule("bad", scheduleSpec("at night", "1h", ""), all)},
			Access{Scheduled: true, Waits: "waits for a maintenance window, but Schedule bad cannot be read: spec.schedule \"at night\""}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got := NewWindows(c.schedules, groups, moment(t, "2026-11-23T12:30:00Z")).Of(&fleet.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "east"}})
			if got.Scheduled != c.want.Scheduled || got.Open != c.want.Open || !strings.HasPrefix(got.Waits, c.want.Waits) || c.want.Waits == "" && got.Waits != "" {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
