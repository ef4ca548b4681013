#!/usr/bin/env bash
# run.sh [FILTER…]: builds what the end-to-end tests need, puts it on a cluster, and runs them.
# run.sh images: only builds the images, for a registry of yours.
#
# The cluster is the one `make cluster` brought up, or, if KUBECONFIG names another, that one: its nodes must find the
# images under IMAGE_PREFIX, and it must be yours to install test webhooks on.
#
# IMAGE_PREFIX       what the images' names begin with, ghcr.io/curfew-dev if not set
# NETWORKS           the ranges of that cluster's pods and Services, separated by commas
# CURFEW_ARTEFACTS   where failed tests leave pods, events and logs, TARGET/e2e if not set
# E2E_THREADS        tests at once, 6 if not set: they mostly wait, and more of them keep two cores from answering in time
# E2E_SUITE          older: the few tests for another Kubernetes than usual, whose version KUBERNETES_VERSION tells
# E2E_BENCH          bench-cluster or reliability: measure by that program instead of testing; options go to it
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
RUN=/run/${CURFEW_CLUSTER:-curfew}-cluster

die() { echo "e2e: $*" >&2; exit 1; }
step() { echo "e2e: $*"; }

for program in cargo rustup python3 gcc openssl go; do
  command -v "$program" >/dev/null || die "there is no $program; install it and try again"
done
python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip; install it (Debian's package: python3-pip)"

TARGET=$(cd "$ROOT" && cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export IMAGE_PREFIX=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
# Beside those of `make images`, which are for all architectures.
export IMAGES=$TARGET/e2e-images
export CURFEW_ARTEFACTS=${CURFEW_ARTEFACTS:-$TARGET/e2e}
# Where nothing is measured: what a linker makes of the code takes minutes longer.
[ -n "${E2E_BENCH:-}" ] || export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
# Tests that start replicas anew wait until those of before have drained, and on one node endpoints change at once.
[ -n "${E2E_BENCH:-}" ] || export DRAIN=4s
# Cargo inherits it from some shells, and the traces drown what a test says.
export RUST_BACKTRACE=0

build_images() {
  ARCHITECTURES=$(uname -m) sh "$ROOT/manifests/images/build.sh" "$TARGET"
  sh "$ROOT/tests/images/build.sh" "$TARGET"
  sh "$ROOT/tests/mesh/image.sh" "$TARGET"
  # The few tests for another Kubernetes are without them.
  [ "${E2E_SUITE:-}" = older ] || sh "$ROOT/tests/real/build.sh" "$TARGET"
}

if [ "${1:-}" = images ]; then
  build_images
  step "push what is in $IMAGES to where IMAGE_PREFIX says, with skopeo for one"
  exit
fi

if [ -n "${KUBECONFIG:-}" ] && [ "$(readlink -f "$KUBECONFIG")" != "$(readlink -f "$RUN/kubeconfig")" ]; then
  OWN=
  KUBECTL=${KUBECTL:-kubectl}
  command -v "$KUBECTL" >/dev/null || die "there is no $KUBECTL; install it, or name yours in KUBECTL"
  on_cluster() { "$@"; }
else
  OWN=yes
  KUBECTL=$RUN/kubectl
  [ -e "$RUN/kubeconfig" ] || die "there is no cluster: run make cluster first, or set KUBECONFIG to one of yours"
  on_cluster() { "$RUN/on-node" "$@"; }
fi
export KUBECTL
"$KUBECTL" get --raw /readyz >/dev/null || die "the cluster does not answer: run make cluster, or see to KUBECONFIG"

if [ -n "$OWN" ]; then
  step "building Curfew and the images"
  build_images
  "$ROOT/tests/cluster/load-image.sh" "$IMAGES"/*.tar
fi
step "building Helm and the tests"
sh "$ROOT/tests/chart/tool.sh" helm >/dev/null
sh "$ROOT/tests/chart/tool.sh" crds >/dev/null
cd "$ROOT"
# Before they go where only the cluster is; `curfew` is what a user runs, and some tests do.
cargo build --locked --quiet -p curfew
cargo test --locked --quiet --no-run -p curfew-e2e --features cluster

step "installing the operator double, the test mesh, Dapr and Curfew"
# What an earlier run left when it was killed.
"$KUBECTL" delete namespace --selector e2e.curfew.dev/test --wait=false
sh "$ROOT/tests/operator/deploy.sh" >/dev/null
sh "$ROOT/tests/mesh/deploy.sh" >/dev/null
if [ "${E2E_SUITE:-}" != older ]; then
  # A cluster of yours has names of its own.
  [ -n "$OWN" ] || export DNS_IP=
  sh "$ROOT/tests/real/deploy.sh" >/dev/null
fi
on_cluster sh "$ROOT/tests/e2e/install.sh" >/dev/null
# The same tag may stand for another image by now.
restart() {
  "$KUBECTL" -n "$1" rollout restart "deployment/$2" >/dev/null
  "$KUBECTL" -n "$1" rollout status "deployment/$2" --timeout 180s >/dev/null
}
restart k6-operator-system k6-operator-controller-manager
restart test-mesh test-mesh
restart curfew curfew

if [ -n "${E2E_BENCH:-}" ]; then
  on_cluster "$TARGET/debug/$E2E_BENCH" "$@"
  exit
fi
step "testing; what a failed test leaves behind is in $CURFEW_ARTEFACTS"
rm -rf "$CURFEW_ARTEFACTS"/e2e-*
tests() { on_cluster cargo test --locked --offline --quiet -p curfew-e2e --features cluster "$@"; }
if [ "${E2E_SUITE:-}" = older ]; then
  tests --test older -- "$@"
  exit
fi
tests --test mesh -- --test-threads "${E2E_THREADS:-6}" "$@"
# Another cluster's API server is not ours to kill, and cannot reach this machine's loopback.
[ -n "$OWN" ] || set -- "$@" --skip an_api_server_that_comes_back --skip a_watch_whose_version \
  --skip an_expired_certificate --skip after_a_power_loss
tests --test alone -- --test-threads 1 "$@"
