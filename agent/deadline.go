package agent

import (
	"context"
	"fmt"
	"time"

	"flotilla.io/flotilla/agent/report"
)

// atomicTimeout is how long an atomic revision has where helm.timeoutSeconds says nothing; it is Helm's own.
const atomicTimeout = 5 * time.Minute

// timeout is how long the accepted revision may take to become ready for the first time; 0 for as long as it needs.
func (d *deployment) timeout() time.Duration {
	h := d.record.Spec.Options.Helm
	switch {
	case h == nil || d.record.Good == d.record.ID() || d.record.GivenUp != "":
		return 0
	case h.TimeoutSeconds > 0:
		return time.Duration(h.TimeoutSeconds) * time.Second
	case h.Atomic:
		return atomicTimeout
	}
	return 0
}

// late says why the revision is late, "" if it is not: a hook failed, or its objects are not ready in time, which begins
// when the hooks before them are over. Each hook has a time of its own. A pause and a hold stop no clock, but nothing is
// judged in them. The clock is the agent's own: after a restart of it a revision that is on its way has its whole time
// again, since nobody knows how long the cluster was away.
func (d *deployment) late(f report.Facts) string {
	timeout := d.timeout()
	if timeout == 0 || d.hold != nil || d.frozen != "" || d.hooking || f.Ready() {
		return ""
	}
	if run := d.record.Hooks; run != nil && run.Failed != "" {
		return run.Failed
	}
	if until := d.staged.Add(timeout); time.Now().Before(until) {
		d.at(until)
		return ""
	}
	return fmt.Sprintf("not ready within %s: %s", timeout, f.Behind())
}

// giveUp goes back to the revision that was ready last, where helm.atomic asks for that and there is one. It stays there
// until the hub orders another revision.
func (e *engine) giveUp(ctx context.Context, d *deployment, why string) bool {
	h := d.record.Spec.Options.Helm
	if h == nil || !h.Atomic || !d.record.CanGoBack() {
		return false
	}
	next := d.record
	next.Hooks = nil // there are none for going back
	next.GivenUp = fmt.Sprintf("revision %s was given up: %s; the one before was applied again, as helm.atomic asks", d.record.Revision, why)
	if next.Target().DeploymentID == next.Spec.DeploymentID {
		next.GivenUp = fmt.Sprintf("the changed values of helm.valuesFrom were given up: %s; what was rendered with those before was applied again, as helm.atomic asks", why)
	}
	if err := e.store.PutRecord(ctx, next); err != nil {
		e.log.Error("storing that a revision was given up", "bundle", d.name, "error", err)
		d.after(backoff(2))
		return false
	}
	e.log.Warn("a revision was given up", "bundle", d.name, "revision", d.record.Revision, "reason", why)
	d.goBack(next)
	e.wake(d.name)
	return true
}
