package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Manager is the field manager under which the agent applies.
const Manager = "flotilla-agent"

// Unowned is the fingerprint of an object that holds no field of ours any more.
const Unowned = "unowned"

// Fingerprint sums up what the API server says about our last apply: our own managedFields entry, its time included, and
// the generation.
//
// Whoever changes a field that we own takes it out of our entry (or, under our own manager's name, moves the entry's
// time), for every kind and whatever the change is made with; whoever touches a field that we do not own leaves the entry
// alone. The time has a grain of one second: see package drift for what follows from it. The generation adds what our
// entry does not show for kinds that count one, and costs a look when others write the spec.
func Fingerprint(m metav1.Object) string {
	for _, e := range m.GetManagedFields() {
		if !Ours(e) {
			continue
		}
		h := sha256.New()
		fmt.Fprintf(h, "%s\n%d\n", e.APIVersion, m.GetGeneration())
		if e.Time != nil {
			fmt.Fprintln(h, e.Time.UTC().Format(time.RFC3339))
		}
		if e.FieldsV1 != nil {
			h.Write(e.FieldsV1.GetRawBytes())
		}
		return hex.EncodeToString(h.Sum(nil)[:12])
	}
	return Unowned
}

// Ours tells whether a managedFields entry is the one our applies write.
func Ours(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}
