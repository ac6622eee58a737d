//go:build packs

package packs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

func theRestore() *unstructured.Unstructured {
	return object("velero.io/v1", "Restore", "velero", "dr-production")
}

// waits: the switch is thrown, but the standby has not seen a backup.
func (v *veleroPack) waits() {
	v.Eventually("waiting for velero-dr to say what it waits for", func() error {
		b := &fleet.Bundle{}
		if err := v.Hub.Client.Get(context.Background(), client.ObjectKey{Namespace: world.Workspace, Name: "velero-dr"}, b); err != nil {
			return err
		}
		for _, c := range b.Status.Conditions {
			if strings.Contains(c.Message, "waits for input backup: output newest_backup of bundle velero-storage") {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v", b.Status.Conditions)
	})
	if n := v.restores(); n != 0 {
		v.T.Errorf("%d Restores were made before there was a backup", n)
	}
}

// restored: Velero brings the backup to the standby, and then there is one Restore, of what was asked for.
func (v *veleroPack) restored(backup *unstructured.Unstructured, pushed time.Time) {
	v.Eventually("waiting for the Restore", func() error { return v.Reads(standby, theRestore()) })
	v.Agents[standby].Process.Kill() // just when it made it
	v.Check(v.Agents[standby].Start())
	restore := theRestore()
	v.Eventually("waiting for the Restore to end", func() error {
		if err := v.Reads(standby, restore); err != nil {
			return err
		}
		if phaseOf(restore) != "Completed" {
			return fmt.Errorf("it is %v", restore.Object["status"])
		}
		return nil
	})
	took := seconds(pushed)
	synced := object("velero.io/v1", "Backup", "velero", backup.GetName())
	v.Check(v.Reads(standby, synced))
	if made, seen := restore.GetCreationTimestamp(), synced.GetCreationTimestamp(); made.Before(&seen) {
		v.T.Errorf("the Restore was made at %s, the backup seen at %s", made, seen)
	}
	v.brought()
	if err := v.Reads(standby, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "data-layer", Name: "ledger"}}); client.IgnoreNotFound(err) != nil || err == nil {
		v.T.Errorf("reading what was not to be restored: %v", err)
	}
	v.Prove("restored on the other cluster, after the backup was seen there", "dr: {restore: production}",
		"velero-dr waited for newest_backup; Velero on "+standby+", started after the commit, synced "+backup.GetName()+
			"; Restore dr-production of it Completed "+took+" after the push: orders and shop of production are there, ledger of data-layer is not", Proved)
}

// brought: what was restored is there, and works.
func (v *veleroPack) brought() {
	v.T.Helper()
	orders := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "orders"}}
	v.Check(v.Reads(standby, orders))
	if orders.Data["last"] != "4711" {
		v.T.Errorf("the orders are %v", orders.Data)
	}
	v.Eventually("waiting for the shop", func() error {
		shop := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "production", Name: "shop"}}
		if err := v.Reads(standby, shop); err != nil || shop.Status.AvailableReplicas != 1 {
			return fmt.Errorf("it has %d Pods: %w", shop.Status.AvailableReplicas, err)
		}
		return nil
	})
}

// agedAndTimed: RPO and RTO are outputs, and numbers to alert on.
func (v *veleroPack) agedAndTimed(backup *unstructured.Unstructured) {
	ended, _, _ := unstructured.NestedString(backup.Object, "status", "completionTimestamp")
	at, err := time.Parse(time.RFC3339, ended)
	v.Check(err)
	var newest, rto float64
	v.Eventually("waiting for RPO and RTO", func() (err error) {
		for _, cluster := range []string{source, standby} {
			if newest, err = v.metric("velero-storage", "newest_backup", cluster); err != nil {
				return err
			}
			if newest < float64(at.Unix()) {
				return fmt.Errorf("the newest backup of %s is of %v, not %v", cluster, newest, at.Unix())
			}
		}
		rto, err = v.metric("velero-dr", "rto_seconds", standby)
		return err
	})
	if rto <= 0 || rto > 600 {
		v.T.Errorf("the RTO is %v s", rto)
	}
	v.Prove("RPO and RTO as status and metric", "velero", fmt.Sprintf("flotilla_output_value: newest_backup is the completionTimestamp on both clusters (now an RPO of %.0f s), rto_seconds %.0f",
		time.Since(at).Seconds(), rto), Proved)
}

// metric is what the hub shows of an output.
func (v *veleroPack) metric(bundle, output, cluster string) (float64, error) {
	resp, err := http.Get(v.Metrics())
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "flotilla_output_value{") && strings.Contains(line, `bundle="`+bundle+`"`) &&
			strings.Contains(line, `output="`+output+`"`) && strings.Contains(line, `cluster_name="`+cluster+`"`) {
			_, value, _ := strings.Cut(line, "} ")
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no flotilla_output_value for %s of %s on %s", output, bundle, cluster)
}

// once: nothing makes a second Restore of the same switch.
func (v *veleroPack) once() {
	v.change(nil)
	v.applied("again")
	v.Agents[standby].Process.Kill()
	v.Check(v.Person(standby).Delete(context.Background(), theRestore()))
	v.Eventually("waiting for the Restore to be gone", func() error { return v.gone(theRestore()) })
	v.Check(v.Agents[standby].Start())
	v.applied("after-deletion")
	v.healthy("velero-dr")
	if n := v.restores(); n != 1 {
		v.T.Errorf("%d Restores were made", n)
	}
	if err := v.gone(theRestore()); err != nil {
		v.T.Error(err)
	}
	v.Prove("restored exactly once", "the same commit again, and two that change velero-dr besides",
		"the agent killed when it made the Restore and once more, and the Restore deleted by hand: the audit log of "+standby+" has one that was made", Proved)
}

// applied has the agent apply velero-dr anew, with one object more, and waits for that.
func (v *veleroPack) applied(mark string) {
	v.T.Helper()
	v.change(map[string]string{"dr/templates/mark.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + mark + "}\n"})
	v.Eventually("waiting for "+mark, func() error {
		return v.Reads(standby, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: mark}})
	})
	v.Settled("velero-dr")
}

func (v *veleroPack) gone(o client.Object) error {
	err := v.Reads(standby, o)
	if err == nil {
		return fmt.Errorf("%s is there", o.GetName())
	}
	return client.IgnoreNotFound(err)
}

// restores counts those that were ever made on the standby.
func (v *veleroPack) restores() (n int) {
	for _, r := range v.Requests(standby) {
		if r.ObjectRef.Resource == "restores" && r.ObjectRef.Subresource == "" && r.Response.Code == http.StatusCreated && !strings.Contains(r.URI, "dryRun") {
			n++
		}
	}
	return n
}

// over: the switch is emptied, and what was restored stays.
func (v *veleroPack) over() {
	v.edits["dr/templates/mark.yaml"] = ""
	delete(v.edits, "dr/dr.yaml")
	v.change(nil)
	v.Eventually("waiting for the switch to be off", func() error {
		return v.gone(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "velero", Name: "after-deletion"}})
	})
	v.healthy("velero-server", "velero-storage", "velero-schedules", "velero-dr")
	v.brought()
	v.Remove("saved")
}
