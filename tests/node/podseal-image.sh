#!/usr/bin/env bash
# podseal-image.sh [amd64 | arm64]: exports podseal's image as podseal:VERSION for `ctr images
# import`, and prints the archive's path. .ci/image builds it with the Dockerfile, for
# minutes. So it is built only if files that the Dockerfile copies have changed: after a
# commit of docs or tests, only the revision that it names is older.
#
# Needs root on Debian. Exits with 77 if this machine cannot build images at all.
set -euo pipefail
cd "$(dirname "$0")/../.."

architecture=${1:-amd64}
suffix=-$architecture
[ "$architecture" != amd64 ] || suffix=''
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
built=$target/image$suffix
archive=$target/node-images/podseal$suffix.tar
image=localhost/podseal:ci
storage=(--root "$built/storage" --runroot "$built/run" --storage-driver vfs)
# The image depends on these. .dockerignore keeps all others out.
inputs=(Dockerfile .dockerignore rust-toolchain.toml .ci/image Cargo.toml Cargo.lock build.rs src
  docs/profile.schema.json crates ':(exclude)crates/demo/src' ':(exclude)crates/test-*/src')
say() { printf 'podseal-image: %s\n' "$*" >&2; }
if [ "$(id -u)" -ne 0 ]; then
  say "this machine cannot build images without root"
  exit 77
fi

GIT_ALTERNATE_OBJECT_DIRECTORIES=$(realpath "$(git rev-parse --git-path objects)")
export GIT_ALTERNATE_OBJECT_DIRECTORIES
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

inspect() {
  buildah "${storage[@]}" inspect --type image --format "$1" "$image" 2>/dev/null
}

# files REVISION ["and changes"]: prints the inputs of a commit with their hashes, with
# the changes of the working tree or without. It has an index and objects of its own,
# so that the repository stays as it is.
files() (
  export GIT_INDEX_FILE=$scratch/index GIT_OBJECT_DIRECTORY=$scratch/objects
  rm -rf "$GIT_INDEX_FILE" && mkdir -p "$GIT_OBJECT_DIRECTORY"
  git read-tree "$1" && { [ $# -eq 1 ] || git add --all -- "${inputs[@]}"; } &&
    git ls-files --stage -- "${inputs[@]}"
)
files_now() { files HEAD "and changes"; }

is_current() {
  local id revision
  files_now >"$scratch/now" || return
  id=$(inspect '{{.FromImageID}}') && [ -n "$id" ] || return
  if [ "$(head -n 1 "$built/inputs" 2>/dev/null)" = "$id" ]; then
    # This script built it, maybe from files that were not committed.
    tail -n +2 "$built/inputs" | cmp --silent - "$scratch/now"
  else
    revision=$(inspect '{{index .OCIv1.Config.Labels "org.opencontainers.image.revision"}}') || return
    files "$revision" 2>/dev/null | cmp --silent - "$scratch/now"
  fi
}

if is_current; then
  say "using the image that was built from the same files"
else
  say "building the image; this takes some minutes"
  files_now >"$scratch/now"
  # Which exits with 77 itself.
  .ci/image "$architecture" build >&2
  { printf '%s\n' "$(inspect '{{.FromImageID}}')" && cat "$scratch/now"; } >"$built/inputs"
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
mkdir -p "${archive%/*}"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$scratch/policy.json"
buildah "${storage[@]}" push --quiet --signature-policy "$scratch/policy.json" \
  "$image" "docker-archive:$scratch/podseal.tar:podseal:$version"
# Atomically: another run may read it.
mv "$scratch/podseal.tar" "$archive.$$" && mv "$archive.$$" "$archive"
say "podseal:$version for $architecture: $(($(stat --format %s "$archive") / 1048576)) MiB after $SECONDS s"
echo "$archive"
