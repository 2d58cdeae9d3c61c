#!/usr/bin/env bash
# Runs a node of Kubernetes on this machine, in the manner of a kind node and without
# Docker, until its standard input ends; then removes all of it.
#
#   start.sh FOLDER PROGRAMS IMAGES [ARCHIVE...]
#
# FOLDER    what the node writes goes there; it is made, and removed at the end
# PROGRAMS  the folders of tests/node/build.sh and tests/controlplane/build.sh, with
#           a colon between
# IMAGES    the folder that the node sees as /images
# ARCHIVE   archives in there, imported before the node is ready
# Images and containers are in memory where there is enough of it, unless NODE_ON_DISK
# is set.
#
# Its processes have mount, network, pid, ipc, uts and cgroup namespaces, and a root
# of their own, so that sysctls, mounts, /etc and devices of this machine stay as they
# are. FOLDER/work/pid has the node's first process, FOLDER/work/ready exists once jobs
# can run.
set -euo pipefail

# As su without a login shell has it, PATH lacks these.
export PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
folder=$(realpath -m "$1") programs=$2 images=$(realpath "$3")
shift 3
root=$folder/root
prefix=podseal-node
name=$prefix-$$

# Version 1 of cgroups has a hierarchy for each controller or for a few, version 2 one for
# all. CI runs version 1.
hierarchies=()
if [ "$(stat --file-system --format %T /sys/fs/cgroup)" = cgroup2fs ]; then
  hierarchies=(.)
else
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do
    # systemd makes /sys/fs/cgroup/cpu a link to cpu,cpuacct.
    hierarchy=$(basename "$(realpath "/sys/fs/cgroup/$controller")")
    if [ -d "/sys/fs/cgroup/$hierarchy" ] && [[ " ${hierarchies[*]} " != *" $hierarchy "* ]]; then
      hierarchies+=("$hierarchy")
    fi
  done
fi

remove_cgroups() { # of the run NAME
  local hierarchy left
  for hierarchy in "${hierarchies[@]}"; do
    # The kernel takes a moment to let go of processes that have ended.
    for _ in {1..50}; do
      left=$(find "/sys/fs/cgroup/$hierarchy/$1" -depth -type d ! -exec rmdir {} \; -print 2>/dev/null || :)
      [ -n "$left" ] || break
      sleep 0.1
    done
  done
}

# What a run that was killed could not remove.
for stale in "$(dirname "$folder")"/*/starter; do
  if [ -e "$stale" ] && ! [ -e "/proc/$(cat "$stale")" ]; then
    rm -rf "$(dirname "$stale")"
  fi
done
for stale in "/sys/fs/cgroup/${hierarchies[0]}/$prefix"-*; do
  [ -d "$stale" ] && ! [ -e "/proc/${stale##*-}" ] && remove_cgroups "${stale##*/}"
done

make_cgroups() {
  local hierarchy file
  for hierarchy in "${hierarchies[@]}"; do
    mkdir "/sys/fs/cgroup/$hierarchy/$name"
    # A process cannot enter a cpuset that names no processor.
    for file in cpuset.cpus cpuset.mems; do
      [ "$hierarchy" != cpuset ] || cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$name/$file"
    done
  done
}

# The root that the node sees. /usr is this machine's, read-only.
make_root() {
  mkdir -p "$folder/work" "$root"/{usr,dev,proc,sys,run,tmp,node/scripts,images,repository,work,root,opt,home,mnt,var/lib,var/log} \
    "$root/etc/containerd"
  local link
  for link in bin sbin lib lib64; do
    [ ! -L "/$link" ] || cp --archive "/$link" "$root/"
  done
  mkdir "$root/etc/ssl"
  # Not the private keys that are next to them.
  cp --archive /etc/ssl/certs /etc/ssl/openssl.cnf "$root/etc/ssl/"
  for link in ld.so.cache alternatives nsswitch.conf protocols services; do
    [ ! -e "/etc/$link" ] || cp --archive "/etc/$link" "$root/etc/"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  printf '127.0.0.1 localhost\n10.244.0.1 node\n' >"$root/etc/hosts"
  : >"$root/etc/resolv.conf"
  od --address-radix=n --format=x1 --read-bytes=16 /dev/urandom | tr -d ' \n' >"$root/etc/machine-id"
}

# In version 2 a cgroup holds processes or hands controllers on, not both.
leave_root_of_cgroups() {
  if [ "${hierarchies[0]}" = . ]; then
    mkdir "/sys/fs/cgroup/$name/init"
    echo $$ >"/sys/fs/cgroup/$name/init/cgroup.procs"
  fi
}

# Runs inside of the namespaces, before the root is changed.
enter() {
  # The last chance to learn this process's id outside: /proc is still this machine's.
  local pid
  read -r pid _ </proc/self/stat
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount --rbind --options ro /usr "$root/usr"
  mount --bind "$folder/work" "$root/work"
  mount --bind --options ro "$here" "$root/node/scripts"
  mount --bind --options ro "$images" "$root/images"
  mount --bind --options ro "$here/../.." "$root/repository"
  local source index=0
  while read -r -d : source; do
    mkdir "$root/node/programs$index"
    mount --bind --options ro "$source" "$root/node/programs$index"
    index=$((index + 1))
  done <<<"$programs:"
  make_dev
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  # Images and containers: on a slow or busy disk, pods would start too late.
  if [ -z "${NODE_ON_DISK:-}" ] && [ "$(awk '/^MemAvailable/ { print int($2 / 1024 / 1024) }' /proc/meminfo)" -ge 12 ]; then
    mount -t tmpfs -o mode=755 var "$root/var"
    mkdir "$root"/var/{lib,log,tmp}
  fi
  mount -t tmpfs -o mode=755 run "$root/run"
  mount -t tmpfs -o mode=1777 tmp "$root/tmp"
  mount_cgroups
  cd "$root"
  pivot_root . mnt
  cd /
  umount --lazy /mnt
  # As systemd has it: a mount in the node is seen by its containers.
  mount --make-rshared /
  hostname node
  echo "$pid" >/work/pid
  exec bash /node/scripts/init.sh "$@"
}

make_dev() {
  mount -t tmpfs -o mode=755 dev "$root/dev"
  local device
  # The fuse device is there whether or not this machine has loaded its module.
  for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "kmsg 1 11" "fuse 10 229"; do
    set -- $device
    mknod --mode=666 "$root/dev/$1" c "$2" "$3"
  done
  mkdir "$root"/dev/{pts,shm,mqueue}
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
  mount -t tmpfs shm "$root/dev/shm"
  mount -t mqueue mqueue "$root/dev/mqueue"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
}

# In a cgroup namespace the mounts show the node's own cgroups alone.
mount_cgroups() {
  if [ "${hierarchies[0]}" = . ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    return
  fi
  mount -t tmpfs -o mode=755 cgroup "$root/sys/fs/cgroup"
  local hierarchy options controller
  for hierarchy in "${hierarchies[@]}"; do
    options=$hierarchy
    [ "$hierarchy" != systemd ] || options=none,name=systemd
    mkdir "$root/sys/fs/cgroup/$hierarchy"
    mount -t cgroup -o "$options" cgroup "$root/sys/fs/cgroup/$hierarchy"
    for controller in ${hierarchy//,/ }; do
      [ "$controller" = "$hierarchy" ] || ln -s "$hierarchy" "$root/sys/fs/cgroup/$controller"
    done
  done
}

remove() {
  local code=$?
  trap '' INT TERM
  if [ -n "${node:-}" ]; then
    kill -KILL "$node" "$input" 2>/dev/null || :
    wait "$node" "$input" 2>/dev/null || :
  fi
  remove_cgroups "$name"
  rm -rf "$folder"
  exit "$code"
}

# A background process has no standard input otherwise.
exec 3<&0
[ ! -e "$folder" ] || { echo "start.sh: $folder exists" >&2; exit 1; }
mkdir -p "$folder"
echo $$ >"$folder/starter"
trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_cgroups
make_root

# In the cgroups before it is in their namespace: that makes them its root.
(
  for hierarchy in "${hierarchies[@]}"; do
    echo "$BASHPID" >"/sys/fs/cgroup/$hierarchy/$name/cgroup.procs"
  done
  export here folder programs images root name
  declare -fx enter leave_root_of_cgroups make_dev mount_cgroups
  inside="hierarchies=(${hierarchies[*]}); set -euo pipefail;"
  exec setpriv --pdeathsig KILL unshare --cgroup bash -c "$inside leave_root_of_cgroups
    exec unshare --mount --net --pid --ipc --uts --fork --kill-child bash -c '$inside enter \"\$@\"' enter \"\$@\"" \
    outside "$@"
) </dev/null 3<&- &
node=$!
# Whichever comes first: the node ends by itself, which it does where it cannot
# start, or the process that started this is gone.
cat <&3 >/dev/null &
input=$!
wait -n
