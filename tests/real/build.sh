#!/bin/sh
# Builds the sidecars that nobody here wrote, and images of them, as OCI archives under TARGET_DIR/images or $IMAGES.
#
#   build.sh TARGET_DIR
#
# Dapr and the Cloud SQL Auth Proxy come from their Go modules, as dapr/go.mod and cloud-sql/go.mod pin them, and are kept
# in $CURFEW_CACHE: about 6 minutes of 2 cores from nothing, seconds after that. The images have the names their
# publishers give them, behind $IMAGE_PREFIX.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/images/lib.sh
. "$here/../images/lib.sh"

# pinned FOLDER MODULE: the version of a module.
pinned() { sed -n "s|^\(require\)\{0,1\}[[:space:]]*$2 v\([^ ]*\).*|\2|p" "$here/$1/go.mod" | head -n 1; }

# built FOLDER PACKAGE OUT [OPTION…]: a program from its module, under a temporary name until it is whole.
built() {
  folder=$1 package=$2 program=$3
  shift 3
  [ ! -x "$program" ] || return 0
  command -v go >/dev/null || die "there is no go; install Go 1.26 or newer (go.dev/dl)"
  echo "building ${program##*/}" >&2
  mkdir -p "${program%/*}"
  # Other work goes first, and the build ends with this script.
  (cd "$here/$folder" && thrice setpriv --pdeathsig TERM nice -n 10 env CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly" \
    go build "$@" -o "$program.part" "$package") >&2 || die "$package can't be built; does the Go proxy answer?"
  mv "$program.part" "$program"
}

# real NAME TAG OPTION…: writes one archive.
real() {
  name=$1 tag=$2
  shift 2
  python3 "$root/tests/images/image.py" "$out/real-${name##*/}.tar" "$prefix/$name:$tag" --dir /tmp:1777 "$@"
}

module=github.com/dapr/dapr
dapr=$(pinned dapr "$module")
programs=$cache/dapr-$dapr
for name in injector sentry operator; do
  built dapr "$module/cmd/$name" "$programs/$name" -ldflags "-s -w"
done
# Without the tag it builds as well, and panics when it starts.
built dapr "$module/cmd/daprd" "$programs/daprd" -tags stablecomponents \
  -ldflags "-s -w -X $module/pkg/buildinfo.version=$dapr"
# No entry point: the injector writes the program's name into the arguments.
for name in injector sentry operator daprd; do
  real "dapr/$name" "$dapr" --file "$programs/$name:/$name:755"
done
if [ ! -s "$programs/dapr.yaml" ]; then
  built dapr ./chart "$programs/chart" -ldflags "-s -w"
  charts=$(cd "$here/dapr" && go list -mod=readonly -m -f '{{.Dir}}' "$module")/charts/dapr
  for crd in "$charts"/crds/*.yaml; do echo --- && cat "$crd" && echo; done >"$programs/crds.yaml"
  # Placement and scheduler are for actors and workflows. The injector wants the scheduler's StatefulSet to be there,
  # which the chart makes with no replicas.
  "$programs/chart" "$charts" dapr-system global.registry=REGISTRY/dapr "global.tag=$dapr" \
    global.scheduler.enabled=false global.actors.enabled=false global.prometheus.enabled=false \
    dapr_rbac.secretReader.enabled=false >"$programs/dapr.yaml.part"
  mv "$programs/dapr.yaml.part" "$programs/dapr.yaml"
fi

module=github.com/GoogleCloudPlatform/cloud-sql-proxy/v2
sql=$(pinned cloud-sql "$module")
built cloud-sql "$module" "$cache/cloud-sql-proxy-$sql/cloud-sql-proxy" -ldflags "-s -w"
real cloud-sql-connectors/cloud-sql-proxy "$sql" --file "$cache/cloud-sql-proxy-$sql/cloud-sql-proxy:/cloud-sql-proxy:755" \
  --entrypoint /cloud-sql-proxy

# The one that is no original: Vault does not compile as a module. The shell its command line asks for is real.
real hashicorp/vault 1.21.4 --busybox "$busybox" --file "$(program curfew-tests standin-vault):/bin/vault:755" \
  --dir /home/vault:1777 --user 100:1000

# What Dapr finds its own parts by.
real test-names "$version" --program "$(debian dnsmasq dnsmasq-base):/usr/sbin/dnsmasq"
