#!/usr/bin/env bash
# quickstart.sh: types the README's "On a cluster of this machine's own", word for word, and takes what came of it away again.
# What it says of `make cluster` is typed, too: a cluster that is up stays up, and is left so.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
RUN=/run/${CURFEW_CLUSTER:-curfew}-cluster

die() { echo "quickstart: $*" >&2; exit 1; }
[ -e "$RUN/kubeconfig" ] || die "there is no cluster: run make cluster first"
unset KUBECONFIG

typed=$(mktemp)
# Blocks of `sh` in that section alone. The cluster may have another name here than there.
awk '/^### / {here = /^### On a cluster of this machine/} here && /^```/ {code = /^```sh$/; next} here && code' \
  "$ROOT/README.md" | sed "s|/run/curfew-cluster|$RUN|g" >"$typed"
[ "$(grep -c '^kubectl wait' "$typed")" -ge 5 ] || die "the section was not found in the README, or has lost what it waits for"

helm=$(sh "$ROOT/tests/chart/tool.sh" helm)
installed=$("$RUN/on-node" "$helm" list --namespace curfew --short)
restore() {
  status=$?
  trap - EXIT
  rm -f "$typed"
  "$RUN/kubectl" delete namespace load load-istio --ignore-not-found --wait=false >/dev/null
  "$RUN/on-node" "$helm" uninstall curfew --namespace curfew --ignore-not-found --wait >/dev/null
  [ -z "$installed" ] || KUBECTL=$RUN/kubectl "$RUN/on-node" sh "$HERE/install.sh" >/dev/null
  exit "$status"
}
trap restore EXIT
trap 'exit 130' INT TERM HUP
"$RUN/kubectl" delete namespace load load-istio --ignore-not-found >/dev/null
[ -z "$installed" ] || "$RUN/on-node" "$helm" uninstall curfew --namespace curfew --wait >/dev/null

cd "$ROOT"
sh -ex "$typed" </dev/null
echo "quickstart: every command of it went through"
