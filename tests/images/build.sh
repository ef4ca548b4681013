#!/bin/sh
# Builds the images the tests on a cluster run, as OCI archives under TARGET_DIR/images or $IMAGES: one .tar each.
#
#   build.sh TARGET_DIR [NAME...]
#
#   test-k6        busybox's shell and the real k6, user 12345 as grafana/k6
#   test-k6-local  the same with a script of its own, /test/local.js
#   test-curl      busybox's shell and curl, user 65532 as k6-operator's starter
#   test-kubectl   busybox's shell and the cluster's kubectl
#   test-busybox   busybox (Debian's static one: its wget crashes, so use nc, or test-curl)
#   test-vendor    busybox with an entrypoint, which runs its one argument as a script: what is in the pod is no command
#   test-operator  the double of k6-operator, tests/operator
#   test-standin   a proxy that is none, but answers on its admin port as one does, tests/src/standin
#
# All of them unless named, as $IMAGE_PREFIX/NAME:VERSION, for this machine's architecture. Without pulling: what the
# machine has, Debian, PyPI and the cluster's own build. Unchanged images are left as they are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/images/lib.sh
. "$here/lib.sh"
shift
[ $# -gt 0 ] || set -- test-k6 test-k6-local test-curl test-kubectl test-busybox test-vendor test-operator test-standin

k6() {
  fetched=$(sh "$root/tests/demo/fetch-real.sh")
  image "$@" --busybox "$busybox" --program "${fetched% *}:/usr/bin/k6" --user 12345
}

# ours CRATE PROGRAM IMAGE: one of our own programs and nothing else.
ours() {
  built=$(program "$1" "$2")
  image "$3" --file "$built:/$2:755" --entrypoint "/$2"
}

for name; do
  case $name in
    test-k6) k6 test-k6 ;;
    test-k6-local) k6 test-k6-local --file "$here/local.js:/test/local.js" ;;
    test-curl) image test-curl --busybox "$busybox" --program "$(debian curl curl):/usr/bin/curl" ;;
    test-kubectl)
      kubectl=$cache/kubernetes-${KUBERNETES_VERSION:-v1.36.3}/kubectl
      [ -x "$kubectl" ] || kubectl=$(command -v kubectl) || die "there is no kubectl; install it, or run make cluster once"
      image test-kubectl --busybox "$busybox" --program "$kubectl:/usr/bin/kubectl"
      ;;
    test-busybox) image test-busybox --busybox "$busybox" ;;
    # shellcheck disable=SC2016  # for the image's shell
    test-vendor) image test-vendor --busybox "$busybox" --entrypoint '/bin/sh -c '"'"'eval "${1:-exit 0}"'"'"' vendor' ;;
    test-operator) ours curfew-test-operator test-operator test-operator ;;
    test-standin) ours curfew-tests standin-proxy test-standin ;;
    *) die "there is no image $name; see the head of this file" ;;
  esac
done
