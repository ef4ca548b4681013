#!/usr/bin/env bash
# Does the test mesh do to pods what the real ones do? Deploys it into a cluster and tries, in namespaces that go again.
#
#   KUBECTL=… [CURFEW=path of curfew] check.sh [PART...]
#
# Its image has to be in the cluster already. With CURFEW it also asks whether Curfew knows the sidecars. Parts: order
# again blocks shutdown linkerd-off drain ready strict native ends restricted curfew; all of them unless named.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -ra KUBECTL <<<"${KUBECTL:-kubectl}"
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$HERE/../../Cargo.toml" | head -n 1)
IMAGE=${IMAGE_PREFIX:-ghcr.io/curfew-dev}/test-mesh:$VERSION
MESHED=mesh-check-$$ OUTSIDE=mesh-check-out-$$ TIGHT=mesh-check-tight-$$

k() { "${KUBECTL[@]}" --namespace "$MESHED" "$@"; }
out() { "${KUBECTL[@]}" --namespace "$OUTSIDE" "$@"; }
say() { printf '%s\n' "$*"; }
die() { printf 'check.sh: %s\n' "$*" >&2 && exit 1; }

finish() {
  local status=$?
  rm -rf "$WORK"
  if [ "$status" -ne 0 ]; then
    { k get pods -o wide && k get events --sort-by=.lastTimestamp | tail -n 15; } >&2 || true
  fi
  "${KUBECTL[@]}" delete namespace "$MESHED" "$OUTSIDE" "$TIGHT" --ignore-not-found --wait=false >/dev/null || status=1
  exit "$status"
}

# template NAME ANNOTATIONS COMMAND [REST]: of a pod; the annotations and the rest of its container are YAML without the
# outer braces. pod and job take the same.
template() {
  cat <<END
metadata: {labels: {app: "app-$1"}, annotations: {$2}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "$IMAGE", imagePullPolicy: IfNotPresent, command: [sh, -c, '$3']${4:+, $4}}
END
}
pod() {
  printf 'apiVersion: v1\nkind: Pod\n'
  template "$@" | sed "s/^metadata: {/&name: \"$1\", /"
}
job() {
  printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s}\nspec:\n  backoffLimit: 0\n  template:\n' "$1"
  template "$@" | sed 's/^/    /'
}

SERVER='mkdir -p /tmp/w; echo hello > /tmp/w/index.html; echo fine > /tmp/w/health; exec httpd -f -p 8080 -h /tmp/w'
# ask METHOD ADDRESS PORT PATH: first line of the answer, from within a container; empty where there is none. A proxy of
# HTTP lets go of a client that closes its side early, as nc does at the end of its input, so that end comes late.
ask() {
  local request="$1 $4 HTTP/1.1\\\\r\\\\nHost: x\\\\r\\\\nConnection: close\\\\r\\\\nContent-Length: 0\\\\r\\\\n\\\\r\\\\n"
  printf "{ printf '$request'; sleep 2; } | nc -w 5 %s %s | head -n 1 | tr -d '\\\\r'" "$2" "$3"
}
# from WHERE POD METHOD ADDRESS PORT PATH
from() { "$1" exec "$2" -c main -- sh -c "$(ask "${@:3}")" 2>/dev/null || true; }
# is WHAT EXPECTED ACTUAL
# shellcheck disable=SC2254  # what is expected is a pattern
is() { case $3 in $2) say "ok: $1: ${3:-nothing}" ;; *) die "$1: expected '$2', got '$3'" ;; esac; }
address() { "$1" get pod "$2" -o 'jsonpath={.status.podIP}'; }
pod_of() { k get pods -l "job-name=$1" -o 'jsonpath={.items[0].metadata.name}'; }
state() { k get pod "$1" -o "jsonpath={.status.containerStatuses[?(@.name==\"$2\")].state}"; }
# until_ SECONDS WHAT COMMAND…
until_() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || die "not within the time given: $what"
    sleep 0.3
  done
}
has() { [[ $(state "$1" "$2") == *"$3"* ]]; }
main_runs() { [[ $("$1" get pod "$2" -o 'jsonpath={.status.containerStatuses[?(@.name=="main")].state}') == *running* ]]; }
running() { until_ 90 "main of $2 runs" main_runs "$1" "$2"; }
answers() { [[ $(from "${@:2}") == *$1* ]]; }
logs() { k logs "$1" -c main | grep -q "$2"; }
names() { k get pod "$1" -o "jsonpath={.spec.$2[*].name}"; }
proxy_of() { [ "$1" = linkerd ] && echo linkerd-proxy || echo istio-proxy; }

check_order() {
  local ours='initContainers: [{name: fetch, image: none, imagePullPolicy: Never}]' shape
  for shape in linkerd istio; do
    pod "order-$shape" "mesh.test/shape: $shape" true | sed "s|^spec:|spec:\n  $ours|" | k apply -f - >/dev/null
  done
  is "Linkerd's containers" "linkerd-proxy main" "$(names order-linkerd containers)"
  is "Linkerd's init containers" "fetch linkerd-init" "$(names order-linkerd initContainers)"
  is "Istio's containers" "main istio-proxy" "$(names order-istio containers)"
  is "Istio's init containers" "fetch istio-init" "$(names order-istio initContainers)"
}

# A pod whose proxy somebody made native, as the injector sees it when it is asked again.
check_again() {
  local native="initContainers: [{name: istio-proxy, image: $IMAGE, restartPolicy: Always, command: [sleep, x]}]" said
  said=$(pod again "mesh.test/shape: istio" true | sed "s|^spec:|spec:\n  $native|" | k apply -f - 2>&1) &&
    die "Istio accepts a conversion without its annotation"
  is "Istio, a conversion without its annotation" "*Duplicate value*" "$(grep Duplicate <<<"$said")"
  pod again 'mesh.test/shape: istio, sidecar.istio.io/nativeSidecar: "true"' true |
    sed "s|^spec:|spec:\n  $native|" | k apply -f - >/dev/null
  is "Istio, a conversion with it: the containers" main "$(names again containers)"
}

check_blocks() {
  local shape
  for shape in linkerd istio; do
    job "plain-$shape" "mesh.test/shape: $shape" "sleep 3" | k apply -f - >/dev/null
  done
  sleep 1
  for shape in linkerd istio; do
    until_ 60 "main of plain-$shape ends" has "$(pod_of "plain-$shape")" main '"exitCode":0'
  done
  sleep 8
  for shape in linkerd istio; do
    is "$shape: main ended 8 s ago, the proxy" "*running*" "$(state "$(pod_of "plain-$shape")" "$(proxy_of $shape)")"
    is "$shape: the Job's condition" "" "$(k get job "plain-$shape" -o 'jsonpath={.status.conditions}')"
  done
}

check_shutdown() {
  local pod
  out apply -f - >/dev/null < <(pod outside "mesh.test/shape: linkerd" "sleep 3600")
  job down-linkerd "config.linkerd.io/proxy-admin-shutdown: enabled" "until [ -e /tmp/go ]; do sleep 0.2; done" |
    k apply -f - >/dev/null
  job down-istio "mesh.test/shape: istio" "until [ -e /tmp/go ]; do sleep 0.2; done" | k apply -f - >/dev/null
  sleep 1
  pod=$(pod_of down-linkerd)
  running k "$pod" && running out outside
  is "Linkerd: GET /shutdown" "*405*" "$(from k "$pod" GET 127.0.0.1 4191 /shutdown)"
  is "Linkerd: POST /shutdown from elsewhere" "*403*" "$(from out outside POST "$(address k "$pod")" 4191 /shutdown)"
  is "Linkerd: GET /ready" "*200*" "$(from k "$pod" GET 127.0.0.1 4191 /ready)"
  is "Linkerd: POST /shutdown" "*200*" "$(from k "$pod" POST 127.0.0.1 4191 /shutdown)"
  is "Linkerd: its port afterwards" "" "$(from k "$pod" GET 127.0.0.1 4191 /ready)"
  k exec "$pod" -c main -- touch /tmp/go
  pod=$(pod_of down-istio)
  running k "$pod"
  until_ 30 "Istio's health port" answers 200 k "$pod" GET 127.0.0.1 15021 /healthz/ready
  is "Istio: GET /quitquitquit" "*405*" "$(from k "$pod" GET 127.0.0.1 15020 /quitquitquit)"
  is "Istio: POST /quitquitquit from elsewhere" "*403*" \
    "$(from out outside POST "$(address k "$pod")" 15020 /quitquitquit)"
  is "Istio: POST /quitquitquit" "*200*" "$(from k "$pod" POST 127.0.0.1 15020 /quitquitquit)"
  k exec "$pod" -c main -- touch /tmp/go
  for shape in linkerd istio; do
    k wait --for=condition=complete --timeout=60s "job/down-$shape" >/dev/null || die "down-$shape does not complete"
    has "$(pod_of down-$shape)" "$(proxy_of $shape)" '"exitCode":0,' || die "the proxy of down-$shape does not exit 0"
    say "ok: $shape: the proxy exits 0 and the Job completes"
  done
}

check_linkerd_off() {
  pod switched-off "mesh.test/shape: linkerd" "sleep 3600" | k apply -f - >/dev/null
  running k switched-off
  is "Linkerd without its annotation: POST /shutdown" "*404*" "$(from k switched-off POST 127.0.0.1 4191 /shutdown)"
}

# What a client says of a server that is there all the time, from its own first moment on.
check_ready() {
  out apply -f - >/dev/null < <(pod server "mesh.test/shape: linkerd" "$SERVER")
  running out server
  local ip try
  ip=$(address out server)
  try="until nc -w 2 $ip 8080 </dev/null; do sleep 0.3; done; echo connected"
  pod late "mesh.test/shape: istio, mesh.test/ready-after: 5s" "($try) 2>&1; sleep 3600" | k apply -f - >/dev/null
  pod late-linkerd "mesh.test/ready-after: 5s, config.linkerd.io/proxy-await: disabled" "($try) 2>&1; sleep 3600" |
    k apply -f - >/dev/null
  pod held "mesh.test/ready-after: 5s" "($try) 2>&1; sleep 3600" | k apply -f - >/dev/null
  for pod in late late-linkerd held; do
    until_ 60 "$pod connects" logs "$pod" connected
  done
  is "Istio before it is ready" "nc: * refused" "$(k logs late -c main | head -n 1)"
  is "Linkerd without await, before it is ready" "nc: * refused" "$(k logs late-linkerd -c main | head -n 1)"
  is "Linkerd holds main back until it is ready" "connected" "$(k logs held -c main | head -n 1)"
}

check_strict() {
  local probe='readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1}' shape strict pod
  out apply -f - >/dev/null < <(pod client "mesh.test/shape: linkerd" "sleep 3600")
  for shape in linkerd istio; do
    for strict in "false" "true"; do
      pod "server-$shape-$strict" "mesh.test/shape: $shape, mesh.test/strict: \"$strict\"" "$SERVER" "$probe" |
        k apply -f - >/dev/null
    done
    pod "client-$shape" "mesh.test/shape: $shape, mesh.test/strict: \"true\"" "sleep 3600" | k apply -f - >/dev/null
  done
  local skip='traffic.sidecar.istio.io/exclude'
  pod skip-in "mesh.test/shape: istio, mesh.test/strict: \"true\", ${skip}InboundPorts: \"8080\"" "$SERVER" |
    k apply -f - >/dev/null
  pod skip-out "mesh.test/shape: istio, mesh.test/strict: \"true\", ${skip}OutboundPorts: \"8080\"" "sleep 3600" |
    k apply -f - >/dev/null
  k wait --for=condition=ready --timeout=120s pod --all >/dev/null || die "not all pods are ready"
  running out client
  for shape in linkerd istio; do
    is "$shape, not strict: from outside" "*200*" "$(from out client GET "$(address k server-$shape-false)" 8080 /)"
    is "$shape: a strict client to a server that is not" "*200*" \
      "$(from k client-$shape GET "$(address k server-$shape-false)" 8080 /)"
    is "$shape, strict: from its own" "*200*" "$(from k client-$shape GET "$(address k server-$shape-true)" 8080 /)"
  done
  is "istio, strict: from outside" "" "$(from out client GET "$(address k server-istio-true)" 8080 /)"
  is "linkerd, strict: from outside" "*403*" "$(from out client GET "$(address k server-linkerd-true)" 8080 /)"
  is "linkerd, strict: from outside, a probe's path" "*200*" \
    "$(from out client GET "$(address k server-linkerd-true)" 8080 /health)"
  is "skipped inbound: from outside" "*200*" "$(from out client GET "$(address k skip-in)" 8080 /)"
  is "skipped inbound, not outbound" "*503*" "$(from k client-istio GET "$(address k skip-in)" 8080 /)"
  is "skipped inbound and outbound" "*200*" "$(from k skip-out GET "$(address k skip-in)" 8080 /)"
  # shellcheck disable=SC2016  # for the shell in the pod
  is "strict, the API server" "*400*" "$(from k client-istio GET '$KUBERNETES_SERVICE_HOST' 443 /)"
}

check_native() {
  local native shape
  for shape in linkerd istio; do
    native="config.linkerd.io/proxy-enable-native-sidecar: \"true\", sidecar.istio.io/nativeSidecar: \"true\""
    job "native-$shape" "mesh.test/shape: $shape, mesh.test/native-capable: \"true\", $native" "sleep 2" |
      k apply -f - >/dev/null
  done
  for shape in linkerd istio; do
    k wait --for=condition=complete --timeout=90s "job/native-$shape" >/dev/null || die "native-$shape does not complete"
    say "ok: $shape, native: the Job completes"
  done
}

check_ends() {
  for shape in linkerd istio; do
    pod "crash-$shape" "mesh.test/shape: $shape, mesh.test/crash-after: 4s" "sleep 3600" | k apply -f - >/dev/null
    pod "oom-$shape" "mesh.test/shape: $shape, mesh.test/oom-after: 4s" "sleep 3600" | k apply -f - >/dev/null
  done
  for shape in linkerd istio; do
    until_ 60 "crash-$shape" has "crash-$shape" "$(proxy_of $shape)" '"exitCode":1,'
    until_ 60 "oom-$shape" has "oom-$shape" "$(proxy_of $shape)" OOMKilled
    say "ok: $shape: it crashes, and it runs out of memory"
  done
}

check_restricted() {
  "${KUBECTL[@]}" label --overwrite namespace "$TIGHT" pod-security.kubernetes.io/enforce=restricted >/dev/null
  local shape tight='securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true'
  tight+=', capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}'
  for shape in linkerd istio; do
    pod "tight-$shape" "mesh.test/shape: $shape, mesh.test/init: \"false\"" "sleep 3600" "$tight" |
      "${KUBECTL[@]}" --namespace "$TIGHT" apply -f - >/dev/null
    "${KUBECTL[@]}" --namespace "$TIGHT" wait --for=condition=ready --timeout=60s "pod/tight-$shape" >/dev/null ||
      die "tight-$shape is not ready"
    say "ok: $shape: it runs in a restricted namespace"
  done
}

# Linkerd's proxy stays while a connection is open, but no longer than its grace period; its port is closed by then.
check_drain() {
  local settings='config.linkerd.io/proxy-admin-shutdown: enabled, config.linkerd.io/shutdown-grace-period: 4s' begin
  out apply -f - >/dev/null < <(pod open "mesh.test/shape: linkerd" "while :; do sleep 3600 | nc -l -p 8080; done")
  running out open
  pod drains "$settings" "sleep 3600 | nc $(address out open) 8080; sleep 3600" | k apply -f - >/dev/null
  running k drains
  sleep 2
  is "Linkerd, a connection is open: POST /shutdown" "*200*" "$(from k drains POST 127.0.0.1 4191 /shutdown)"
  is "Linkerd, draining: the proxy" "*running*" "$(state drains linkerd-proxy)"
  begin=$SECONDS
  until_ 20 "the drain ends" has drains linkerd-proxy '"exitCode":0,'
  say "ok: Linkerd, drained with exit code 0 after about $((SECONDS - begin + 2)) s of 4 s grace"
}

check_curfew() {
  [ -n "${CURFEW:-}" ] || { say "skipped: CURFEW is not set" && return; }
  local shape
  for shape in linkerd istio; do
    job "known-$shape" "mesh.test/shape: $shape" "sleep 1" | k apply -f - >/dev/null
    until_ 30 "a pod of known-$shape" pod_of "known-$shape"
    k get pod "$(pod_of "known-$shape")" -o yaml >"$WORK/$shape.yaml"
    is "Curfew calls it" "classic sidecar $shape" \
      "$("$CURFEW" inject --filename "$WORK/$shape.yaml" 2>&1 | grep -o "classic sidecar $shape" | head -n 1)"
  done
}

WORK=$(mktemp -d)
trap 'exit 130' INT TERM HUP
trap finish EXIT
KUBECTL="${KUBECTL[*]}" sh "$HERE/deploy.sh"
for namespace in "$MESHED" "$OUTSIDE" "$TIGHT"; do
  "${KUBECTL[@]}" create namespace "$namespace" >/dev/null
  until_ 20 "a service account in $namespace" "${KUBECTL[@]}" --namespace "$namespace" get serviceaccount default
done
"${KUBECTL[@]}" label namespace "$MESHED" "$TIGHT" mesh.test/inject=after-never >/dev/null
[ $# -gt 0 ] || set -- order again blocks shutdown linkerd-off drain ready strict native ends restricted curfew
for part; do
  declare -F "check_${part//-/_}" >/dev/null || die "there is no part $part; see the head of this file"
  "check_${part//-/_}"
  for where in k out; do "$where" delete jobs,pods --all --now >/dev/null; done
done
