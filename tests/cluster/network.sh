# shellcheck shell=bash
# The node's place on this machine: a network namespace and a cgroup of its own.

make_cgroups() {
  local root
  [ -n "$(cgroup_roots)" ] || die "no cgroup file system is mounted; mount it (mount -t cgroup2 none /sys/fs/cgroup)"
  for root in $(cgroup_roots); do
    mkdir -p "$root/$CGROUP" 2>/dev/null || die "can't make a cgroup in $root; this needs the machine's root"
    if [ -f "$root/cgroup.subtree_control" ]; then
      delegate "$root"
      delegate "$root/$CGROUP"
    elif [ -f "$root/cpuset.cpus" ]; then
      # A new cpuset is empty, and an empty one takes no process.
      cat "$root/cpuset.cpus" >"$root/$CGROUP/cpuset.cpus"
      cat "$root/cpuset.mems" >"$root/$CGROUP/cpuset.mems"
    fi
  done
  mkdir -p "$(daemon_cgroup)"
}

# On cgroup v2 a controller works in a group only if every group above passes it on.
delegate() {
  local controller
  while read -rd ' ' controller; do
    echo "+$controller" 2>/dev/null >"$1/cgroup.subtree_control" || true
  done < <(tr '\n' ' ' <"$1/cgroup.controllers")
}

make_network() {
  [ ! -e "$NETNS" ] ||
    die "there is a network namespace '$CLUSTER' that is not this cluster's; remove it (ip netns del $CLUSTER) or set CURFEW_CLUSTER"
  # The first `ip netns add` after a boot mounts the folder onto itself; down.sh takes that back if it was this one.
  mountpoint -q /run/netns || touch "$RUN/netns-folder.mine"
  touch "$RUN/netns.mine"
  ip netns add "$CLUSTER"
  on_node ip link set lo up
  # A bridge without ports stands in for a network card (not every kernel has dummy devices). The default route makes
  # the node's address the source of what it sends; nothing leaves the namespace.
  on_node ip link add node0 type bridge
  on_node ip addr add "$NODE_IP/32" dev node0
  on_node ip link set node0 up
  on_node ip route add default dev node0
  # Per namespace, as everything below /proc/sys/net. route_localnet lets a port of 127.0.0.1 be translated.
  echo 1 | on_node tee /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/route_localnet >/dev/null
}

# The machine's links and Kubernetes-like rules, to see afterwards that the cluster added none.
host_network() {
  ip -o link | awk -F ': ' '{ print "link " $2 }' | grep -E 'node0|cni0' || true
  iptables-save 2>/dev/null | awk '/^:(KUBE|CNI)-/ { print "rule chain " substr($1, 2) }' || true
}
