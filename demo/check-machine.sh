#!/bin/sh
# Tells before a long build what this machine lacks for the demo. Needs coreutils only.
fail=0
lack() { echo "demo: $1" >&2; fail=1; }

case "$(uname -s)" in
Linux | Darwin) ;;
*) lack "this is $(uname -s); the demo runs on Linux and macOS" ;;
esac

if command -v go >/dev/null 2>&1; then
	version=$(go env GOVERSION)
	version=${version#go}
	major=${version%%.*}
	rest=${version#*.}
	minor=${rest%%[!0-9]*}
	if [ "$major" -lt 1 ] || { [ "$major" -eq 1 ] && [ "$minor" -lt 26 ]; }; then
		lack "Go is $version; 1.26 or newer is needed"
	fi
else
	lack "there is no go on PATH; install Go 1.26 or newer"
fi
command -v git >/dev/null 2>&1 || lack "there is no git on PATH"

# A cold build keeps 6 GB of compiled packages; the fleet itself a few hundred MB.
free=$(df -Pk . | { read -r _; read -r _ _ _ kb _; echo $((kb / 1048576)); })
[ "${free:-0}" -ge 10 ] || lack "${free:-0} GB are free on this disk; 10 are needed"

if [ -r /proc/meminfo ]; then
	while read -r key value _; do
		[ "$key" = MemAvailable: ] && memory=$((value / 1048576))
	done </proc/meminfo
	[ "${memory:-0}" -ge 3 ] || lack "${memory:-0} GB of memory are free; 3 are needed"
fi

[ "$fail" -eq 0 ] || exit 1
