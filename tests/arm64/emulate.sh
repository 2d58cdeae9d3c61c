#!/usr/bin/env bash
# emulate.sh QEMU COMMAND...: runs COMMAND where the kernel starts arm64 programs with QEMU,
# a static qemu-aarch64 that it keeps open. So a container of an arm64 image runs as it is.
#
# Since Linux 6.7 a user namespace has a binfmt_misc of its own, and the machine's stays as
# it is. COMMAND is root there without privileges on this machine, and its network is a
# loopback device. Needs root. Exits with 77 if this machine cannot do it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
qemu=$(realpath "$1")
shift

# ELF, 64 bits, little-endian; type EXEC or DYN; machine 183.
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
rule=":podseal-arm64:M::$magic:$mask:$qemu:F"

pipes=$(mktemp -d)
mkfifo "$pipes/unshared" "$pipes/mapped"
exec 3<>"$pipes/unshared" 4<>"$pipes/mapped"
rm -r "$pipes"
unshare --user --mount --net true 2>/dev/null || {
  echo "emulate: this machine cannot make user namespaces" >&2
  exit 77
}
# Only a process outside may map more than one id. The image's user is 65532. A map of all
# ids would be as that of no namespace, and runc would not know that it is in one.
{
  read -r _ <&3
  for map in uid_map gid_map; do
    echo '0 0 65536' >"/proc/$$/$map" || echo failed >&4
  done
  echo mapped >&4
} &
# shellcheck disable=SC2016
exec unshare --user --mount --net bash -euc '
  echo >&3
  read -r mapped <&4
  exec 3>&- 4>&-
  cannot() {
    echo "emulate: this machine cannot $*" >&2
    exit 77
  }
  [ "$mapped" = mapped ] || cannot "map the ids of a user namespace"
  mount -t binfmt_misc podseal-arm64 /proc/sys/fs/binfmt_misc 2>/dev/null ||
    cannot "mount binfmt_misc in a user namespace; Linux 6.7 can"
  printf %s "$1" >/proc/sys/fs/binfmt_misc/register
  ip link set lo up
  shift
  exec "$@"' emulate "$rule" "$@"
