#!/bin/sh
# Puts the test mesh into a cluster, or brings the one that is there up to date.
#
#   KUBECTL=… [IMAGE_PREFIX=ghcr.io/curfew-dev] [NETWORKS=CIDR,…] deploy.sh
#
# KUBECTL is a command line; NETWORKS are those of pods and Services. The image (image.sh) has to be in the cluster.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
networks=${NETWORKS:-198.18.0.0/17,198.19.0.0/16}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# certificate NAME SUBJECT EXTENSIONS: a key and a certificate of the CA.
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/$1.key" -out "$work/$1.csr" \
    -subj "/CN=$2" 2>/dev/null
  echo "$3" >"$work/$1.ext"
  openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 30 \
    -extfile "$work/$1.ext" -out "$work/$1.crt" 2>/dev/null
}

$kubectl create namespace test-mesh --dry-run=client -o yaml | $kubectl apply -f - >/dev/null
# The one there is stays: pods that run trust its CA.
if ! $kubectl --namespace test-mesh get secret test-mesh-tls >/dev/null 2>&1; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/ca.key" \
    -out "$work/ca.crt" -subj /CN=test-mesh-ca -days 30 2>/dev/null
  certificate tls test-mesh.test-mesh.svc "subjectAltName=DNS:test-mesh.test-mesh.svc"
  certificate mesh proxy.mesh.test "subjectAltName=DNS:proxy.mesh.test"
  $kubectl --namespace test-mesh create secret generic test-mesh-tls --from-file="$work/tls.crt" \
    --from-file="$work/tls.key" --from-file="$work/ca.crt" --from-file="$work/mesh.crt" --from-file="$work/mesh.key" \
    >/dev/null
fi
bundle=$($kubectl --namespace test-mesh get secret test-mesh-tls -o 'jsonpath={.data.ca\.crt}')
sum=$(printf %s "$bundle" | cksum | cut -d ' ' -f 1)

sed -e "s|IMAGE_PREFIX|$prefix|; s|VERSION|$version|; s|NETWORKS|$networks|; s|CA_SUM|\"$sum\"|" "$here/mesh.yaml" |
  $kubectl apply -f - >/dev/null
$kubectl --namespace test-mesh rollout status deployment/test-mesh --timeout=90s >/dev/null

# configuration NAME POLICY HOOK LABEL
configuration() {
  sed -e "s|CA_BUNDLE|$bundle|; s|NAME|$1|; s|POLICY|$2|; s|HOOK|$3|; s|LABEL|$4|" "$here/webhook.yaml"
  echo ---
}

# Only now, for each fails every pod of its namespaces while nobody answers.
for policy in Never IfNeeded; do
  lower=$(printf %s "$policy" | tr '[:upper:]' '[:lower:]')
  configuration "00-a-test-mesh-$lower" "$policy" inject "mesh.test/inject: before-$lower"
  configuration "test-mesh-$lower" "$policy" inject "mesh.test/inject: after-$lower"
  # Last of all: it has the last word on what the others have added.
  configuration "test-strip-$lower" "$policy" strip "mesh.test/strip: $lower"
done >"$work/webhooks"
{
  configuration 00-a-test-mesh-re-add IfNeeded re-add "mesh.test/inject: before-re-add"
  configuration test-mesh-re-add IfNeeded re-add "mesh.test/inject: after-re-add"
} >>"$work/webhooks"
$kubectl apply -f "$work/webhooks" >/dev/null

# The API server learns of the configurations, and kube-proxy of the Service, a moment later.
probe=mesh-probe-$$
trap '$kubectl delete namespace "$probe" --wait=false --ignore-not-found >/dev/null; rm -rf "$work"' EXIT
$kubectl create namespace "$probe" >/dev/null
native='{"spec": {"initContainers": [{"name": "native", "image": "none", "restartPolicy": "Always"}]}}'
# until_is LABEL EXPECTED JSONPATH: what becomes of a pod with a native sidecar in a namespace labelled so.
until_is() {
  $kubectl label --overwrite namespace "$probe" "$1" >/dev/null
  tries=0
  until [ "$($kubectl --namespace "$probe" run probe --image=none --restart=Never --overrides="$native" \
    --dry-run=server -o "jsonpath=$3" 2>"$work/error")" = "$2" ]; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
      echo "deploy.sh: pods of a namespace labelled $1 are not patched: $(cat "$work/error")" >&2
      exit 1
    fi
    sleep 0.5
  done
}
for when in before-never before-ifneeded before-re-add after-never after-ifneeded after-re-add; do
  until_is "mesh.test/inject=$when" "linkerd-proxy probe" "{.spec.containers[*].name}"
done
$kubectl label namespace "$probe" mesh.test/inject- >/dev/null
for policy in never ifneeded; do
  until_is "mesh.test/strip=$policy" native "{.spec.initContainers[0]['name', 'restartPolicy']}"
done
