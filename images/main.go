// Command images packs the hub and the agent into container images, without Docker: each is one program on an empty base
// with CA certificates, for linux/amd64 and linux/arm64. `make images` builds the programs and runs it.
//
// It writes an OCI layout, and with -push sends the images to a registry too. Equal programs make equal images, down to the
// digest: every time in an image is that of the commit that its program was built from.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	programs := flags.String("programs", "dist/programs", "folder with the programs, in one folder for each platform: linux-amd64, linux-arm64")
	to := flags.String("to", "dist/images", "the OCI layout to write; one that is there is replaced")
	push := flags.String("push", "", "registry to push to as well, such as registry.example:5000; logins are those of docker or podman")
	release := flags.String("release", "", "the tag that is released, such as v0.1.0: refused unless the charts name its version")
	if err := flags.Parse(args); err != nil {
		return err
	}
	products, err := productsOfCharts()
	if err != nil {
		return err
	}
	for _, p := range products {
		if *release != "" && strings.TrimPrefix(*release, "v") != p.Version {
			return fmt.Errorf("releasing %s: chart %s has appVersion %s; set version and appVersion of all charts to %s first",
				*release, p.Chart, p.Version, strings.TrimPrefix(*release, "v"))
		}
	}
	built, err := pack(*programs, products)
	if err != nil {
		return err
	}
	if err := writeLayout(*to, built); err != nil {
		return err
	}
	for _, b := range built {
		digest, err := b.Index.Digest()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s %s in %s\n", b.Name(), digest, *to)
	}
	if *push == "" {
		return nil
	}
	return pushAll(ctx, *push, built, out)
}
