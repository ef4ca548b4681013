#!/bin/sh
# Builds the images of webhook, reaper and no-op for amd64 and arm64 as OCI archives under TARGET_DIR/images.
#
#   build.sh TARGET_DIR
#
# ARCHITECTURES  which of them to build, "x86_64 aarch64" if not set
# IMAGES         where to write them, TARGET_DIR/images if not set
# IMAGE_PREFIX   what the images' names begin with, ghcr.io/curfew-dev if not set
#
# All are static programs from scratch. ring wants a C compiler for each target: zig's (from PyPI) serves both, behind
# a wrapper that drops the target cc names in its own way.
set -eu
zig_version=0.17.0
target=${1:?usage: build.sh TARGET_DIR}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${CURFEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/curfew}
out=${IMAGES:-$target/images}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
prefix=${IMAGE_PREFIX:-ghcr.io/curfew-dev}
architectures=${ARCHITECTURES:-x86_64 aarch64}
mkdir -p "$out" "$cache"

# In two steps, so that a half-unpacked one is never taken for a whole one.
zig=$cache/zig-$zig_version
if [ ! -d "$zig" ]; then
  rm -rf "$zig.part"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$zig.part" "ziglang==$zig_version"
  mv "$zig.part" "$zig"
fi
for arch in $architectures; do
  cc=$cache/zig-cc-$arch
  printf '#!/bin/sh\nfor word; do shift; case $word in --target=*) ;; *) set -- "$@" "$word" ;; esac; done\n' >"$cc"
  printf 'PYTHONPATH=%s exec python3 -m ziglang cc -target %s-linux-musl "$@"\n' "$zig" "$arch" >>"$cc"
  chmod +x "$cc"
done
export CC_x86_64_unknown_linux_musl="$cache/zig-cc-x86_64" CC_aarch64_unknown_linux_musl="$cache/zig-cc-aarch64"
export AR_x86_64_unknown_linux_musl=ar AR_aarch64_unknown_linux_musl=ar
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
# The same bytes wherever the checkout and cargo's home are.
export RUSTFLAGS="--remap-path-prefix=$root=/curfew --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
export CFLAGS="-ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo"

rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl
cd "$root"
for arch in $architectures; do
  cargo build --locked --release -p curfew --target $arch-unknown-linux-musl
  cargo build --locked --profile reaper -p curfew-reaper --target $arch-unknown-linux-musl
done

# image NAME PROFILE [PATH…]: one archive of the program NAME, for all architectures; at /NAME, or else at these paths.
image() {
  name=$1 profile=$2
  shift 2
  paths=${*:-/$name}
  set --
  for arch in $architectures; do
    case $arch in x86_64) platform=amd64 ;; aarch64) platform=arm64 ;; *) platform=$arch ;; esac
    for path in $paths; do
      set -- "$@" "linux/$platform=$target/$arch-unknown-linux-musl/$profile/$name:$path"
    done
  done
  python3 "$here/oci.py" "$out/$name.tar" "$prefix/$name:$version" "/$name" "$@"
}
image curfew release
image curfew-reaper reaper
# shellcheck disable=SC2046 # Paths without blanks, as a test sees to.
image curfew-noop reaper $(grep '^/' "$here/noop-paths.txt")
