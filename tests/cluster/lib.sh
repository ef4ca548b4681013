# shellcheck shell=bash
# What every script of this folder shares: settings, messages, waiting, and starting a program of the cluster.
# shellcheck disable=SC2034  # the settings are read by the files that source this one

KUBERNETES_VERSION=${KUBERNETES_VERSION:-v1.36.3}
CONTAINERD_VERSION=${CONTAINERD_VERSION:-v2.4.2}
CLUSTER=${CURFEW_CLUSTER:-curfew}
CACHE=${CURFEW_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/curfew}

# What is short-lived and small lies in /run (sockets must have short names); images and volumes may be large and
# need a file system that overlayfs can stand on, so they lie with the cache. Both folders go when the cluster goes.
RUN=/run/$CLUSTER-cluster
STATE=$CACHE/state/$CLUSTER

KUBE_BIN=$CACHE/kubernetes-$KUBERNETES_VERSION
CTRD_BIN=$CACHE/containerd-$CONTAINERD_VERSION
TOOLS=$CACHE/tools

# Addresses from the benchmarking range: neither private nor public, so no mesh or network policy treats them specially.
NODE_IP=198.18.255.1
POD_CIDR=198.18.0.0/17
NODE_POD_CIDR=198.18.0.0/20
SERVICE_CIDR=198.19.0.0/16
SERVICE_IP=198.19.0.1
DNS_IP=198.19.0.10

NETNS=/run/netns/$CLUSTER
CGROUP=$CLUSTER-cluster

say() { printf '%s\n' "$*"; }

# One sentence with the mend, the end of the log that matters, and out; the EXIT trap of up.sh does the clearing.
die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  if [ -n "${2:-}" ] && [ -s "$2" ]; then
    printf -- '--- the end of %s:\n' "${2##*/}" >&2
    tail -n 15 "$2" | cut -c1-300 >&2
  fi
  exit 1
}

check_settings() {
  [ "$(uname -s)" = Linux ] || die "the cluster runs on Linux only; use another cluster through KUBECONFIG"
  [ "$(id -u)" = 0 ] || die "the cluster needs root (namespaces, mounts, cgroups); run this as root"
  # It becomes part of paths that are removed, of a Node's name and of a cgroup's.
  [[ $CLUSTER =~ ^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$ ]] ||
    die "CURFEW_CLUSTER must be a lower-case name of at most 20 letters, digits and dashes, not '$CLUSTER'"
  [[ $KUBERNETES_VERSION =~ ^v1\.[0-9]+\.[0-9]+$ ]] ||
    die "KUBERNETES_VERSION must look like v1.36.3, not '$KUBERNETES_VERSION'"
  [[ $CACHE =~ ^/[A-Za-z0-9._/@+-]+$ ]] || die "CURFEW_CACHE must be an absolute path without spaces, not '$CACHE'"
  mkdir -p "$CACHE" 2>/dev/null || die "can't make the folder $CACHE; set CURFEW_CACHE to one that can be written"
}

# For scripts that restart parts of a cluster: with programs of the version it was brought up with.
use_what_is_up() {
  [ -e "$RUN/kubeconfig" ] || die "the cluster '$CLUSTER' is not up; run up.sh first"
  KUBERNETES_VERSION=$(cat "$RUN/version")
  KUBE_BIN=$CACHE/kubernetes-$KUBERNETES_VERSION
}

# One up or down of a cluster at a time. Daemons and builds close the descriptor, so that the lock goes with this
# script even when it is killed; but a kubectl it waited for lives on for a while and holds it.
lock_cluster() {
  local holder
  exec 9<>"$CACHE/$CLUSTER.lock" || die "can't write to $CACHE; set CURFEW_CACHE to a folder that can be written"
  if ! flock -n 9; then
    read -r holder <"$CACHE/$CLUSTER.lock" || true
    kill -0 "${holder:-0}" 2>/dev/null || end_processes
    flock -w 20 9 || die "another up.sh or down.sh of the cluster '$CLUSTER' is at work; wait for it or end it"
  fi
  echo "$$" >"$CACHE/$CLUSTER.lock"
}

# For a subshell that may outlive this script.
unlock() { exec 9>&- 8>&-; }

# Every hierarchy's root: one on cgroup v2, many on v1.
cgroup_roots() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/self/mounts | sort -u; }

# The hierarchy whose leaf $CGROUP/node holds the daemons. Containers lie beside it, so every process of the cluster
# can be found there whoever its parent is; a pid file or a command line can be lost, a cgroup can't.
daemon_cgroup() {
  local root
  for root in /sys/fs/cgroup/pids /sys/fs/cgroup/freezer /sys/fs/cgroup/systemd /sys/fs/cgroup; do
    if [ -f "$root/$CGROUP/cgroup.procs" ]; then
      printf '%s\n' "$root/$CGROUP/node"
      return
    fi
  done
  return 1
}

on_node() { nsenter --net="$NETNS" "$@"; }

# start NAME HOW COMMAND…: a daemon of the cluster in its cgroup, in a session of its own (Ctrl-C is not for it), its
# output in log/NAME.log. HOW is net (the node's network) or node (also its mounts).
start() {
  local name=$1 how=$2 cgroup where=("--net=$NETNS")
  shift 2
  cgroup=$(daemon_cgroup)
  [ "$how" = net ] || where+=("--mount=/proc/$(cat "$RUN/mounts.pid")/ns/mnt")
  (
    unlock
    umask 022
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    exec setsid nsenter "${where[@]}" "$@" </dev/null >"$RUN/log/$name.log" 2>&1
  ) &
  echo $! >"$RUN/$name.pid"
  # Or bash would report each as killed when clear.sh ends them.
  disown
}

# wait_for SECONDS DAEMON WHAT COMMAND…: until the command succeeds; at once an error if the daemon has died.
wait_for() {
  local seconds=$1 daemon=$2 what=$3 end
  shift 3
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    kill -0 "$(cat "$RUN/$daemon.pid")" 2>/dev/null ||
      die "$daemon ended before $what; its log says why" "$RUN/log/$daemon.log"
    [ "$SECONDS" -lt "$end" ] ||
      die "no $what within $seconds s; the log of $daemon may say why" "$RUN/log/$daemon.log"
    sleep 0.1
  done
}

kubectl() { on_node env KUBECONFIG="$RUN/kubeconfig" KUBECACHEDIR="$RUN/kubectl-cache" "$KUBE_BIN/kubectl" "$@"; }
