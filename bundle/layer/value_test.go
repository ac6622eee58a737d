package layer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestSealedValues(t *testing.T) {
	t.Parallel()
	kek, other := NewKEK(), NewKEK()
	for size := range 40 {
		value := []byte(fmt.Sprintf("%q", strings.Repeat("c", size)))
		sealed, err := SealValue(kek, "broker/join/gcp", value)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := SealValue(kek, "broker/join/gcp", value)
		if !bytes.Equal(sealed, again) {
			t.Error("an equal value gives other bytes: each report would be a write")
		}
		if bytes.Contains(sealed, value[1:]) && size > 2 {
			t.Error("the value can be read")
		}
		if got, err := OpenValue(kek, "broker/join/gcp", sealed); err != nil || !bytes.Equal(got, value) {
			t.Errorf("size %d: got %s, %v", size, got, err)
		}
		for rule, open := range map[string]func() ([]byte, error){
			"another name":    func() ([]byte, error) { v, err := OpenValue(kek, "broker/join/aws", sealed); return v, err },
			"another cluster": func() ([]byte, error) { v, err := OpenValue(other, "broker/join/gcp", sealed); return v, err },
			"a changed bit": func() ([]byte, error) {
				bad := bytes.Clone(sealed)
				bad[9] ^= 1
				v, err := OpenValue(kek, "broker/join/gcp", bad)
				return v, err
			},
		} {
			if v, err := open(); err == nil || strings.Contains(err.Error(), string(value[1:])) && size > 2 {
				t.Errorf("%s: got %s, %v", rule, v, err)
			}
		}
	}
}
