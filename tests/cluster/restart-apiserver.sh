#!/usr/bin/env bash
# restart-apiserver.sh [PROGRAM]: kills the cluster's API server, without notice, and starts it again: every watch breaks.
# Containers' processes called PROGRAM stand still meanwhile: they see it back without having seen it gone, and what they know
# is older than all that the new one remembers.
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
# It remembers nothing from before the revision it finds, but goes on from that one. Nobody watches this key.
[ -z "$frozen" ] || on_node python3 -c "
from urllib.request import urlopen
urlopen('http://127.0.0.1:2379/v3/kv/put', b'{\"key\": \"Y3VyZmV3\", \"value\": \"Y3VyZmV3\"}', timeout=10)"
start_apiserver
await_apiserver
