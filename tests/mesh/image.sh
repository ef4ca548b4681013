#!/bin/sh
# Builds the image of the test mesh as TARGET_DIR/images/test-mesh.tar, or in $IMAGES: this crate's program under all the
# names the meshes' own have, the real Envoy, the real iptables, and a shell to look around with.
#
#   image.sh TARGET_DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/images/lib.sh
. "$here/../images/lib.sh"

iptables=$(readlink -f "$(debian iptables-nft iptables)")
owner=$(find /usr/lib -name libxt_owner.so | head -n 1)
[ -n "$owner" ] || die "there is no libxt_owner.so; install iptables' extensions (Debian's package: iptables)"
extensions=$(dirname "$owner")
real=$(sh "$root/tests/demo/fetch-real.sh")
program=$(program curfew-test-mesh test-mesh)

# shellcheck disable=SC2046  # one option for each of iptables' extensions
image test-mesh --busybox "$busybox" \
  --file "$program:/usr/local/bin/test-mesh:755" \
  --link test-mesh:/usr/local/bin/pilot-agent \
  --link /usr/local/bin/test-mesh:/usr/lib/linkerd/linkerd-await \
  --link /usr/local/bin/test-mesh:/usr/lib/linkerd/linkerd2-proxy-init \
  --program "${real#* }:/usr/local/bin/envoy" \
  --program "$iptables:/usr/sbin/xtables-nft-multi" \
  --link xtables-nft-multi:/usr/sbin/iptables-nft \
  --link xtables-nft-multi:/usr/sbin/iptables-nft-save \
  --link xtables-nft-multi:/usr/sbin/iptables-nft-restore \
  $(for name in libxt_owner libxt_tcp libxt_standard libipt_REDIRECT libxt_REDIRECT; do
    [ ! -e "$extensions/$name.so" ] || echo "--file $extensions/$name.so:$extensions/$name.so"
  done) \
  --entrypoint /usr/local/bin/test-mesh
