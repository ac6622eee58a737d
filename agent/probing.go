package agent

import (
	"context"
	"slices"

	"flotilla.io/flotilla/agent/probes"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

// probe has the checks made that the bundle carries, once it is deployed, and says what they do not find as it should be.
func (e *engine) probe(ctx context.Context, d *deployment) []string {
	var made []v1alpha1.HealthProbe
	var lines []string
	if health := d.record.Target().Options.Health; health != nil && d.applied && d.record.Spec.Deletion == nil {
		for _, p := range health.Probes[:min(v1alpha1.MostProbes, len(health.Probes))] {
			if p.Job == nil {
				made = append(made, p)
			} else if wrong := d.jobEnd(*p.Job); wrong != "" {
				lines = append(lines, probes.Line(p, wrong))
			}
		}
	}
	if slices.ContainsFunc(made, func(p v1alpha1.HealthProbe) bool { return p.Object != nil }) {
		account, err := e.tenantOf(ctx, d.record.Spec.Options)
		if err != nil {
			return append(lines, "probes: "+err.Error())
		}
		e.probes.Want(d.name, account, made)
	} else {
		e.probes.Want(d.name, nil, made)
	}
	return slices.Concat(lines, e.probes.Failing(d.name))
}

// jobEnd says what keeps a Job of the bundle from being complete. How it ended is remembered when it is gone.
func (d *deployment) jobEnd(p v1alpha1.JobProbe) string {
	name := "Job " + p.Namespace + "/" + p.Name
	key := layer.Key{Group: "batch", Kind: "Job", Namespace: p.Namespace, Name: p.Name}
	item, known := d.inv[key]
	switch {
	case !known:
		return name + " is none of this bundle's objects; a probe names a Job that the bundle deploys"
	case item.End == v1alpha1.OnceComplete:
		return ""
	case item.End == v1alpha1.OnceFailed:
		return name + " failed"
	case item.End != "":
		return name + " was gone before its end was seen"
	}
	return name + " is not complete yet"
}

// probing tells that what stands in the status is not to be taken back before the probes were made for the first time, after a start.
func (e *engine) probing(d *deployment) bool {
	s := d.order.Status
	return s.Health == v1alpha1.HealthHealthy && s.AppliedDeploymentID == d.order.Spec.DeploymentID && !e.probes.Made(d.name)
}
