#!/bin/sh
# Builds the localfleet program into a cache, unless it is there, and links bin/localfleet and bin/kubectl to it. Run it from
# the repository's root through `make localfleet`; it needs go and coreutils.
set -eu

version=${LOCALFLEET_KUBERNETES:?is set by build.mk}
minor=${version#1.} minor=${minor%.*}
cache=${FLOTILLA_CACHE:-${XDG_CACHE_HOME:-${HOME:?must be set, or FLOTILLA_CACHE}/.cache}/flotilla}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac

# The program is a function of these files, the compiler and the platform.
key=$({ go version
	for file in localfleet/go.mod localfleet/go.sum localfleet/build.* localfleet/*.go localfleet/cmd/localfleet/*.go; do
		case $file in *_test.go) ;; *) printf '%s\n' "$file"; cat "$file" ;; esac
	done; } | sha256sum | cut -c 1-16)
program=$cache/localfleet-$key

if ! [ -x "$program" ]; then
	mkdir -p "$cache"
	echo "building localfleet (Kubernetes $version) into $cache: 6 to 10 minutes when nothing of it was built before on"
	echo "2 cores, half a minute when only our own code changed; it takes 3 GB of disk in Go's caches"
	part=$program.$$
	CGO_ENABLED=0 GOWORK=off go -C localfleet build -trimpath -o "$part" -ldflags "-s -w \
		-X k8s.io/component-base/version.gitVersion=v$version \
		-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor \
		-X k8s.io/client-go/pkg/version.gitVersion=v$version" ./cmd/localfleet &
	compiler=$!
	trap 'kill $compiler 2>/dev/null; rm -f "$part"; exit 1' INT TERM HUP
	begin=$(date +%s)
	( while sleep 15; do
		kill -0 $compiler 2>/dev/null || exit 0
		echo "  still building after $(($(date +%s) - begin)) s"
	done ) &
	ticker=$!
	status=0
	wait $compiler || status=$?
	kill $ticker 2>/dev/null || :
	if [ $status -ne 0 ]; then rm -f "$part"; exit $status; fi
	mv "$part" "$program"
	ls -t "$cache"/localfleet-* | tail -n +6 | while read -r old; do rm -f "$old"; done # the five newest are enough
	echo "built $program in $(($(date +%s) - begin)) s"
fi
mkdir -p bin
ln -sf "$program" "$cache/localfleet"
ln -sf "$program" bin/localfleet
ln -sf "$program" bin/kubectl
