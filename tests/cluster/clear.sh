# shellcheck shell=bash
# Takes away whatever there is of the cluster, whole, half up, or left by a killed up.sh. Nothing is asked to end
# politely: all that it holds is thrown away, and a kubelet or API server would take up to a minute.

DAEMONS=" etcd kube-apiserver kube-controller kube-scheduler kubelet kube-proxy containerd containerd-shim runc pause "

# All that was started here, and every container.
cgroup_processes() {
  local root
  for root in $(cgroup_roots); do
    [ ! -d "$root/$CGROUP" ] || find "$root/$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done | alive
}

# Of the pids it is given, each once.
alive() {
  local pid
  sort -un | while read -r pid; do
    # A zombie is gone but for its parent's noticing.
    ! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" || echo "$pid"
  done
}

# By cgroup, by pid file, by command line, and by the network
# namespace (hence a `kubectl logs -f` too). A pid file or a command line counts only with a daemon's name: a pid can
# be someone else's by now, and an editor may have one of the files open.
cluster_processes() {
  local pid name
  {
    cgroup_processes
    for pid in $(cat "$RUN"/*.pid 2>/dev/null) $(grep -laF -e "$RUN/" -e "$STATE/" /proc/[0-9]*/cmdline 2>/dev/null); do
      pid=${pid#/proc/} pid=${pid%/cmdline}
      if read -r name 2>/dev/null <"/proc/$pid/comm" && [[ $DAEMONS == *" $name "* ]] &&
        grep -qaF -e "$RUN/" -e "$STATE/" "/proc/$pid/cmdline" 2>/dev/null; then echo "$pid"; fi
    done
    [ ! -e "$RUN/netns.mine" ] || ip netns pids "$CLUSTER" 2>/dev/null || true
  } | alive
}

# end_processes [LIST]: those that the function LIST tells, all of the cluster's if none is named.
end_processes() {
  local list=${1:-cluster_processes} file pids end=$((SECONDS + 20))
  while pids=$($list) && [ -n "$pids" ] && [ "$SECONDS" -lt "$end" ]; do
    # A frozen process takes no signal before it is thawed.
    for file in /sys/fs/cgroup/freezer/"$CGROUP"/kubepods/{,*/,*/*/,*/*/*/}freezer.state; do
      [ ! -w "$file" ] || echo THAWED 2>/dev/null >"$file" || true
    done
    # shellcheck disable=SC2086  # a list of numbers
    kill -KILL $pids 2>/dev/null || true
    sleep 0.1
  done
}

# Of this mount namespace; what the node's own one holds ends with its processes.
cluster_mounts() {
  awk -v run="$RUN/" -v state="$STATE/" 'index($5, run) == 1 || index($5, state) == 1 { print $5 }' /proc/self/mountinfo |
    sort -r
}

cluster_cgroups() {
  local root
  for root in $(cgroup_roots); do
    [ ! -d "$root/$CGROUP" ] || find "$root/$CGROUP" -depth -type d 2>/dev/null || true
  done
}

# A cgroup can be removed a moment after its last process has ended.
remove_cgroups() {
  local folder end=$((SECONDS + 10))
  while [ -n "$(cluster_cgroups)" ] && [ "$SECONDS" -lt "$end" ]; do
    for folder in $(cluster_cgroups); do rmdir "$folder" 2>/dev/null || true; done
    [ -z "$(cluster_cgroups)" ] || sleep 0.1
  done
}

# Refuses what isn't ours to clear, and to end the processes it runs in.
check_clearable() {
  [ "$(readlink /proc/self/ns/net)" != "net:[$(stat -Lc %i "$NETNS" 2>/dev/null)]" ] ||
    die "this runs on the node's own network; run it outside"
  if [ -d "$RUN" ] && [ ! -e "$RUN/curfew" ] && [ -n "$(ls -A "$RUN")" ]; then
    die "$RUN is there and is not this cluster's; remove it or set CURFEW_CLUSTER"
  fi
}

clear_cluster() {
  local place name value
  end_processes
  for place in $(cluster_mounts); do umount -l "$place" || true; done
  if [ -e "$RUN/netns.mine" ] && [ -e "$NETNS" ]; then ip netns del "$CLUSTER" || true; fi
  if [ -e "$RUN/netns-folder.mine" ] && mountpoint -q /run/netns && [ -z "$(ls /run/netns)" ]; then
    if umount /run/netns; then rmdir /run/netns || true; fi
  fi
  remove_cgroups
  if [ -s "$RUN/sysctls.before" ]; then
    while read -r name value; do echo "$value" 2>/dev/null >"/proc/sys/$name" || true; done <"$RUN/sysctls.before"
  fi
  if [ -s "$RUN/folders.mine" ]; then
    while read -r place; do rmdir "$place" 2>/dev/null || true; done <"$RUN/folders.mine"
  fi
  [ -z "$(leftovers)" ] || return 0
  rm -rf --one-file-system "$RUN" "$STATE"
}

# What clear_cluster should have removed and didn't, one a line.
leftovers() {
  local pid
  for pid in $(cluster_processes); do
    echo "process $pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c1-120)"
  done
  cluster_mounts | sed 's/^/mount /'
  [ ! -e "$RUN/netns.mine" ] || [ ! -e "$NETNS" ] || echo "network namespace $CLUSTER"
  cluster_cgroups | sed 's/^/cgroup /'
  [ ! -e "$RUN/host-network.before" ] || host_network | grep -vxFf "$RUN/host-network.before" || true
}
