# shellcheck shell=sh disable=SC2154
# What the scripts that write test images share; they source it with `here`, their folder, and $1, TARGET_DIR, set.
#
#   root, version, arch   the checkout, its version, this machine's architecture
#   cache, out            what outlives a checkout; where images go: $IMAGES, or TARGET_DIR/images
#   busybox               a static one

# shellcheck source=tests/thrice.sh
. "$here/../thrice.sh"
target=${1:?usage: $(basename "$0") TARGET_DIR}
root=$(cd "$here/../.." && pwd)
mkdir -p "$target"
target=$(cd "$target" && pwd)
out=${IMAGES:-$target/images}
mkdir -p "$out"
cache=${CURFEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/curfew}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
arch=$(uname -m)

die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# debian COMMAND PACKAGE: the command's path, after installing its package if it is missing.
debian() {
  command -v "$1" >/dev/null || {
    apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$2" >&2
  } || die "there is no $1; install it (Debian's package: $2)"
  command -v "$1"
}

# program CRATE NAME: builds one of ours, static, and prints where it is. A plain build: smaller programs would cost a
# minute and win nothing here. All with the same settings, so that what they share is built once.
program() {
  rustup target add "$arch-unknown-linux-musl" >/dev/null 2>&1 || true
  # ring wants a C compiler for the target; this machine's own will do for its own architecture.
  (cd "$root" && env "CC_${arch}_unknown_linux_musl=gcc" CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$target" \
    cargo build --quiet --locked -p "$1" --bin "$2" --target "$arch-unknown-linux-musl") >&2
  echo "$target/$arch-unknown-linux-musl/debug/$2"
}

# image NAME OPTION…: writes one archive.
image() {
  name=$1
  shift
  python3 "$root/tests/images/image.py" "$out/$name.tar" "$prefix/$name:$version" --dir /tmp:1777 "$@"
}

busybox=$cache/tools/busybox # the one tests/cluster unpacks
[ -x "$busybox" ] || busybox=$(debian busybox busybox-static)
