#!/bin/sh
# deploy.sh: installs Curfew into the cluster kubectl points at, or brings one up to date. May be repeated.
#
# KUBECTL       kubectl, where another is to be called
# IMAGE_PREFIX  where the images are, ghcr.io/curfew-dev if not set
#
# The certificate is made here and kept in the Secret curfew-tls for all replicas; run this again to renew one that
# has less than 30 days left.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
for program in "$kubectl" openssl base64; do
  command -v "$program" >/dev/null || { echo "deploy.sh: there is no $program; install it" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

apply() { sed "s|ghcr.io/curfew-dev/|$prefix/|; s|CA_BUNDLE|${bundle:-}|" "$here/$1" | "$kubectl" apply -f - >/dev/null; }

# secret FIELD: one field of the Secret.
secret() { "$kubectl" -n curfew get secret curfew-tls -o "go-template={{index .data \"$1\"}}" | base64 -d; }

# A certificate of a CA whose key nobody keeps.
certificate() {
  name=curfew.curfew.svc
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=curfew" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
    -keyout "$work/ca.key" -out "$work/ca.crt"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
    -keyout "$work/tls.key" -out "$work/tls.csr"
  printf '%s\n' "subjectAltName=DNS:$name,DNS:curfew.curfew" "extendedKeyUsage=serverAuth" \
    "basicConstraints=critical,CA:FALSE" >"$work/extensions"
  openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 365 \
    -extfile "$work/extensions" -out "$work/tls.crt"
}

bundle() { base64 <"$work/ca.crt" | tr -d '\n'; }

"$kubectl" create namespace curfew --dry-run=client -o yaml | "$kubectl" apply -f - >/dev/null
there=$("$kubectl" -n curfew get secret curfew-tls --ignore-not-found -o name)
if [ -n "$there" ]; then
  secret tls.crt >"$work/tls.crt"
  secret ca.crt >"$work/ca.crt"
  openssl x509 -in "$work/ca.crt" -out "$work/old.crt"
fi
if [ -z "$there" ] || ! openssl x509 -in "$work/tls.crt" -noout -checkend 2592000 >/dev/null 2>&1; then
  certificate 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  if [ -n "$there" ]; then
    # Replicas serve the old certificate until the kubelet has brought them the new one: trust both, and first.
    cat "$work/old.crt" >>"$work/ca.crt"
    bundle=$(bundle)
    apply webhook.yaml
  fi
  "$kubectl" -n curfew create secret generic curfew-tls --type kubernetes.io/tls --dry-run=client -o yaml \
    --from-file="$work/ca.crt" --from-file="$work/tls.crt" --from-file="$work/tls.key" |
    "$kubectl" apply --server-side --force-conflicts -f - >/dev/null
fi
# Before the account it binds has any right.
if "$kubectl" get --raw /apis/admissionregistration.k8s.io/v1 | grep -q '"validatingadmissionpolicies"'; then
  apply policy.yaml
else
  echo "deploy.sh: this Kubernetes is older than 1.30, so nothing but Curfew itself keeps its watch to the annotation curfew.dev/done" >&2
fi
apply curfew.yaml
# Nobody is asked before somebody answers.
"$kubectl" -n curfew rollout status deployment/curfew --timeout 180s
bundle=$(bundle)
apply webhook.yaml
echo "Curfew is installed. Label a namespace: kubectl label namespace NAME curfew.dev/inject=enabled"
