#!/usr/bin/env bash
# restart-apiserver.sh [PROGRAM]: kills the cluster's API server, without notice, and starts it again: every watch breaks.
# Containers' processes called PROGRAM stand still meanwhile, so none of them sees it gone, only back.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib control-plane clear; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

check_settings
use_what_is_up
frozen=
if [ $# -gt 0 ]; then
  for pid in $(cgroup_processes); do
    ! grep -qsxF -e "$1" "/proc/$pid/comm" || frozen+=" $pid"
  done
  [ -n "$frozen" ] || die "no container runs a process called '$1'"
  # One that the kubelet has ended meanwhile is no failure.
  # shellcheck disable=SC2086  # a list
  trap 'kill -CONT $frozen 2>/dev/null || true' EXIT
  # shellcheck disable=SC2086
  kill -STOP $frozen
fi
process=$(cat "$RUN/kube-apiserver.pid")
kill -KILL "$process"
while kill -0 "$process" 2>/dev/null; do sleep 0.1; done
start_apiserver
await_apiserver
