package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// writeLayout writes all images into one OCI layout. Tar makes of it what containerd, and so kind, k3d and k3s, import.
func writeLayout(to string, all []built) error {
	if err := clear(to); err != nil {
		return err
	}
	path, err := layout.Write(to, empty.Index)
	if err != nil {
		return fmt.Errorf("writing the layout %s: %w", to, err)
	}
	for _, b := range all {
		names := layout.WithAnnotations(map[string]string{
			"org.opencontainers.image.ref.name": b.Version, // as the format has it: the tag alone
			"io.containerd.image.name":          b.Name(),
		})
		if err := path.AppendIndex(b.Index, names); err != nil {
			return fmt.Errorf("writing %s into %s: %w", b.Program, to, err)
		}
	}
	return nil
}

// clear takes a layout away that was there before: its blobs would stay for ever. It touches no folder of anything else.
func clear(folder string) error {
	entries, err := os.ReadDir(folder)
	if os.IsNotExist(err) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(folder, "oci-layout")); err != nil {
		return fmt.Errorf("writing the layout: %s holds something else; give another folder with -to", folder)
	}
	return os.RemoveAll(folder)
}

// pushAll sends every image to a registry, under the names that the charts give them there.
func pushAll(ctx context.Context, registry string, all []built, out io.Writer) error {
	for _, b := range all {
		ref, err := name.ParseReference(b.in(registry))
		if err != nil {
			return fmt.Errorf("pushing to %s: %w", registry, err)
		}
		options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
		if err := remote.WriteIndex(ref, b.Index, options...); err != nil {
			return fmt.Errorf("pushing %s: %w", ref, err)
		}
		fmt.Fprintln(out, "pushed", ref)
	}
	return nil
}
