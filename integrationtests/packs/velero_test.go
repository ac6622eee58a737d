//go:build packs

package packs

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

const (
	veleroLabel = "packs.flotilla.io/velero"
	source      = "cluster-aws"
	standby     = "cluster-gcp"
	thrown      = "dr: {restore: production, run: \"\"}\n" // the switch
)

// saved is what there is to back up: an application, and data that is not restored with it.
var saved = map[string]string{
	"production/fleet.yaml":  "name: saved-production\ndefaultNamespace: production\n" + onSources,
	"production/orders.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: orders}\ndata: {last: \"4711\"}\n",
	"production/shop.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: {selector: {matchLabels: {app: shop}}, " +
		"template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: shop, image: nginx}]}}}\n",
	"data/fleet.yaml":  "name: saved-data\ndefaultNamespace: data-layer\n" + onSources,
	"data/ledger.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ledger}\ndata: {sum: \"12\"}\n",
}

const onSources = "overrideTargets:\n- clusterSelector: {matchLabels: {" + veleroLabel + ": source}}\n"

// veleroPack is the pack as pushed last.
type veleroPack struct {
	*World
	edits map[string]string
}

// readers have Velero, and nothing to do with it yet.
var readers = []string{"cluster-azure", "cluster-edge"}

// velero backs cluster-aws up and restores one of its namespaces on cluster-gcp, with the real Velero on all four clusters and a
// real S3 server between them.
func velero(w *World) {
	v := &veleroPack{World: w, edits: map[string]string{"storage/location.yaml": location(w)}}
	w.Label(source, veleroLabel, "source")
	w.Label(standby, veleroLabel, "standby")
	for _, cluster := range readers {
		w.Label(cluster, veleroLabel, "reader")
	}
	w.push("saved", saved)
	w.Settled("saved-production", "saved-data")
	start := time.Now()
	v.change(nil)
	v.progressing()
	w.Check(os.MkdirAll(pluginFolder(w), 0o700))
	w.Check(os.Symlink(filepath.Join(build(w.T, "velero"), "velero-plugin-for-aws"), filepath.Join(pluginFolder(w), "aws")))
	server(w, source)
	for _, cluster := range readers {
		server(w, cluster)
	}
	second := server(w, standby)
	v.healthy("velero-server", "velero-storage", "velero-schedules")
	w.Prove("Velero on all clusters, daily schedule", "velero", "the real servers, as the pack's accounts, say Available of all four locations (only that of the source is ReadWrite), "+
		"and Enabled of Schedule daily-backup, "+seconds(start)+" after the push", Proved)
	v.scheduled()

	second.Stop() // so that what waits for a backup can be seen
	backup := v.backup()
	start = time.Now()
	v.change(map[string]string{"dr/dr.yaml": thrown})
	v.waits()
	server(w, standby)
	v.restored(backup, start)
	v.agedAndTimed(backup)
	v.once()
	v.over()
}

// location is the S3 server that backups are kept on, and its key, which only the hub's administrator has.
func location(w *World) string {
	address := w.Port()
	w.Controller(Controller{Name: "s3", Args: []string{address, "company-k8s-backups"}, Serves: "http://" + address + "/"})
	w.Check(w.Hub.Client.Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Workspace, Name: "velero-credentials"},
		StringData: map[string]string{"cloud": "[default]\naws_access_key_id=packs\naws_secret_access_key=of-the-bucket\n"},
	}))
	return `provider: aws
bucket: company-k8s-backups
prefix: ""
config: {region: eu-west-1, s3Url: "http://` + address + `", s3ForcePathStyle: "true", checksumAlgorithm: ""}
accessMode: ReadWrite
syncPeriod: 5s
`
}

func pluginFolder(w *World) string { return filepath.Join(w.Dir, "controllers", "velero-plugins") }

// server starts Velero on a cluster.
func server(w *World, cluster string) *Process {
	address := w.Port()
	return w.Controller(Controller{
		Name: "velero", On: cluster, As: "velero/velero-server", Serves: "http://" + address + "/metrics",
		Args: []string{"-n", "velero", "server", "--plugin-dir", pluginFolder(w), "--metrics-address", address, "--profiler-address", w.Port()},
		Env:  []string{"VELERO_SCRATCH_DIR=$DIR", "AWS_EC2_METADATA_DISABLED=true"},
	})
}

func (v *veleroPack) change(files map[string]string) string {
	maps.Copy(v.edits, files)
	return v.Push("velero", v.edits)
}

// progressing: as long as no Velero answers, the locations are on their way, and what depends on them waits.
func (v *veleroPack) progressing() {
	for _, cluster := range append([]string{source, standby}, readers...) {
		v.Eventually("waiting for the location on "+cluster, func() error {
			d, err := v.deployment("velero-storage", cluster)
			if err != nil {
				return err
			}
			if s := d.Status; s.Health != fleet.HealthProgressing || len(s.NonReadyStatus) != 1 || s.NonReadyStatus[0].Kind != "BackupStorageLocation" {
				return fmt.Errorf("it is %s: %+v", s.Health, s.NonReadyStatus)
			}
			return nil
		})
	}
	if err := v.Reads(source, object("velero.io/v1", "Schedule", "velero", "daily-backup")); client.IgnoreNotFound(err) != nil || err == nil {
		v.T.Errorf("reading a Schedule that waits for its location: %v", err)
	}
	v.Prove("Velero is not called healthy before it answers", "velero", "without its server velero-storage reads Progressing and names the BackupStorageLocation", Proved)
}

// scheduled: the Schedule is what was asked for, and the standby writes nothing.
func (v *veleroPack) scheduled() {
	s := object("velero.io/v1", "Schedule", "velero", "daily-backup")
	v.Check(v.Reads(source, s))
	for path, want := range map[string]string{
		"schedule": "0 2 * * *", "template.includedNamespaces": "[production data-layer]", "template.snapshotVolumes": "true", "template.ttl": "720h",
	} {
		if got, _, _ := unstructured.NestedFieldNoCopy(s.Object, append([]string{"spec"}, strings.Split(path, ".")...)...); fmt.Sprint(got) != want {
			v.T.Errorf("spec.%s is %v, want %s", path, got, want)
		}
	}
	for cluster, want := range map[string]string{source: "ReadWrite", standby: "ReadOnly", readers[0]: "ReadOnly", readers[1]: "ReadOnly"} {
		l := object("velero.io/v1", "BackupStorageLocation", "velero", "default")
		v.Check(v.Reads(cluster, l))
		if got, _, _ := unstructured.NestedString(l.Object, "spec", "accessMode"); got != want {
			v.T.Errorf("on %s the location is %s", cluster, got)
		}
	}
	v.Prove("snapshots of volumes", "velero", "the Schedule asks for them; there are no disks here to take them of", OnPaper)
}

// backup has the Schedule come due, by a commit, and waits for the backup that Velero then makes of it.
func (v *veleroPack) backup() *unstructured.Unstructured {
	edit := v.Changed("velero", "schedules/daily-backup.yaml", "0 2 * * *", `"* * * * *"`)
	v.change(edit)
	var found *unstructured.Unstructured
	v.Eventually("waiting for the Schedule to be due", func() (err error) {
		found, err = v.newest(source, "")
		return err
	})
	for file := range edit {
		delete(v.edits, file)
	}
	v.change(nil) // daily again
	v.Eventually("waiting for the backup", func() (err error) {
		found, err = v.newest(source, "Completed")
		return err
	})
	v.Prove("a backup of the schedule", "schedule: \"* * * * *\", and 0 2 * * * again", "Velero on "+source+" made Backup "+found.GetName()+" of it by itself, Completed", Proved)
	return found
}

// newest is the schedule's last backup on a cluster that is in this phase, or in any.
func (v *veleroPack) newest(cluster, phase string) (*unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("velero.io/v1")
	list.SetKind("BackupList")
	err := v.Lists(cluster, list, client.InNamespace("velero"), client.MatchingLabels{"velero.io/schedule-name": "daily-backup"})
	if err != nil {
		return nil, err
	}
	var found *unstructured.Unstructured
	for i := range list.Items {
		b := &list.Items[i]
		if (phase == "" || phaseOf(b) == phase) && (found == nil || b.GetName() > found.GetName()) {
			found = b
		}
	}
	if found == nil {
		return nil, fmt.Errorf("of %d backups of daily-backup on %s none is %s", len(list.Items), cluster, phase)
	}
	return found, nil
}

func phaseOf(o *unstructured.Unstructured) string {
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	return phase
}

func seconds(since time.Time) string { return time.Since(since).Round(100 * time.Millisecond).String() }
