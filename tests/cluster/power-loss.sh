#!/usr/bin/env bash
# power-loss.sh: the node stops in the middle of everything, containers and control plane alike, and boots again: what
# is on disk is there, what was in memory is not.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib boot control-plane node clear; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

check_settings
use_what_is_up

# Whoever tests it is on the node's network, but in none of its cgroups.
end_processes cgroup_processes
left=$(cgroup_processes)
[ -z "$left" ] || die "these processes do not end: ${left//$'\n'/ }"

# What lies in memory on a node of its own.
rm -rf --one-file-system "$RUN/containerd" "$RUN/mounts.ready" "$STATE/private/run/containerd"
! on_node ip link show cni0 >/dev/null 2>&1 || on_node ip link del cni0
printf '*%s\nCOMMIT\n' nat filter mangle | on_node iptables-restore

boot
