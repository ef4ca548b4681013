#!/bin/sh
# deploy.sh: installs Curfew into the cluster kubectl points at, or brings one up to date. May be repeated.
#
# KUBECTL       kubectl, where another is to be called
# IMAGE_PREFIX  where the images are, ghcr.io/curfew-dev if not set
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kubectl=${KUBECTL:-kubectl}
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
command -v "$kubectl" >/dev/null || { echo "deploy.sh: there is no $kubectl; install it" >&2; exit 1; }

apply() { sed "s|ghcr.io/curfew-dev/|$prefix/|" "$here/$1" | "$kubectl" apply -f - >/dev/null; }

# Before the account it binds has any right.
if "$kubectl" get --raw /apis/admissionregistration.k8s.io/v1 | grep -q '"validatingadmissionpolicies"'; then
  apply policy.yaml
else
  echo "deploy.sh: this Kubernetes is older than 1.30, so nothing but Curfew itself keeps its watch to the annotation curfew.dev/done" >&2
fi
# First, for a replica is ready only when API servers trust it.
apply webhook.yaml
apply curfew.yaml
"$kubectl" -n curfew rollout status deployment/curfew --timeout 180s
echo "Curfew is installed. Label a namespace: kubectl label namespace NAME curfew.dev/inject=enabled"
