#!/bin/sh
# tool.sh helm|kustomize: prints the path of the program these tests are made for, after building it if need be.
# tool.sh crds: prints the path of a folder with the definitions of others' kinds the chart renders.
#
# It comes from its Go module and is kept in $CURFEW_CACHE: about 2 minutes of 2 cores from nothing, for Helm.
# HELM_VERSION names another one, as in v3.22.0, which merges on the client.
set -eu
# shellcheck source=tests/thrice.sh
. "$(dirname "$0")/../thrice.sh"
die() { echo "tool.sh: $*" >&2; exit 1; }
name=${1:-}
case $name in
  helm)
    version=${HELM_VERSION:-v4.3.1}
    module=helm.sh/helm/${version%%.*}
    package=$module/cmd/helm
    flags="-X $module/internal/version.version=$version"
    ;;
  kustomize)
    version=v5.8.1
    package=sigs.k8s.io/kustomize/kustomize/v5
    flags=
    ;;
  crds) version=1 ;;
  *) die "usage: tool.sh helm|kustomize|crds" ;;
esac
folder=${CURFEW_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/curfew}/$name-$version

if [ "$name" = crds ]; then
  # kinds MODULE VERSION FOLDER FILE…: from the very sources their programs are built of.
  kinds() {
    source=$(cd "$part" && thrice go mod download -json "$1@$2" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
    [ -d "$source" ] || die "can't download $1 $2; does the Go proxy answer?"
    from=$source/$3
    shift 3
    for file; do install -m 644 "$from/$file.yaml" "$part/"; done
  }
  if [ ! -d "$folder" ]; then
    mkdir -p "${folder%/*}"
    part=$(mktemp -d "$folder.part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    trap 'exit 130' INT TERM HUP
    kinds github.com/cert-manager/cert-manager v1.21.2 deploy/crds cert-manager.io_certificates cert-manager.io_issuers
    kinds github.com/prometheus-operator/prometheus-operator v0.85.0 example/prometheus-operator-crd \
      monitoring.coreos.com_podmonitors monitoring.coreos.com_prometheusrules monitoring.coreos.com_servicemonitors
    # Another may have been faster.
    [ -d "$folder" ] || mv "$part" "$folder"
  fi
  echo "$folder"
  exit
fi

if [ ! -x "$folder/$name" ]; then
  command -v go >/dev/null || die "there is no go; install Go 1.26 or newer (go.dev/dl)"
  echo "building $name $version" >&2
  mkdir -p "$folder"
  # Beside it until it is whole: a killed build leaves nothing that is taken for one.
  part=$(mktemp -d "$folder/part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  trap 'exit 130' INT TERM HUP
  thrice env GOBIN="$part" CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice -n 10 \
    go install -ldflags "-s -w $flags" "$package@$version" >"$part/log" 2>&1 || {
    tail -n 15 "$part/log" >&2
    die "$package $version can't be built; does the Go proxy answer?"
  }
  mv "$part/$name" "$folder/$name"
fi
echo "$folder/$name"
