#!/bin/sh
# Builds the image of the test mesh as TARGET_DIR/images/test-mesh.tar: this crate's program under all the names the
# meshes' own have, the real Envoy, the real iptables, and a shell to look around with.
#
#   image.sh TARGET_DIR
set -eu
target=${1:?usage: image.sh TARGET_DIR}
mkdir -p "$target/images"
target=$(cd "$target" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${CURFEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/curfew}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

busybox=$cache/tools/busybox # the one tests/cluster unpacks
[ -x "$busybox" ] || busybox=$(command -v busybox) ||
  { echo "image.sh: there is no busybox; run tests/cluster/up.sh once" >&2 && exit 1; }
iptables=$(readlink -f "$(command -v iptables-nft)") ||
  { echo "image.sh: there is no iptables-nft; install it (Debian's package: iptables)" >&2 && exit 1; }
matches=$(dirname "$(find /usr/lib -name libxt_owner.so | head -n 1)")
real=$(sh "$root/tests/demo/fetch-real.sh")

# With the settings of tests/images/build.sh, so that what both need is built once.
rustup target add x86_64-unknown-linux-musl 2>/dev/null || true
cd "$root"
CC_x86_64_unknown_linux_musl=${CC_x86_64_unknown_linux_musl:-gcc} CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$target \
  cargo build --quiet --locked -p curfew-test-mesh --target x86_64-unknown-linux-musl

# shellcheck disable=SC2046  # one option for each of iptables' extensions
python3 tests/images/image.py "$target/images/test-mesh.tar" "${IMAGE_PREFIX:-ghcr.io/curfew-dev}/test-mesh:$version" \
  --dir /tmp:1777 --busybox "$busybox" \
  --file "${TEST_MESH_PROGRAM:-$target/x86_64-unknown-linux-musl/debug/test-mesh}:/usr/local/bin/test-mesh:755" \
  --link test-mesh:/usr/local/bin/pilot-agent \
  --link /usr/local/bin/test-mesh:/usr/lib/linkerd/linkerd-await \
  --link /usr/local/bin/test-mesh:/usr/lib/linkerd/linkerd2-proxy-init \
  --program "${real#* }:/usr/local/bin/envoy" \
  --program "$iptables:/usr/sbin/xtables-nft-multi" \
  --link xtables-nft-multi:/usr/sbin/iptables-nft \
  --link xtables-nft-multi:/usr/sbin/iptables-nft-save \
  --link xtables-nft-multi:/usr/sbin/iptables-nft-restore \
  $(for name in libxt_owner libxt_tcp libxt_standard libipt_REDIRECT libxt_REDIRECT; do
    [ ! -e "$matches/$name.so" ] || echo "--file $matches/$name.so:$matches/$name.so"
  done) \
  --entrypoint /usr/local/bin/test-mesh
