#!/bin/sh
# Builds the localfleet program into a cache, unless it is there, and links bin/localfleet and bin/kubectl to it. Run it from
# the repository's root through `make localfleet`; it needs go and coreutils.
set -eu

version=${LOCALFLEET_KUBERNETES:?is set by build.mk}
minor=${version#1.} minor=${minor%.*}
cache=${FLOTILLA_CACHE:-${XDG_CACHE_HOME:-${HOME:?must be set, or FLOTILLA_CACHE}/.cache}/flotilla}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
export CGO_ENABLED=0 GOWORK=off

# The program is a function of these files, the compiler and the platform.
key=$({ go version
	for file in localfleet/go.mod localfleet/go.sum localfleet/build.* localfleet/*.go localfleet/cmd/localfleet/*.go; do
		case $file in *_test.go) ;; *) printf '%s\n' "$file"; cat "$file" ;; esac
	done; } | sha256sum | cut -c 1-16)
program=$cache/localfleet-$key
part=$cache/.building-$key-$$

compile() {
	go -C localfleet build -v -trimpath -o "$part" -ldflags "-s -w \
		-X k8s.io/component-base/version.gitVersion=v$version \
		-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor \
		-X k8s.io/client-go/pkg/version.gitVersion=v$version" ./cmd/localfleet 2>"$part.log"
}

# tick says every 15 seconds how far compile is, until its log is gone or this shell is.
tick() {
	seconds=0
	while sleep 1 && [ -e "$part.log" ] && kill -0 $$ 2>/dev/null; do
		seconds=$((seconds + 1))
		[ $((seconds % 15)) -ne 0 ] ||
			echo "localfleet: $(wc -l <"$part.log") of about 2800 packages after $seconds s; linking comes last"
	done
}

build() {
	mkdir -p "$cache"
	echo "localfleet: building Kubernetes $version into one program; on 2 cores that takes 6 to 10 minutes the first time,"
	echo "localfleet: half a minute when only our own code changed. Go's caches grow by 5 GB, $cache by 150 MB."
	begin=$(date +%s)
	: >"$part.log"
	trap 'rm -f "$part"*' EXIT
	trap 'exit 1' INT TERM HUP
	tick &
	if ! compile; then
		tail -n 40 "$part.log" >&2
		exit 1
	fi
	mv "$part" "$program"
	rm "$part.log"
	wait # for tick, which would hold our output open
	echo "localfleet: built $program in $(($(date +%s) - begin)) s"
	ls -t "$cache"/localfleet-* | tail -n +6 | while read -r old; do rm -f "$old"; done # the five newest are enough
}

# link makes a link to the program, and leaves one that is right alone: others may be using it.
link() {
	[ "$(readlink "$1" || :)" = "$program" ] || ln -sf "$program" "$1"
}

[ -x "$program" ] || build
mkdir -p bin
link "$cache/localfleet"
link bin/localfleet
link bin/kubectl
