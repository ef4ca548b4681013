#!/usr/bin/env bash
# Takes the cluster down and checks that nothing of it stayed. The cache of builds stays.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib network clear; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

check_settings
check_clearable
lock_cluster
clear_cluster
left=$(leftovers)
if [ -n "$left" ]; then
  printf '%s\n' "$left"
  die "the above is still there; end what holds it and run this again"
fi
say "the cluster '$CLUSTER' is down"
