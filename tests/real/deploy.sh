#!/bin/sh
# Installs Dapr with its own chart, or brings it up to date, and the names it needs. Returns when all of it is ready.
#
#   deploy.sh
#
# $KUBECTL is the kubectl to use, $IMAGE_PREFIX where the images of build.sh are; $DNS_IP is where the cluster's pods look
# for names: none is installed where DNS_IP is empty, for a cluster that has its own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
cache=${CURFEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/curfew}
dns=${DNS_IP-198.19.0.10}
dapr=$(sed -n 's|.*github.com/dapr/dapr v||p' "$here/dapr/go.mod" | head -n 1)
made=$cache/dapr-$dapr
[ -s "$made/dapr.yaml" ] || { echo "deploy.sh: there is no $made/dapr.yaml; run tests/real/build.sh first" >&2; exit 1; }

$kubectl create namespace dapr-system --dry-run=client -o yaml | $kubectl apply -f - >/dev/null
# Once: Dapr's operator writes into them where it is, which a second time would undo.
$kubectl get -f "$made/crds.yaml" >/dev/null 2>&1 || $kubectl apply --server-side -f "$made/crds.yaml" >/dev/null
# As long as there is no condition at all, kubectl calls waiting for one an error.
$kubectl wait --for=jsonpath={.status.conditions} --timeout=30s -f "$made/crds.yaml" >/dev/null
$kubectl wait --for=condition=Established --timeout=30s -f "$made/crds.yaml" >/dev/null
# The chart asks for every pod of the cluster, and one object of it names no namespace.
sed -e "s|REGISTRY/|$prefix/|" \
  -e 's|^- name: sidecar-injector.dapr.io$|&\n  namespaceSelector: {matchLabels: {dapr.test/inject: enabled}}|' "$made/dapr.yaml" |
  $kubectl apply --server-side --force-conflicts --namespace dapr-system -f - >/dev/null

# address SERVICE: its ClusterIP.
address() { $kubectl --namespace dapr-system get service "$1" -o 'jsonpath={.spec.clusterIP}'; }
if [ -n "$dns" ]; then
  records=
  for service in dapr-api dapr-sentry dapr-sidecar-injector dapr-webhook; do
    records="$records, \"--host-record=$service.dapr-system.svc.cluster.local,$(address "$service")\""
  done
  sed -e "s|IMAGE|$prefix/test-names:$version|; s|ADDRESS|$dns|; s|, RECORDS|$records|" "$here/names.yaml" |
    $kubectl apply -f - >/dev/null
  $kubectl --namespace kube-system rollout status deployment/test-names --timeout=60s >/dev/null
fi
for name in sentry operator sidecar-injector; do
  $kubectl --namespace dapr-system rollout status "deployment/dapr-$name" --timeout=120s >/dev/null
done
# Ready is not yet asked: the injector writes its certificate into its configuration, and the API server reads that.
probe=dapr-probe-$$
trap '$kubectl delete namespace "$probe" --wait=false --ignore-not-found >/dev/null' EXIT
$kubectl create namespace "$probe" >/dev/null
$kubectl label namespace "$probe" dapr.test/inject=enabled >/dev/null
tries=0
until [ "$($kubectl --namespace "$probe" run probe --image=none --restart=Never --dry-run=server \
  --annotations=dapr.io/enabled=true --annotations=dapr.io/app-id=probe \
  -o 'jsonpath={.spec.containers[*].name}' 2>&1)" = "probe daprd" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 120 ] || { echo "deploy.sh: Dapr injects nothing into a pod that asks for it" >&2; exit 1; }
  sleep 0.5
done
