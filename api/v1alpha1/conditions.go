package v1alpha1

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// GenericCondition is one observation about an object, in Fleet's JSON form: times are RFC 3339 strings.
type GenericCondition struct {
	// Type of condition, for example Ready.
	Type string `json:"type"`
	// Status of the condition: True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
	// LastUpdateTime is when status, reason or message last changed.
	LastUpdateTime string `json:"lastUpdateTime,omitempty"`
	// LastTransitionTime is when status last changed.
	LastTransitionTime string `json:"lastTransitionTime,omitempty"`
	// Reason is one word for programs. Fleet's displays read "Error" as a failure.
	Reason string `json:"reason,omitempty"`
	// Message is one sentence for people.
	Message string `json:"message,omitempty"`
}

// MessageBytes bounds a condition's message: an error may be as long as the file that it is about.
const MessageBytes = 4 << 10

// SetCondition sets the condition of that type, adding it at the end if it is missing, and tells whether anything changed.
// When nothing changed, the times stay too, so that the same verdict twice makes no write. A long message is cut.
func SetCondition(conditions *[]GenericCondition, conditionType string, status corev1.ConditionStatus, reason, message string) bool {
	now, message := time.Now().UTC().Format(time.RFC3339), Clip(message, MessageBytes)
	have := Condition(*conditions, conditionType)
	if have == nil {
		*conditions = append(*conditions, GenericCondition{
			Type: conditionType, Status: status, Reason: reason, Message: message,
			LastUpdateTime: now, LastTransitionTime: now,
		})
		return true
	}
	if have.Status == status && have.Reason == reason && have.Message == message {
		return false
	}
	if have.Status != status {
		have.LastTransitionTime = now
	}
	have.Status, have.Reason, have.Message, have.LastUpdateTime = status, reason, message, now
	return true
}

// Condition returns the condition of that type, to read or change in place, or nil if there is none.
func Condition(conditions []GenericCondition, conditionType string) *GenericCondition {
	for i := range conditions {
		if conditions[i].Type == conditionType {
			return &conditions[i]
		}
	}
	return nil
}

// RemoveCondition drops the condition of that type and tells whether there was one.
func RemoveCondition(conditions *[]GenericCondition, conditionType string) bool {
	for i := range *conditions {
		if (*conditions)[i].Type == conditionType {
			*conditions = append((*conditions)[:i], (*conditions)[i+1:]...)
			return true
		}
	}
	return false
}

// ConditionIs tells whether the condition of that type has that status. A missing condition has none.
func ConditionIs(conditions []GenericCondition, conditionType string, status corev1.ConditionStatus) bool {
	have := Condition(conditions, conditionType)
	return have != nil && have.Status == status
}

// Clip cuts a text to at most n bytes, at a whole character, and shows that it did.
func Clip(text string, n int) string {
	const more = "…"
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-len(more)], "") + more
}
