#!/usr/bin/env bash
# load-image.sh ARCHIVE.tar…: makes images (OCI or docker-save archives) known to the cluster's containerd.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib node; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done

check_settings
[ "$#" -gt 0 ] || die "which archives? load-image.sh ARCHIVE.tar…"
[ -S "$RUN/containerd.sock" ] || die "the cluster '$CLUSTER' is not up; run up.sh first"
for archive; do
  [ -r "$archive" ] || die "there is no file $archive"
  import_image "$archive" || die "$archive can't be imported; is it an OCI or docker-save archive for this machine?"
done
