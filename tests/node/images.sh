#!/usr/bin/env bash
# Builds the images that tests run on a node, from Debian's packages, once for each
# state of this file, and prints the folder they are in:
#
#   pause.tar   node.test/pause:1
#   trixie.tar  node.test/helper:1, node.test/podman-stable:trixie,
#               node.test/podman-setuid:trixie
#   sid.tar     node.test/podman-stable:sid, node.test/buildah-stable:sid
#   versions    lines "IMAGE PROGRAM VERSION", with upstream's versions
#
# Podman's and Buildah's images have the layout of github.com/containers/image_build
# at 24ca4c1, and git and a static busybox besides: jobs clone, and build an image
# from scratch that runs something.
#
# The archives are docker-archives, which `ctr images import` and `podman load` take.
# Images of one archive share layers. tar writes these straight from a suite's root;
# by buildah, each file would be copied four times.
#
# `images.sh podseal` exports podseal's own image instead: see podseal-image.sh.
#
# Needs root on Debian. Exits with 77 if this machine cannot build images at all.
set -euo pipefail
shopt -s inherit_errexit

# `su` without a login shell leaves these out, and setcap and chroot are there.
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" = podseal ]; then
  exec "$here/podseal-image.sh"
fi
out=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")/node-images
# Progress goes past the logs of the suites.
exec 3>&2
say() { printf 'images: %s\n' "$*" >&3; }
cannot() {
  say "this machine cannot $*"
  exit 77
}

folder=$out/$(sha256sum <"$here/images.sh" | cut -c1-16)
if [ -e "$folder" ]; then
  echo "$folder"
  exit 0
fi

need_tools() {
  local missing=() tool
  for tool in mmdebstrap jq setcap; do
    command -v "$tool" >/dev/null || missing+=("${tool/setcap/libcap2-bin}")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  say "installing ${missing[*]}"
  { apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}"; } >/dev/null ||
    cannot "install the Debian packages ${missing[*]}"
}
[ "$(id -u)" -eq 0 ] || cannot "build images without root"
unshare --mount mount -t tmpfs images /mnt 2>/dev/null || cannot "mount a file system"
need_tools

mkdir -p "$out"
work=$(mktemp -d "$out/.part.XXXXXX")
# apt downloads as a user of its own.
chmod 755 "$work"
mkdir "$work/out"
jobs=()
clean_up() {
  local code=$? job
  for job in ${jobs[@]+"${jobs[@]}"}; do
    kill -- "-${job#*:}" 2>/dev/null || :
  done
  wait
  # On one file system: a leftover mount here is a folder of the machine.
  rm -rf --one-file-system "$work"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# The mirror that this machine uses. If there is none, mmdebstrap uses Debian's.
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
  tr -d ' ' | head -n 1 || :)
architecture=$(dpkg --print-architecture)

# bootstrap SUITE ROOT PACKAGES: installs a minimal Debian, and keeps apt's lists for
# later packages.
bootstrap() {
  # Sid's Release file is valid for a week, and a mirror may have an older one. apt still
  # verifies its signature. A temporary root needs no fsync.
  unshare --mount mmdebstrap --mode=root --variant=minbase --skip=cleanup/apt/lists \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt=force-unsafe-io --include="$3" "$1" "$2" ${mirror:+"$mirror"}
}

# in_root ROOT COMMAND...: runs it in ROOT with mounts that end with it.
# shellcheck disable=SC2016
in_root() {
  PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    unshare --mount sh -euc 'root=$1; shift
      mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
      exec chroot "$root" "$@"' sh "$@"
}

install_packages() {
  local root=$1
  shift
  in_root "$root" apt-get install -qq --yes --no-install-recommends "$@"
}

# mark ROOT: files of ROOT that change from now on belong to its next layer.
mark() {
  touch "$1.mark"
  # A file's time advances with the ticks of the kernel's clock.
  sleep 0.1
}

# What images leave out: this machine's, and nearly half of the size that no job reads.
# git needs Perl's modules for mail and Subversion only. mmdebstrap would filter packages
# by these paths as well, in Python and slowly.
left_out=(etc/resolv.conf etc/hostname 'dev/*' 'proc/*' 'sys/*' 'run/*' 'tmp/*'
  'var/cache/*' 'var/log/*' 'var/lib/apt/lists/*'
  'usr/share/doc/*' 'usr/share/man/*' 'usr/share/info/*' 'usr/share/locale/*'
  'usr/share/perl/*' 'usr/lib/*/perl/*' usr/libexec/podman/podman-testing 'usr/libexec/buildah/*')

# files ROOT [TEST...]: prints the files that belong to an image, for which find's TEST
# holds, each ended by a zero byte.
files() {
  local root=$1 path prune=(-false)
  shift
  for path in "${left_out[@]}"; do
    prune+=(-o -path "./$path")
  done
  (cd "$root" && find . \( "${prune[@]}" \) -prune -o "$@" -print0) | LC_ALL=C sort -z
}

# layer ROOT: packs the files that changed since the mark, or all if there is none, into
# a layer next to ROOT, and prints its name.
layer() {
  local root=$1 images=${1%/*} changed=() digest
  [ ! -e "$root.mark" ] || changed=(-cnewer "$root.mark")
  files "$root" >"$root.now"
  if [ -e "$root.files" ] && LC_ALL=C comm -z -23 "$root.files" "$root.now" | grep -z . >&2; then
    say "files of $root are gone, and a layer that removes files is not implemented"
    return 1
  fi
  mv "$root.now" "$root.files"
  # An extended attribute holds a file's capabilities.
  digest=$(files "$root" "${changed[@]}" |
    tar --create --directory "$root" --no-recursion --null --files-from - --numeric-owner \
      --format=posix --pax-option=delete=atime,delete=ctime \
      --xattrs --xattrs-include=security.capability |
    tee "$images/layer" | sha256sum | cut -d ' ' -f 1)
  mv "$images/layer" "$images/$digest.tar"
  mark "$root"
  echo "$digest.tar"
}

# image FOLDER NAME CONFIG LAYER...: adds an image to those of FOLDER.
image() {
  local images=$1 name=$2 config=$3 digest
  shift 3
  jq --null-input --arg architecture "$architecture" --argjson config "$config" \
    '{os: "linux", $architecture, created: (now | todate),
      config: ({Env: [], Cmd: ["/bin/bash"]} * $config
        | .Env += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]),
      rootfs: {type: "layers", diff_ids: ($ARGS.positional | map("sha256:" + rtrimstr(".tar")))}}' \
    --args "$@" >"$images/config"
  digest=$(sha256sum <"$images/config" | cut -d ' ' -f 1)
  mv "$images/config" "$images/$digest.json"
  jq --null-input --arg name "$name" --arg config "$digest.json" \
    '{Config: $config, RepoTags: [$name], Layers: $ARGS.positional}' --args "$@" >>"$images/images"
  say "$name: $(cd "$images" && stat --format %s "$@" | jq --slurp 'add / 1048576 | round') MiB after $SECONDS s"
}

# archive FOLDER: writes the images of FOLDER to FOLDER.tar.
archive() {
  local images=$1 file=$work/out/${1##*/}.tar
  jq --slurp . "$images/images" >"$images/manifest.json"
  (cd "$images" && tar --create --file "$file" -- *.json *.tar)
  say "${file##*/}: $(($(stat --format %s "$file") / 1048576)) MiB after $SECONDS s"
}

# lay_out ROOT USER: does what Podman's and Buildah's images have in common.
lay_out() {
  local root=$1 user=$2
  ln -s ../../bin/busybox "$root/usr/local/bin/busybox"
  chroot "$root" useradd --uid 1000 --create-home --key HOME_MODE=0700 --shell /bin/bash "$user"
  printf '%s:1:999\n%s:1001:64535\n' "$user" "$user" | tee "$root/etc/subuid" >"$root/etc/subgid"
  chmod u-s "$root"/usr/bin/new{uid,gid}map
  setcap cap_setuid=ep "$root/usr/bin/newuidmap"
  setcap cap_setgid=ep "$root/usr/bin/newgidmap"
  mkdir -p "$root/home/$user"/{.config,.local/share}/containers "$root/var/lib/containers" \
    "$root"/var/lib/shared/{overlay,vfs}-{images,layers}
  touch "$root"/var/lib/shared/{overlay,vfs}-images/images.lock \
    "$root"/var/lib/shared/{overlay,vfs}-layers/layers.lock
  printf '/run/secrets/%s:/run/secrets/%s\n' etc-pki-entitlement etc-pki-entitlement rhsm rhsm \
    >"$root/etc/containers/mounts.conf"
  # Fedora's file as upstream edits it, without the comments.
  cat >"$root/etc/containers/storage.conf" <<'E'
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"

[storage.options]
additionalimagestores = [
"/var/lib/shared",
]
pull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos=""}

[storage.options.overlay]
mount_program = "/usr/bin/fuse-overlayfs"
mountopt = "nodev,fsync=0"
E
}

lay_out_podman() {
  local root=$1
  lay_out "$root" podman
  cat >"$root/etc/containers/containers.conf" <<'E'
[containers]
netns="host"
userns="host"
ipcns="host"
utsns="host"
cgroupns="host"
cgroups="disabled"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger="file"
runtime="crun"
E
  cat >"$root/home/podman/.config/containers/containers.conf" <<'E'
[containers]
volumes = [
	"/proc:/proc",
]
default_sysctls = []
E
  chroot "$root" chown -R podman:podman /home/podman
}

lay_out_buildah() {
  local root=$1
  lay_out "$root" build
  printf '[engine]\ncgroup_manager = "cgroupfs"\n' >"$root/etc/containers/containers.conf"
  sed 's/^\(graphroot\|runroot\)/#&/' "$root/etc/containers/storage.conf" \
    >"$root/home/build/.config/containers/storage.conf"
  chroot "$root" chown -R build:build /home/build
}

config_of_podman='{
  "Env": ["_CONTAINERS_USERNS_CONFIGURED=", "BUILDAH_ISOLATION=chroot"],
  "Volumes": {"/var/lib/containers": {}, "/home/podman/.local/share/containers": {}}
}'
config_of_buildah='{
  "Env": ["BUILDAH_ISOLATION=chroot"],
  "Volumes": {"/var/lib/containers": {}, "/home/build/.local/share/containers": {}},
  "Labels": {"io.containers.capabilities": "CHOWN,DAC_OVERRIDE,FOWNER,FSETID,KILL,NET_BIND_SERVICE,SETFCAP,SETGID,SETPCAP,SETUID,CHOWN,DAC_OVERRIDE,FOWNER,FSETID,KILL,NET_BIND_SERVICE,SETFCAP,SETGID,SETPCAP,SETUID,SYS_CHROOT"}
}'

# versions IMAGE ROOT PROGRAM: prints the versions of the program and of two libraries in
# it. By containers/storage, Podman reads /etc/containers/storage.conf for rootless users
# or does not.
# shellcheck disable=SC2016
versions() {
  local name=$1 root=$2 program=$3 line library
  query() { dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat "$1" "$program"; }
  {
    query "$program \${Version}\n"
    # Which of these fields lists the linked libraries depends on the suite.
    for library in buildah storage; do
      line=$(query '${Static-Built-Using}, ${Built-Using}' |
        grep -oE "golang-github-containers-$library \(= [^)]+" | head -n 1 || :)
      [ -z "$line" ] || echo "containers/$library ${line##*= }"
    done
  } | sed -E "s|^([^ ]+) ([0-9]+:)?([^-+~]+).*|$name \\1 \\3|"
}

# Both images have these. Fedora's packages depend on them or recommend them.
engine=(crun fuse-overlayfs netavark passt uidmap)
tools=git,ca-certificates,curl,busybox-static

# pause BUSYBOX: builds the image from a static busybox.
pause() {
  local images=$work/pause layer
  install -D "$1" "$images/root/bin/busybox"
  layer=$(layer "$images/root")
  # Process 1 has to handle SIGTERM, or it is ignored, and to reap orphans.
  image "$images" node.test/pause:1 '{"Cmd": null, "Entrypoint": ["/bin/busybox", "sh", "-c",
    "trap exit TERM INT; while :; do /bin/busybox sleep 86400 & wait $!; done"]}' "$layer"
  archive "$images"
}

trixie() {
  local images=$work/trixie root=$work/trixie/root base podman setuid
  bootstrap trixie "$root" "$tools"
  pause "$root/usr/bin/busybox"
  base=$(layer "$root")
  # Like GitLab Runner's helper image, it has no user for jobs, and a shell and git.
  image "$images" node.test/helper:1 '{}' "$base"

  install_packages "$root" podman catatonit "${engine[@]}"
  lay_out_podman "$root"
  podman=$(layer "$root")
  image "$images" node.test/podman-stable:trixie "$config_of_podman" "$base" "$podman"
  versions node.test/podman-stable:trixie "$root" podman >"$images/versions"

  # As Debian's package has them.
  setcap -r "$root/usr/bin/newuidmap"
  setcap -r "$root/usr/bin/newgidmap"
  chmod u+s "$root"/usr/bin/new{uid,gid}map
  setuid=$(layer "$root")
  image "$images" node.test/podman-setuid:trixie "$config_of_podman" "$base" "$podman" "$setuid"
  versions node.test/podman-setuid:trixie "$root" podman >>"$images/versions"
  archive "$images"
}

sid() {
  local images=$work/sid root=$work/sid/root base podman buildah
  bootstrap sid "$root" "$tools,$(IFS=, && echo "${engine[*]}")"
  base=$(layer "$root")
  cp -a "$root" "$root.buildah"
  cp -a "$root.files" "$root.buildah.files"
  mark "$root.buildah"

  install_packages "$root" podman catatonit
  lay_out_podman "$root"
  podman=$(layer "$root")
  image "$images" node.test/podman-stable:sid "$config_of_podman" "$base" "$podman"
  versions node.test/podman-stable:sid "$root" podman >"$images/versions"

  install_packages "$root.buildah" buildah
  lay_out_buildah "$root.buildah"
  buildah=$(layer "$root.buildah")
  image "$images" node.test/buildah-stable:sid "$config_of_buildah" "$base" "$buildah"
  versions node.test/buildah-stable:sid "$root.buildah" buildah >>"$images/versions"
  archive "$images"
}

say "building images from Debian's packages; this is done once, and takes a minute or two"
# In process groups of their own, so that clean_up ends all processes of one.
set -m
mkdir "$work/trixie" "$work/sid"
trixie >"$work/trixie.log" 2>&1 </dev/null &
jobs+=("trixie:$!")
sid >"$work/sid.log" 2>&1 </dev/null &
jobs+=("sid:$!")
set +m
for job in "${jobs[@]}"; do
  if ! wait "${job#*:}"; then
    tail -n 40 "$work/${job%:*}.log" >&3
    say "building the images of ${job%:*} failed"
    exit 1
  fi
done

sort "$work"/{trixie,sid}/versions >"$work/out/versions"
while read -r line; do
  say "$line"
done <"$work/out/versions"
# Fails if another run was faster.
mv -T "$work/out" "$folder" 2>/dev/null || [ -e "$folder" ]
say "built in $SECONDS s"
echo "$folder"
