#!/bin/sh
# Installs the double of k6-operator, or brings it up to date: CRDs, rights, Deployment. Returns when it is ready.
#
#   deploy.sh
#
# $KUBECTL is the kubectl to use, $IMAGE_PREFIX where the images of tests/images/build.sh are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}

$kubectl apply -f "$here/crds.yaml"
# As long as there is no condition at all, kubectl calls waiting for one an error.
$kubectl wait --for=jsonpath={.status.conditions} --timeout=30s crd/testruns.k6.io crd/k6s.k6.io
$kubectl wait --for=condition=Established --timeout=30s crd/testruns.k6.io crd/k6s.k6.io
sed "s|PREFIX/|$prefix/|; s|:VERSION|:$version|" "$here/operator.yaml" | $kubectl apply -f -
$kubectl --namespace k6-operator-system rollout status --timeout=120s deployment/k6-operator-controller-manager
