#!/usr/bin/env bash
# Brings up the one-node Kubernetes of the tests, from nothing if need be; README.md says more.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib packages build network control-plane node boot clear; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

# However this ends before the cluster is up, nothing half up stays; the logs do.
give_up() {
  local status=$?
  trap '' INT TERM HUP
  trap - EXIT
  if [ -d "$RUN/log" ]; then
    rm -rf "$CACHE/last-failure"
    cp -r "$RUN/log" "$CACHE/last-failure" 2>/dev/null || true
    say "the cluster is not up and what was up of it goes; its logs are in $CACHE/last-failure" >&2
  fi
  clear_cluster
  exit "$status"
}

# Short names for whoever uses the cluster: kubectl, and anything else that has to run on the node's network.
write_helpers() {
  cat >"$RUN/on-node" <<END
#!/bin/sh
# Runs a command on the node's network, with this cluster's KUBECONFIG.
KUBECONFIG=$RUN/kubeconfig KUBECACHEDIR=$RUN/kubectl-cache exec nsenter --net=$NETNS "\$@"
END
  cat >"$RUN/kubectl" <<END
#!/bin/sh
exec $RUN/on-node $KUBE_BIN/kubectl "\$@"
END
  chmod 700 "$RUN/on-node" "$RUN/kubectl"
}

check_settings
check_clearable
lock_cluster
trap 'exit 130' INT TERM HUP
trap give_up EXIT

clear_cluster
left=$(leftovers)
[ -z "$left" ] || die "an earlier cluster can't be cleared away (${left//$'\n'/, }); end what holds it and try again"
install_packages
build_all
[ "$(stat -f -c %T "$CACHE")" != overlayfs ] ||
  die "$CACHE lies on overlayfs, where containerd can't stack its images; set CURFEW_CACHE to a folder on a disk"

need_room_for_pods

# The API server's tokens lie in it.
mkdir -m 700 "$RUN"
touch "$RUN/curfew"
mkdir -p "$RUN/log" "$STATE"
host_network >"$RUN/host-network.before"
make_cgroups
make_network
make_credentials
boot
write_helpers
echo "$KUBERNETES_VERSION" >"$RUN/version"

trap - EXIT
say "use: $RUN/kubectl get pods -A   (KUBECONFIG=$RUN/kubeconfig; on the node's network: $RUN/on-node COMMAND)"
