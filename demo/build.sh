#!/bin/sh
# Builds flotilla, flotilla-controller and flotilla-agent into bin/, and says how far it is when that takes long. Run it from
# the repository's root through `make build`; it needs go and coreutils.
set -eu

log=$(mktemp)
ticker=
trap '[ -z "$ticker" ] || kill "$ticker" 2>/dev/null; rm -f "$log"' EXIT
trap 'exit 1' INT TERM HUP

# tick says every 15 seconds how far the build is, until this shell is gone.
tick() {
	seconds=0
	while sleep 1 && kill -0 $$ 2>/dev/null; do
		seconds=$((seconds + 1))
		[ $((seconds % 15)) -ne 0 ] ||
			echo "flotilla: $(wc -l <"$log") of about 1250 packages after $seconds s; linking comes last"
	done
}

echo "flotilla: building flotilla, flotilla-controller and flotilla-agent; on 2 cores that takes about 4 minutes the first time"
mkdir -p bin
tick &
ticker=$!
if ! go build -v -ldflags "-s -w" -o bin/ ./cmd/... 2>"$log"; then
	tail -n 40 "$log" >&2
	exit 1
fi
