#!/usr/bin/env bash
# playground.sh: what the README's quick start is typed on. Builds Curfew's images, those of the test mesh and of the double
# of k6-operator, puts them on the cluster that `make cluster` brought up, and installs mesh and double there. Installing
# Curfew is the quick start's own business: `helm` and `curfew` are put beside the cluster's `kubectl` for that.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
RUN=/run/${CURFEW_CLUSTER:-curfew}-cluster

die() { echo "playground: $*" >&2; exit 1; }
step() { echo "playground: $*"; }

for program in cargo rustup python3 gcc openssl go; do
  command -v "$program" >/dev/null || die "there is no $program; install it and try again"
done
python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip; install it (Debian's package: python3-pip)"
[ -e "$RUN/kubeconfig" ] || die "there is no cluster: run make cluster first"

cd "$ROOT"
TARGET=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export KUBECTL=$RUN/kubectl
# As run.sh has them, so that neither builds what the other has; under the names the samples give them.
export IMAGES=$TARGET/e2e-images IMAGE_PREFIX=ghcr.io/curfew-dev
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

step "building Curfew and the images"
cargo build --locked --quiet -p curfew
ARCHITECTURES=$(uname -m) sh manifests/images/build.sh "$TARGET"
sh tests/images/build.sh "$TARGET"
sh tests/mesh/image.sh "$TARGET"
for image in curfew curfew-reaper curfew-noop test-operator test-k6 test-curl test-kubectl test-busybox test-vendor test-mesh; do
  tests/cluster/load-image.sh "$IMAGES/$image.tar"
done

helm=$(sh tests/chart/tool.sh helm)

# command_of_cluster NAME PROGRAM: a program on the cluster's network, as its kubectl is.
command_of_cluster() {
  printf '#!/bin/sh\nexec %s/on-node %s "$@"\n' "$RUN" "$2" >"$RUN/$1"
  chmod 700 "$RUN/$1"
}
command_of_cluster helm "$helm"
command_of_cluster curfew "$TARGET/debug/curfew"

step "installing the test mesh and the double of k6-operator"
sh tests/operator/deploy.sh >/dev/null
sh tests/mesh/deploy.sh >/dev/null
# The same tag may stand for another image by now.
restart() {
  "$KUBECTL" -n "$1" rollout restart "deployment/$2" >/dev/null
  "$KUBECTL" -n "$1" rollout status "deployment/$2" --timeout 180s >/dev/null
}
restart k6-operator-system k6-operator-controller-manager
restart test-mesh test-mesh
# There from an earlier time, if at all: it is the quick start that installs it.
if "$KUBECTL" -n curfew get deployment curfew >/dev/null 2>&1; then restart curfew curfew; fi
step "ready; put $RUN in front of your PATH and go on with the README's quick start"
