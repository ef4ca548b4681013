#!/usr/bin/env bash
# restart-apiserver.sh: kills the cluster's API server, without notice, and starts it again: every watch breaks.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib control-plane; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

check_settings
use_what_is_up
process=$(cat "$RUN/kube-apiserver.pid")
kill -KILL "$process"
while kill -0 "$process" 2>/dev/null; do sleep 0.1; done
start_apiserver
await_apiserver
