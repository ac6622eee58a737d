// Package once knows the objects that are work and not a state: applying them is what does the work, and applying them again
// would do it again. A Job, a Restore and a Backup of Velero are such objects, and whatever an annotation says is one.
//
// They are applied when their spec is new, and not again: not when they are gone, not when all is applied anew. The package is pure;
// it tells such objects, their specs and their ends, and decides what a live read means.
package once

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"flotilla.io/flotilla/agent/health"
	"flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/bundle/layer"
)

const velero = "velero.io"

// Digest names the spec of an entry that is applied once: all of it but metadata. It is "" for any other entry.
func Digest(e layer.Entry) string {
	if !isKind(e.Key) && !bytes.Contains(e.Object, []byte(`"`+v1alpha1.ApplyOnceAnnotation+`":`)) {
		return ""
	}
	var object map[string]json.RawMessage
	var meta struct {
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(e.Object, &object) != nil || json.Unmarshal(object["metadata"], &meta) != nil {
		return ""
	}
	if !isKind(e.Key) && meta.Annotations[v1alpha1.ApplyOnceAnnotation] != "true" {
		return ""
	}
	for _, field := range []string{"apiVersion", "kind", "metadata", "status"} {
		delete(object, field)
	}
	spec, err := json.Marshal(object)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(spec)
	return hex.EncodeToString(sum[:16])
}

// isKind tells whether objects of this kind are always applied once.
func isKind(key layer.Key) bool {
	return isJob(key) || isRestore(key) || isBackup(key)
}

func isJob(key layer.Key) bool     { return key.Group == "batch" && key.Kind == "Job" }
func isRestore(key layer.Key) bool { return key.Group == velero && key.Kind == "Restore" }
func isBackup(key layer.Key) bool  { return key.Group == velero && key.Kind == "Backup" }

// Sealed stands for a digest where others read it: who does not have the key cannot try out which spec it is of.
func Sealed(key []byte, object layer.Key, digest string) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n%s", object, digest)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// End says how the work of a live object ended, and why in one line where it failed; "" while it has not. verdict is how the object
// is otherwise.
func End(key layer.Key, live *unstructured.Unstructured, verdict health.Verdict) (result v1alpha1.OnceResult, why string) {
	switch {
	case isJob(key):
		if health.Complete(live).State == health.Ready {
			return v1alpha1.OnceComplete, ""
		}
		if verdict.State == health.Failed {
			return v1alpha1.OnceFailed, verdict.Message
		}
	case isRestore(key), isBackup(key):
		phase, _, _ := unstructured.NestedString(live.Object, "status", "phase")
		switch phase {
		case "Completed":
			return v1alpha1.OnceComplete, ""
		case "Failed", "PartiallyFailed", "FailedValidation":
			if verdict.State == health.Failed {
				return v1alpha1.OnceFailed, verdict.Message
			}
			return v1alpha1.OnceFailed, "its phase is " + phase
		}
	case verdict.State == health.Ready:
		return v1alpha1.OnceComplete, ""
	}
	return "", ""
}
