#!/bin/sh
# Builds the images the tests on a cluster run, as OCI archives under TARGET_DIR/images: one .tar each.
#
#   build.sh TARGET_DIR [NAME...]
#
#   test-k6        busybox's shell and the real k6, user 12345 as grafana/k6; /test/local.js for localFile scripts
#   test-curl      busybox's shell and curl, user 65532 as k6-operator's starter
#   test-kubectl   busybox's shell and the cluster's kubectl
#   test-busybox   busybox (Debian's static one: its wget crashes, so use nc, or test-curl)
#   test-operator  the double of k6-operator, tests/operator
#   test-standin   a proxy that is none, but answers on its admin port as one does, tests/src/standin
#
# All of them unless named, as $IMAGE_PREFIX/NAME:VERSION. Without pulling: what the machine has, Debian, PyPI and the
# cluster's own build (tests/cluster/up.sh makes kubectl). Unchanged images are left as they are.
set -eu
target=${1:?usage: build.sh TARGET_DIR [NAME...]}
shift
mkdir -p "$target/images"
target=$(cd "$target" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${CURFEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/curfew}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
[ $# -gt 0 ] || set -- test-k6 test-curl test-kubectl test-busybox test-operator test-standin

# debian COMMAND PACKAGE: the command's path, after installing its package if it is missing.
debian() {
  command -v "$1" >/dev/null || {
    apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$2" >&2
  } || { echo "build.sh: there is no $1; install it (Debian's package: $2)" >&2 && exit 1; }
  command -v "$1"
}

busybox=$cache/tools/busybox # the one tests/cluster unpacks
[ -x "$busybox" ] || busybox=$(debian busybox busybox-static)

image() {
  name=$1
  shift
  python3 "$here/image.py" "$target/images/$name.tar" "$prefix/$name:$version" --dir /tmp:1777 "$@"
}

# A plain build: smaller programs would cost a minute and win nothing here.
ours() {
  crate=$1 program=$2
  rustup target add x86_64-unknown-linux-musl 2>/dev/null || true
  cd "$root"
  CC_x86_64_unknown_linux_musl=${CC_x86_64_unknown_linux_musl:-gcc} CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$target \
    cargo build --quiet --locked -p "$crate" --bin "$program" --target x86_64-unknown-linux-musl
  image "$3" --file "$target/x86_64-unknown-linux-musl/debug/$program:/$program:755" --entrypoint "/$program"
}

for name; do
  case $name in
    test-k6)
      fetched=$(sh "$root/tests/demo/fetch-real.sh")
      image test-k6 --busybox "$busybox" --program "${fetched% *}:/usr/bin/k6" --file "$here/local.js:/test/local.js" \
        --user 12345
      ;;
    test-curl) image test-curl --busybox "$busybox" --program "$(debian curl curl):/usr/bin/curl" ;;
    test-kubectl)
      kubectl=$cache/kubernetes-${KUBERNETES_VERSION:-v1.36.3}/kubectl
      [ -x "$kubectl" ] || { echo "build.sh: there is no $kubectl; run tests/cluster/up.sh once" >&2 && exit 1; }
      image test-kubectl --busybox "$busybox" --program "$kubectl:/usr/bin/kubectl"
      ;;
    test-busybox) image test-busybox --busybox "$busybox" ;;
    test-operator) (ours curfew-test-operator test-operator test-operator) ;;
    test-standin) (ours curfew-tests standin-proxy test-standin) ;;
    *) echo "build.sh: there is no image $name; see the head of this file" >&2 && exit 1 ;;
  esac
done
