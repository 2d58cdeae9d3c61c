#!/usr/bin/env bash
# Builds kube-apiserver, etcd, kubectl and helm from the Go modules that go.mod
# pins, once for each state of these files, and prints the folder they are in.
#
# About 6 minutes on 2 cores the first time; seconds with Go's build cache.
# KUBEBUILDER_ASSETS, where set, is used instead, as controller-runtime's users
# expect.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${CARGO_TARGET_DIR:-$root/target}/controlplane
say() { printf 'control plane: %s\n' "$*" >&2; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for tool in etcd kube-apiserver kubectl helm; do
    if [ ! -x "$KUBEBUILDER_ASSETS/$tool" ]; then
      say "KUBEBUILDER_ASSETS is set to $KUBEBUILDER_ASSETS, which has no $tool; unset it to build one"
      exit 1
    fi
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

if ! command -v go >/dev/null; then
  say "go is not installed, and the API server of the tests is built with it (1.26 or later)"
  exit 1
fi

key=$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" "$here/version-flags.sh" | sha256sum | cut -c1-16)
bin=$out/$key
if [ -e "$bin/complete" ]; then
  echo "$bin"
  exit 0
fi

. "$here/version-flags.sh"

cd "$here"
say "fetching the sources of Kubernetes $version"
go mod download -x 2>&1 | awk '/^# get/ { if (++n % 100 == 0) printf "control plane: %d downloads\n", n }' >&2
# The node's components are of this module too; ../node/build.sh builds them.
tools=(go.etcd.io/etcd/server/v3 helm.sh/helm/v4/cmd/helm k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl)
total=$(go list -deps "${tools[@]}" | wc -l)
say "building $total packages; this is done once, and takes some minutes"
mkdir -p "$bin.part"
start=$SECONDS
go build -v -ldflags "-s -w $version_flags" -o "$bin.part" "${tools[@]}" 2>"$bin.log" &
pid=$!
while kill -0 "$pid" 2>/dev/null; do
  sleep 1
  if [ $(((SECONDS - start) % 30)) -eq 0 ]; then
    say "$(grep -c . "$bin.log" || true) of at most $total packages, $((SECONDS - start)) s"
  fi
done
if ! wait "$pid"; then
  grep -vE '^[a-z0-9./_-]+$' "$bin.log" >&2 || cat "$bin.log" >&2
  exit 1
fi
mv "$bin.part/server" "$bin.part/etcd"
rm -rf "$bin"
mv "$bin.part" "$bin"
touch "$bin/complete"
say "built in $((SECONDS - start)) s"
echo "$bin"
