package v1alpha1

import (
	"maps"

	"k8s.io/apimachinery/pkg/util/json"
)

// GenericMap is a free map, such as Helm values. In JSON it is the map itself; there is no "data" key.
//
// Whole numbers decode to int64 and others to float64, so that a large number keeps its digits. A decoded map is never nil.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:pruning:PreserveUnknownFields
type GenericMap struct {
	// Data is the map. nil is written as null.
	Data map[string]interface{} `json:"-"`
}

// MarshalJSON writes the map itself.
func (m GenericMap) MarshalJSON() ([]byte, error) {
	return json.Marshal(m.Data)
}

// UnmarshalJSON reads the map itself; null is read as an empty map.
func (m *GenericMap) UnmarshalJSON(data []byte) error {
	m.Data = nil
	if err := json.Unmarshal(data, &m.Data); err != nil {
		return err
	}
	if m.Data == nil {
		m.Data = map[string]interface{}{}
	}
	return nil
}

// DeepCopyInto copies nested maps and lists; other values are copied as they are, whatever their type.
func (m *GenericMap) DeepCopyInto(out *GenericMap) {
	out.Data = copyMap(m.Data)
}

func copyMap(in map[string]interface{}) map[string]interface{} {
	out := maps.Clone(in)
	for key, value := range out {
		out[key] = copyValue(value)
	}
	return out
}

func copyValue(in interface{}) interface{} {
	switch value := in.(type) {
	case map[string]interface{}:
		return copyMap(value)
	case []interface{}:
		if value == nil {
			return value
		}
		out := make([]interface{}, len(value))
		for i := range value {
			out[i] = copyValue(value[i])
		}
		return out
	}
	return in
}
