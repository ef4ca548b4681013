# shellcheck shell=bash
# Debian's part of the cluster: runc, the CNI plugins, iptables, etcd and a few tools. What is there is not touched.

# What must exist, and the package that brings it.
NEEDED="
runc:runc
iptables:iptables
ip:iproute2
nsenter:util-linux
setpriv:util-linux
flock:util-linux
openssl:openssl
python3:python3
/usr/lib/cni/bridge:containernetworking-plugins
/usr/lib/cni/host-local:containernetworking-plugins
/usr/lib/cni/loopback:containernetworking-plugins
/usr/lib/cni/portmap:containernetworking-plugins
"

have() { command -v "$1" >/dev/null 2>&1; }

missing_packages() {
  local pair
  for pair in $NEEDED; do have "${pair%%:*}" || printf '%s\n' "${pair##*:}"; done | sort -u
}

# apt_get LOG ARGUMENTS…: refreshing the package lists once if it doesn't work with the ones that are there.
apt_get() {
  local log=$1
  shift
  if DEBIAN_FRONTEND=noninteractive apt-get -qq -y "$@" >"$log" 2>&1 9>&-; then return; fi
  apt-get -qq update >"$log" 2>&1 9>&- && DEBIAN_FRONTEND=noninteractive apt-get -qq -y "$@" >>"$log" 2>&1 9>&-
}

install_packages() {
  local log=$CACHE/apt.log wanted=()
  mapfile -t wanted < <(missing_packages)
  # pause.c is the one thing compiled here that is not Go.
  if [ ! -x "$TOOLS/pause" ] && ! have cc; then wanted+=(gcc libc6-dev); fi
  if [ "${#wanted[@]}" -gt 0 ]; then
    have apt-get || die "not installed: ${wanted[*]} (Debian's names); install what brings them and try again"
    say "installing ${wanted[*]}"
    apt_get "$log" install --no-install-recommends "${wanted[@]}" ||
      die "apt-get can't install ${wanted[*]}; see to its sources and try again" "$log"
    mapfile -t wanted < <(missing_packages)
    [ "${#wanted[@]}" -eq 0 ] || die "something of ${wanted[*]} is missing though it is installed; reinstall it"
  fi
  fetch etcd etcd-server usr/bin/etcd
  fetch busybox busybox-static bin/busybox
}

# fetch NAME PACKAGE PATH: a single program out of a package. Unpacked, not installed: installing etcd-server would
# start an etcd on the machine's own ports, and busybox-static would push busybox aside.
fetch() {
  local name=$1 package=$2 path=$3 log=$CACHE/apt.log part=$TOOLS/.part.$1
  [ ! -x "$TOOLS/$name" ] || return 0
  have apt-get || die "not there: $TOOLS/$name; put a static '$name' there (on Debian the package $package brings it)"
  say "fetching $name"
  rm -rf "$part"
  mkdir -p "$part"
  # As root, apt downloads as the user _apt, who may not write here and says so in a warning; it works all the same.
  (cd "$part" && apt_get "$log" download "$package") ||
    die "apt-get can't download $package; see to its sources and try again" "$log"
  dpkg-deb -x "$part"/*.deb "$part" 2>>"$log" || die "the package $package can't be unpacked; try again" "$log"
  mv "$part/$path" "$TOOLS/$name"
  rm -rf "$part"
}
