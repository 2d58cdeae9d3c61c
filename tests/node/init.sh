# The first process of the node: starts its components in order, marks it ready, and
# reaps what they leave. See start.sh.
set -euo pipefail
cd /work
export PATH=/node/scripts:/node/programs0:/node/programs1:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

say() { printf 'node: %s\n' "$*"; }

# So that a failure says more than a time that was too short.
await() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "not in time: $*"
      tail --lines=8 ./*.log
      exit 1
    fi
    sleep 0.1
  done
}

# The runtime and the kubelet make cgroups with controllers below this one.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
  done
fi

ip link set lo up
# The node's address is on a bridge without ports. Each pod has a link and a route of
# its own, so that all its packets pass the node's rules: those of a bridge do so only
# where br_netfilter is loaded.
ip link add node type bridge
ip address add 10.244.0.1/32 dev node
ip link set node up
# A service's address needs a route before kube-proxy can rewrite it.
ip route add default dev node
sysctl --quiet --write net.ipv4.ip_forward=1

component configure
component start etcd
component start containerd
component start kube-apiserver
await 60 ctr --address /run/containerd.sock version
import() {
  local archive
  for archive; do
    ctr --address /run/containerd.sock --namespace k8s.io images import "/images/$archive" >>import.log 2>&1 || break
    shift
  done
  # What was not imported, if anything.
  echo "$@" >imported
}
import "$@" &
await 120 kubectl get --raw /readyz
for name in kube-controller-manager kube-scheduler kubelet kube-proxy; do
  component start "$name"
done
kubectl apply --filename dns.yaml --filename network-policies.yaml >/dev/null
component start coredns
component start network-policies
component start git
# The kubelet gives up if it looks at the disk while a mount of the import comes and goes. On
# other nodes systemd starts it again.
is_registered() {
  [ -e "/proc/$(cat kubelet.pid)" ] || component start kubelet
  kubectl get node node
}
await 60 is_registered
await 90 kubectl wait --for=condition=Ready node/node --timeout=1s
await 60 kubectl get serviceaccount default
await 300 test -e imported
grep --quiet '^$' imported || { say "not imported: $(cat imported)"; cat import.log; exit 1; }
say "ready after $SECONDS s"
touch ready
# While it waits, bash reaps what containers and components leave, as a first
# process has to.
sleep infinity &
wait $!
