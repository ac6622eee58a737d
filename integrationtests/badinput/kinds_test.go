package badinput

import (
	"testing"

	"flotilla.io/flotilla/integrationtests/world"
)

// kindsNotServed: an object that nobody acts on says so itself.
func kindsNotServed(t *testing.T, w *world.World) {
	const head = "apiVersion: fleet.cattle.io/v1alpha1\nmetadata: {name: unserved, namespace: fleet-default}\n"
	for kind, row := range map[string]struct{ spec, says string }{
		"ImageScan": {"spec: {image: nginx, tagName: nginx, interval: 1m, policy: {alphabetical: {order: asc}}}\n", "ImageScan is not served yet: image tags are not yet written back"},
	} {
		t.Run(kind, func(t *testing.T) {
			w := of(t, w)
			apply(w, "hub", head+"kind: "+kind+"\n"+row.spec)
			for condType, status := range map[string]string{"NotServed": "True ", "Ready": "False "} {
				tells(w, condType+" of "+kind, func() string { return condition(w, kind, world.Workspace, "unserved", condType) }, status, "NotServed: "+row.says)
			}
		})
	}
}
