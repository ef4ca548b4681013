#!/usr/bin/env bash
# quickstart.sh: types the README's "On a cluster of this machine's own", word for word. That begins with `make cluster`, which
# gives an empty one; it stays up, with all that was typed on it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
unset KUBECONFIG

typed=$(mktemp)
trap 'rm -f "$typed"' EXIT
# Blocks of `sh` in that section alone. The cluster may have another name here than there.
awk '/^### / {here = /^### On a cluster of this machine/} here && /^```/ {code = /^```sh$/; next} here && code' \
  "$ROOT/README.md" | sed "s|/run/curfew-cluster|/run/${CURFEW_CLUSTER:-curfew}-cluster|g" >"$typed"
[ "$(grep -c '^kubectl wait' "$typed")" -ge 5 ] || {
  echo "quickstart: the section was not found in the README, or has lost what it waits for" >&2
  exit 1
}

cd "$ROOT"
sh -ex "$typed" </dev/null
echo "quickstart: every command of it went through"
