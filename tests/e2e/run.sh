#!/usr/bin/env bash
# run.sh [FILTER…]: builds what the end-to-end tests need, puts it on a cluster, and runs them.
#
# The cluster is the one `make cluster` brought up, or, if KUBECONFIG is set, that one: its nodes must then find the
# images of `make images` and tests/images under IMAGE_PREFIX, and it must be yours to install test webhooks on.
#
# IMAGE_PREFIX       what the images' names begin with, ghcr.io/curfew-dev if not set
# CURFEW_ARTEFACTS   where failed tests leave pods, events and logs, TARGET/e2e if not set
# E2E_THREADS        tests at once, 8 if not set: they mostly wait
# E2E_BENCH          set: measure instead of testing, and write docs/benchmarks.md
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
TARGET=$(cd "$ROOT" && cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
RUN=/run/${CURFEW_CLUSTER:-curfew}-cluster
export IMAGE_PREFIX=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
# Cargo inherits it from some shells, and the traces drown what a test says.
export RUST_BACKTRACE=0
export CURFEW_ARTEFACTS=${CURFEW_ARTEFACTS:-$TARGET/e2e}

die() { echo "e2e: $*" >&2; exit 1; }
step() { echo "e2e: $*"; }

if [ -n "${KUBECONFIG:-}" ]; then
  on_cluster() { "$@"; }
  load() { :; }
  KUBECTL=${KUBECTL:-kubectl}
elif [ -e "$RUN/kubeconfig" ]; then
  on_cluster() { "$RUN/on-node" "$@"; }
  load() { "$ROOT/tests/cluster/load-image.sh" "$@"; }
  KUBECTL=$RUN/kubectl
else
  die "there is no cluster: run make cluster first, or set KUBECONFIG to one of yours"
fi
export KUBECTL
"$KUBECTL" get --raw /readyz >/dev/null || die "the cluster does not answer: run make cluster again"

step "building Curfew and the images"
ARCHITECTURES=$(uname -m) sh "$ROOT/manifests/images/build.sh" "$TARGET"
sh "$ROOT/tests/images/build.sh" "$TARGET"
sh "$ROOT/tests/mesh/image.sh" "$TARGET"
load "$TARGET"/images/*.tar

step "installing the operator double, the test mesh and Curfew"
bash "$ROOT/tests/operator/deploy.sh"
bash "$ROOT/tests/mesh/deploy.sh"
sh "$ROOT/manifests/install/deploy.sh"
# The same tag may stand for another image by now.
"$KUBECTL" -n curfew rollout restart deployment/curfew
"$KUBECTL" -n curfew rollout status deployment/curfew --timeout 180s

cd "$ROOT"
# Before the tests go where only the cluster is.
cargo test --locked --no-run -p curfew-e2e --features cluster
if [ -n "${E2E_BENCH:-}" ]; then
  on_cluster cargo run --locked --quiet -p curfew-e2e --bin bench-cluster -- "$@"
  exit
fi
step "testing; what a failed test leaves behind is in $CURFEW_ARTEFACTS"
rm -rf "$CURFEW_ARTEFACTS"
tests() { on_cluster cargo test --locked -p curfew-e2e --features cluster "$@"; }
tests --test mesh -- --test-threads "${E2E_THREADS:-8}" "$@"
tests --test alone -- --test-threads 1 "$@"
