#!/bin/sh
# Tells before a long build what this machine lacks for the demo. Needs go, git and coreutils only. Run it from the
# repository's root through `make check-machine`.
fail=0
lack() { echo "demo: $1" >&2; fail=1; }

# older says whether version $1 is older than $2, by their first two numbers.
older() {
	major=${1%%.*} rest=${1#*.}
	minor=${rest%%[!0-9]*}
	[ "$major" -lt "${2%%.*}" ] || { [ "$major" -eq "${2%%.*}" ] && [ "${minor:-0}" -lt "${2#*.}" ]; }
}

case "$(uname -s)" in
Linux | Darwin) ;;
*) lack "this is $(uname -s); the demo runs on Linux and macOS" ;;
esac

go=yes
if ! command -v go >/dev/null 2>&1; then
	lack "there is no go on PATH; install Go 1.26 or newer" && go=
elif version=$(go env GOVERSION) && older "${version#go}" 1.26; then
	lack "Go is ${version#go}; 1.26 or newer is needed" && go=
fi

if ! command -v git >/dev/null 2>&1; then
	lack "there is no git on PATH; install git 2.28 or newer"
elif version=$(git --version) && older "${version#git version }" 2.28; then
	lack "this is $version; 2.28 or newer is needed"
fi

# A cold build keeps 8 GB of downloaded and compiled packages; the fleet itself takes a few hundred MB.
need=12
[ ! -x bin/flotilla ] || need=2
free=$(df -Pk . | { read -r _; read -r _ _ _ kb _; echo $((kb / 1048576)); })
[ "${free:-0}" -ge "$need" ] || lack "${free:-0} GB are free on this disk; $need are needed"

if [ -r /proc/meminfo ]; then
	while read -r key value _; do
		[ "$key" != MemAvailable: ] || memory=$((value / 1048576))
	done </proc/meminfo
	[ "${memory:-0}" -ge 3 ] || lack "${memory:-0} GB of memory are free; 3 are needed"
fi

[ -z "$go" ] || go run ./demo/loopback || fail=1

[ "$fail" -eq 0 ] || exit 1
