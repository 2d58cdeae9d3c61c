#!/usr/bin/env bash
# Builds the images of the tests on a node from Debian's packages, once for each
# state of this file, and prints the folder they are in:
#
#   pause.tar   node.test/pause:1
#   trixie.tar  node.test/helper:1, node.test/podman-stable:trixie,
#               node.test/podman-setuid:trixie
#   sid.tar     node.test/podman-stable:sid, node.test/buildah-stable:sid
#   versions    lines "IMAGE PROGRAM VERSION", with the versions of upstream
#
# The archives are docker-archives, which `ctr images import` and `podman load` take.
# They are written here, since a builder of images would copy every file five times;
# images of one archive share their layers. Podman's and Buildah's images are laid
# out as github.com/containers/image_build does at 24ca4c1, and have git and a static
# busybox as well, which jobs need to clone and to build an image from scratch.
#
# Needs root on Debian. Ends with 77 where this machine cannot build them at all.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")/node-images
# Suites write to logs of their own, and what is said goes past these.
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
  # On one file system: a mount that was left here would be one of the machine's folders.
  rm -rf --one-file-system "$work"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# The mirror that this machine uses; without one, mmdebstrap knows Debian's own.
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
  tr -d ' ' | head -n 1 || :)
architecture=$(dpkg --print-architecture)

# bootstrap SUITE ROOT PACKAGES: a minimal Debian that keeps apt's lists for what is
# installed later.
bootstrap() {
  local options=() path
  # What no job reads: half of the size. Perl's modules are for git's mail and Subversion.
  for path in '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' \
    '/usr/share/perl/*' '/usr/lib/*/perl/*' '/usr/libexec/podman/podman-testing' '/usr/libexec/buildah/*'; do
    options+=("--dpkgopt=path-exclude=$path")
  done
  # Sid's Release file is valid for a week, and a mirror may hold an older one. Its
  # signature is verified as ever. A root that is thrown away needs no fsync.
  unshare --mount mmdebstrap --mode=root --variant=minbase --skip=cleanup/apt/lists \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt=force-unsafe-io "${options[@]}" --include="$3" "$1" "$2" ${mirror:+"$mirror"}
}

# in_root ROOT COMMAND...: its mounts end with it.
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

# mark ROOT: what changes in ROOT from now on goes to its next layer.
mark() {
  touch "$1.mark"
  # The kernel's time of a file is as exact as its clock ticks.
  sleep 0.1
}

# files ROOT TEST...: those that an image keeps, each ended by a zero byte.
files() {
  local root=$1 path prune=(-path ./etc/resolv.conf -o -path ./etc/hostname)
  shift
  for path in dev proc sys run tmp var/cache var/log var/lib/apt/lists; do
    prune+=(-o -path "./$path/*")
  done
  (cd "$root" && find . \( "${prune[@]}" \) -prune -o "$@" -print0) | LC_ALL=C sort -z
}

# layer ROOT: packs what changed since the mark, or everything where there is none,
# next to ROOT, and prints the layer's name.
layer() {
  local root=$1 images=${1%/*} changed=() digest
  [ ! -e "$root.mark" ] || changed=(-cnewer "$root.mark")
  files "$root" >"$root.now"
  if [ -e "$root.files" ] && LC_ALL=C comm -z -23 "$root.files" "$root.now" | grep -z .; then
    say "${root##*/} lost these files, and its next layer would not say so"
    return 1
  fi
  mv "$root.now" "$root.files"
  # File capabilities are extended attributes. Access times differ at each build.
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
}

# archive FOLDER: writes its images to FOLDER.tar of the output.
archive() {
  local images=$1 file=$work/out/${1##*/}.tar
  jq --slurp . "$images/images" >"$images/manifest.json"
  (cd "$images" && tar --create --file "$file" -- *.json *.tar)
  say "${file##*/}: $(($(stat --format %s "$file") / 1048576)) MiB after $SECONDS s"
}

# lay_out ROOT USER: what Podman's image and Buildah's have in common.
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
  # Fedora's file with upstream's changes to it, less the comments.
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

# versions IMAGE ROOT PROGRAM: prints that of the program and of the libraries in it.
# Whether Podman reads storage.conf for rootless users is decided by containers/storage.
versions() {
  local name=$1 root=$2 program=$3 line library
  query() { dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat "$1" "$program"; }
  {
    query "$program \${Version}\n"
    # Debian names the sources of what is linked statically, by one field or the other.
    for library in buildah storage; do
      line=$(query '${Static-Built-Using}, ${Built-Using}' |
        grep -oE "golang-github-containers-$library \(= [^)]+" | head -n 1 || :)
      [ -z "$line" ] || echo "containers/$library ${line##*= }"
    done
  } | sed -E "s|^([^ ]+) ([0-9]+:)?([^-+~]+).*|$name \\1 \\3|"
}

# Packages that Podman's image and Buildah's need, or have by Fedora's recommendations.
engine=(crun fuse-overlayfs netavark passt uidmap)
tools=git,ca-certificates,curl,busybox-static

# pause BUSYBOX
pause() {
  local images=$work/pause layer
  install -D "$1" "$images/root/bin/busybox"
  layer=$(layer "$images/root")
  # Process 1 ends by SIGTERM only if it handles it, and reaps what its pod leaves.
  image "$images" node.test/pause:1 '{"Cmd": null, "Entrypoint": ["/bin/busybox", "sh", "-c",
    "trap exit TERM INT; while :; do /bin/busybox sleep 86400 & wait $!; done"]}' "$layer"
  archive "$images"
}

trixie() {
  local images=$work/trixie root=$work/trixie/root base podman setuid
  bootstrap trixie "$root" "$tools"
  pause "$root/usr/bin/busybox"
  base=$(layer "$root")
  # Of GitLab Runner's helper image: root alone, git and a shell.
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

say "building them from Debian's packages; this is done once, and takes a minute or two"
# In process groups of their own, so that all of one can be ended.
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
# Unless a run at the same time was faster.
mv -T "$work/out" "$folder" 2>/dev/null || [ -e "$folder" ]
say "built in $SECONDS s"
echo "$folder"
