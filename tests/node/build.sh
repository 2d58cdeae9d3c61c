#!/usr/bin/env bash
# Builds the programs of a node from the Go modules that are pinned here and in
# ../controlplane, once for each state of these files, and prints the folder they
# are in: kubelet, kube-proxy, kube-scheduler, kube-controller-manager, containerd
# with its shim and ctr, runc, CNI plugins, a registry, kube-network-policies,
# CoreDNS.
#
# About 10 CPU minutes the first time, less after ../controlplane/build.sh, whose
# build cache it shares. Needs Go, a C compiler, pkg-config and libseccomp's headers.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${CARGO_TARGET_DIR:-$root/target}/node
say() { printf 'node: %s\n' "$*" >&2; }

for tool in go cc pkg-config; do
  if ! command -v "$tool" >/dev/null; then
    say "$tool is not installed; programs of the node are built with it"
    exit 1
  fi
done
if ! pkg-config --exists libseccomp; then
  say "libseccomp's headers are missing, and runc needs them: install libseccomp-dev"
  exit 1
fi

key=$(cat "$here"/build.sh "$here"/*/go.{mod,sum} "$here"/*/main.go "$here"/../controlplane/{go.mod,go.sum,version-flags.sh} | sha256sum | cut -c1-16)
bin=$out/$key
if [ -e "$bin/complete" ]; then
  echo "$bin"
  exit 0
fi
mkdir -p "$out"
part=$(mktemp -d "$out/.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
export GOFLAGS=-buildvcs=false

version_of() { (cd "$here/$1" && go list -m -f '{{.Version}}' "$2"); }

. "$here/../controlplane/version-flags.sh"
start=$SECONDS
say "building Kubernetes' node components $version; this is done once, and takes some minutes"
(
  cd "$here/../controlplane"
  packages=(kubelet kube-proxy kube-scheduler kube-controller-manager)
  go build -ldflags "-s -w $version_flags" -o "$part/" "${packages[@]/#/k8s.io/kubernetes/cmd/}"
)
say "built them in $((SECONDS - start)) s"

containerd=$(version_of containerd github.com/containerd/containerd/v2)
runc=$(version_of runc github.com/opencontainers/runc)
build_tools() {
  local module=$1 flags=${2:-} start=$SECONDS
  (cd "$here/$module" && go build ${3:+-tags "$3"} -ldflags "-s -w $flags" -o "$part/" tool)
  say "built $module in $((SECONDS - start)) s"
}
build_tools containerd "-X github.com/containerd/containerd/v2/version.Version=${containerd#v}"
build_tools runc "-X main.version=${runc#v}" seccomp
build_tools registry
mkdir "$part/cni"
(cd "$here/cni" && CGO_ENABLED=0 go build -ldflags "-s -w" -o "$part/cni/" tool)
(cd "$here/networkpolicy" && go build -ldflags "-s -w" -o "$part/kube-network-policies" tool)

(cd "$here/coredns" && CGO_ENABLED=0 go build -ldflags "-s -w" -o "$part/coredns" .)

touch "$part/complete"
chmod 755 "$part"
# Unless a run at the same time was faster.
mv -T "$part" "$bin" 2>/dev/null || [ -e "$bin/complete" ]
say "built in $SECONDS s"
echo "$bin"
