package examples

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flotilla.io/flotilla/integrationtests/golden"
	"flotilla.io/flotilla/integrationtests/terraform"
)

// TestTerraform shows what the Terraform of a pack asks its providers for, with the values of clusters as `flotilla outputs` prints them.
func TestTerraform(t *testing.T) {
	folders, err := filepath.Glob("packs/*/terraform/*")
	must(t, err)
	if len(folders) == 0 {
		t.Fatal("no pack has Terraform")
	}
	for _, folder := range folders {
		pack, name := strings.Split(filepath.ToSlash(folder), "/")[1], filepath.Base(folder)
		t.Run(pack+"/"+name, func(t *testing.T) {
			dir := filepath.Join("testdata", "packs", pack, "terraform")
			vars := slices.Concat(read(t, filepath.Join(dir, "outputs.tfvars")), read(t, filepath.Join(dir, name+".tfvars")))
			got, err := terraform.Resources(folder, vars)
			must(t, err)
			var text strings.Builder
			for _, address := range slices.Sorted(maps.Keys(got)) {
				fmt.Fprintf(&text, "%s %s\n", address, got[address])
			}
			golden.Compare(t, filepath.Join(dir, name+".txt"), []byte(text.String()))
		})
	}
}
