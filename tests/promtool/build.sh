#!/usr/bin/env bash
# Builds the promtool of the Prometheus that go.mod pins, once for each state of
# these files, and prints the folder it is in.
#
# Its service discovery would be half of the build, and nothing here discovers
# anything. The versions of Kubernetes' modules are those of tests/controlplane, so
# that Go's build cache has most of the rest once that is built.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${CARGO_TARGET_DIR:-$root/target}/promtool
say() { printf 'promtool: %s\n' "$*" >&2; }

if ! command -v go >/dev/null; then
  say "go is not installed, and promtool is built with it (1.26 or later)"
  exit 1
fi

key=$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" | sha256sum | cut -c1-16)
bin=$out/$key
if [ -e "$bin/complete" ]; then
  echo "$bin"
  exit 0
fi

cd "$here"
tags=remove_all_sd
version=$(go list -m -f '{{.Version}}' github.com/prometheus/prometheus)
say "fetching the sources of Prometheus $version"
total=$(go list -deps -tags "$tags" tool | wc -l)
say "building at most $total packages; this is done once, and takes some minutes"
mkdir -p "$out"
part=$(mktemp -d "$bin.XXXXXX")
trap 'rm -rf "$part"' EXIT
start=$SECONDS
go build -v -tags "$tags" -ldflags "-s -w" -o "$part/promtool" tool 2>"$part/log" &
pid=$!
while kill -0 "$pid" 2>/dev/null; do
  sleep 1
  if [ $(((SECONDS - start) % 30)) -eq 0 ]; then
    say "$(grep -c . "$part/log" || true) packages, $((SECONDS - start)) s"
  fi
done
if ! wait "$pid"; then
  grep -vE '^[a-zA-Z0-9./_-]+$' "$part/log" >&2 || cat "$part/log" >&2
  exit 1
fi
touch "$part/complete"
rm -rf "$bin"
mv "$part" "$bin"
say "built in $((SECONDS - start)) s"
echo "$bin"
