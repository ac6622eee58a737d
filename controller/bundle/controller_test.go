package bundle

import (
	"testing"

	fleet "flotilla.io/flotilla/api/v1alpha1"
)

func TestTheSumOfInlineFilesIsFleets(t *testing.T) {
	for _, row := range []struct {
		rule  string
		files []fleet.BundleResource
		want  string
	}{
		// printf '%s\n' '{"resources":[{"name":"a.yaml","content":"x: \u003cy\u003e\n"},{"name":"b","content":"H4sI","encoding":"base64+gz"}]}' | sha256sum
		{"of all files, as JSON", []fleet.BundleResource{{Name: "a.yaml", Content: "x: <y>\n"}, {Name: "b", Content: "H4sI", Encoding: fleet.EncodingBase64GZ}},
			"10f78d600edb550f11f995a9348cb0903db9c8c79a23a75b920e345cfeabd13b"},
		{"none for files of a source", nil, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := resourcesSum(row.files); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}
