# shellcheck shell=bash
# Kubernetes and containerd from their Go modules, into the cache: one folder a version, one program at a time, each
# under a temporary name until it is whole. So a killed build costs the one program it was at.

# shellcheck source=tests/thrice.sh
. "$HERE/../thrice.sh"

KUBERNETES_PROGRAMS="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
CONTAINERD_PROGRAMS="containerd containerd-shim-runc-v2 ctr"
COLD_BUILD_GB=6
WARM_GB=1

# missing FOLDER PROGRAM…: those that are not there whole.
missing() {
  local folder=$1 program
  shift
  for program; do
    [ -x "$folder/$program" ] && [ -s "$folder/$program" ] || printf '%s ' "$program"
  done
}

free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'; }

need_free() {
  local folder=$1 needed=$2 why=$3 free
  mkdir -p "$folder"
  free=$(free_gb "$folder")
  [ "$free" -ge "$needed" ] || die "$folder has $free GB free and $why needs $needed; make room or set CURFEW_CACHE"
}

# With less than 1 % free the kubelet taints its node (node.sh) and no pod starts, which would only show much later.
need_room_for_pods() {
  local size
  mkdir -p "$STATE"
  size=$(df -Pk "$STATE" | awk 'NR == 2 { print int($2 / 1048576) }')
  need_free "$STATE" $((size / 50 + 2)) "a node that takes pods and their images"
}

build_all() {
  local kubernetes containerd
  # shellcheck disable=SC2086  # lists of words
  kubernetes=$(missing "$KUBE_BIN" $KUBERNETES_PROGRAMS) containerd=$(missing "$CTRD_BIN" $CONTAINERD_PROGRAMS)
  need_free "$CACHE" "$WARM_GB" "a running cluster"
  if [ -n "$kubernetes$containerd" ]; then
    have go || die "building Kubernetes needs Go 1.26 or newer; install it (go.dev/dl) and put it in PATH"
    # The cache belongs to every cluster of this user; two builders would only get in each other's way.
    exec 8>"$CACHE/build.lock"
    flock -n 8 || { say "another build is at work in $CACHE, waiting for it" && flock 8; }
    # shellcheck disable=SC2086
    kubernetes=$(missing "$KUBE_BIN" $KUBERNETES_PROGRAMS) containerd=$(missing "$CTRD_BIN" $CONTAINERD_PROGRAMS)
    need_free "$CACHE" "$COLD_BUILD_GB" "a cold build"
    need_free "$(go env GOCACHE)" "$COLD_BUILD_GB" "a cold build (its GOCACHE)"
    build_kubernetes "$kubernetes"
    build_containerd "$containerd"
    exec 8>&-
  fi
  build_pause
}

build_kubernetes() {
  local wanted=$1 work=$CACHE/build/kubernetes-$KUBERNETES_VERSION module=k8s.io/kubernetes program source stage minor
  [ -n "$wanted" ] || return 0
  say "building Kubernetes $KUBERNETES_VERSION (${wanted% }): about 6 minutes for all, 2 cores, from nothing"
  mkdir -p "$work" "$KUBE_BIN"
  source=$(unlock && module_folder "$work" "$module" "$KUBERNETES_VERSION")
  stage=v0.${KUBERNETES_VERSION#v1.}
  # Kubernetes takes its own parts (k8s.io/api and so on) from a folder beside it; as a module it must be told their
  # version. The Go version and debug settings are those it is released with.
  {
    printf 'module curfew.test/kubernetes\n'
    grep -E '^(go|godebug) ' "$source/go.mod"
    printf 'require %s %s\nreplace (\n' "$module" "$KUBERNETES_VERSION"
    awk -v stage="$stage" '/=> .\/staging/ { print "\t" $1 " => " $1 " " stage }' "$source/go.mod"
    printf ')\n'
  } >"$work/go.mod"
  tidy "$work" "$module" "$KUBERNETES_PROGRAMS"
  minor=${KUBERNETES_VERSION#v1.}
  for program in $wanted; do
    build_program "$work" "$module/cmd/$program" "$KUBE_BIN/$program" \
      "-X k8s.io/component-base/version.gitVersion=$KUBERNETES_VERSION \
       -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
  done
}

build_containerd() {
  local wanted=$1 work=$CACHE/build/containerd-$CONTAINERD_VERSION module=github.com/containerd/containerd/v2 program source
  [ -n "$wanted" ] || return 0
  say "building containerd $CONTAINERD_VERSION (${wanted% }): about 1 minute for all, 2 cores, from nothing"
  mkdir -p "$work" "$CTRD_BIN"
  source=$(unlock && module_folder "$work" "$module" "$CONTAINERD_VERSION")
  {
    printf 'module curfew.test/containerd\n'
    grep '^go ' "$source/go.mod"
    printf 'require %s %s\n' "$module" "$CONTAINERD_VERSION"
  } >"$work/go.mod"
  tidy "$work" "$module" "$CONTAINERD_PROGRAMS"
  for program in $wanted; do
    build_program "$work" "$module/cmd/$program" "$CTRD_BIN/$program" \
      "-X $module/version.Version=$CONTAINERD_VERSION"
  done
}

# module_folder WORK MODULE VERSION: downloads it, prints where it lies.
module_folder() {
  (unlock && cd "$1" && rm -f go.mod go.sum && run_go go mod init curfew.test/tools &&
    thrice run_go go mod download "$2@$3") >"$1/log" 2>&1 ||
    die "can't download $2 $3; is it a released version, and does the Go proxy answer?" "$1/log"
  (cd "$1" && go list -m -f '{{.Dir}}' "$2@$3" 2>>"$1/log") || die "can't find $2 $3 after its download" "$1/log"
}

# tidy WORK MODULE PROGRAMS: a package that names the programs, and the checksums of all they need.
tidy() {
  local program
  {
    printf '//go:build tools\n\npackage tools\n\nimport (\n'
    for program in $3; do printf '\t_ "%s/cmd/%s"\n' "$2" "$program"; done
    printf ')\n'
  } >"$1/tools.go"
  (unlock && cd "$1" && thrice run_go go mod tidy) >"$1/log" 2>&1 ||
    die "the modules of $2 can't be fetched; try again" "$1/log"
}

# The build dies with this script instead of living on unseen, and lets other work go first.
run_go() { setpriv --pdeathsig TERM nice -n 10 env CGO_ENABLED=0 GOFLAGS=-buildvcs=false "$@"; }

# build_program WORK PACKAGE TARGET LDFLAGS, saying every 15 seconds how far it is.
build_program() {
  local work=$1 package=$2 target=$3 flags=$4 name=${3##*/} begin=$SECONDS said=$SECONDS job log
  log=$work/$name.log
  rm -f "${target%/*}"/.part.*
  (
    cd "$work" || exit
    unlock
    exec setpriv --pdeathsig TERM nice -n 10 env CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
      go build -v -ldflags "-s -w $flags" -o "${target%/*}/.part.$name" "$package"
  ) >"$log" 2>&1 &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.5
    if [ $((SECONDS - said)) -ge 15 ]; then
      said=$SECONDS
      say "  building $name: $((SECONDS - begin)) s, $(wc -l <"$log") packages compiled, now $(tail -n 1 "$log")"
    fi
  done
  wait "$job" || {
    rm -f "${target%/*}/.part.$name"
    die "$name can't be built; what follows is the compiler's word on it" "$log"
  }
  mv "${target%/*}/.part.$name" "$target"
  say "  built $name in $((SECONDS - begin)) s"
}

# The program that holds every pod's namespaces. It also holds the node's mounts, see node.sh.
build_pause() {
  if [ ! -x "$TOOLS/pause" ] || [ "$HERE/pause.c" -nt "$TOOLS/pause" ]; then
    cc -static -Os -Wall -o "$TOOLS/.part.pause" "$HERE/pause.c" 2>"$CACHE/cc.log" ||
      die "pause.c can't be compiled; install a C compiler with a static libc (gcc libc6-dev)" "$CACHE/cc.log"
    mv "$TOOLS/.part.pause" "$TOOLS/pause"
  fi
}
