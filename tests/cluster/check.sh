#!/usr/bin/env bash
# Is the cluster one that Curfew's tests can rely on? Runs a Job, a Job with a native sidecar, a pod with an image
# volume and one that reaches a Service, in a namespace that goes again.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in lib node; do
  # shellcheck source=/dev/null
  . "$HERE/$part.sh"
done
check_settings
[ -x "$RUN/kubectl" ] || die "the cluster '$CLUSTER' is not up; run up.sh first"
[ "$(cat "$RUN/version")" = "$KUBERNETES_VERSION" ] ||
  die "the cluster runs $(cat "$RUN/version"); set KUBERNETES_VERSION to it or bring up $KUBERNETES_VERSION"

NAMESPACE=cluster-check-$$
IMAGE=curfew.test/busybox:1
k() { "$RUN/kubectl" --namespace "$NAMESPACE" "$@"; }

finish() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    { k get pods -o wide && k get events --sort-by=.lastTimestamp | tail -n 20; } >&2 || true
  fi
  "$RUN/kubectl" delete namespace "$NAMESPACE" --ignore-not-found >/dev/null || status=1
  exit "$status"
}

# job NAME COMMAND: a Job of one main container; what a case adds to it and to its pod comes from standard input.
job() {
  cat <<END
apiVersion: batch/v1
kind: Job
metadata: {name: $1}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: $IMAGE
        command: [/busybox, sh, -c, "$2"]
END
  sed 's/^/      /'
}

# completes NAME EXPECTED WHAT: the Job ends well and said this, which proves that.
completes() {
  local said begin=$SECONDS
  k wait --for=condition=complete --timeout=60s "job/$1" >/dev/null || die "the Job $1 is not Complete after 60 s"
  said=$(k logs "job/$1" -c main)
  [ "$said" = "$2" ] || die "the Job $1 should say '$2' and says '$said'"
  say "ok: $3 ($((SECONDS - begin)) s)"
}

trap 'exit 130' INT TERM HUP
trap finish EXIT
k create namespace "$NAMESPACE" >/dev/null
{ image "$RUN/busybox.tar" "$IMAGE" /busybox "$TOOLS/busybox:/busybox" && import_image "$RUN/busybox.tar"; } \
  >"$RUN/log/busybox-image.log" 2>&1 || die "the test image can't be loaded" "$RUN/log/busybox-image.log"
until k get serviceaccount default >/dev/null 2>&1; do sleep 0.1; done

job plain 'echo done' </dev/null | k apply -f - >/dev/null
completes plain "done" "a Job completes"

job sidecar 'echo beside' <<END | k apply -f - >/dev/null
initContainers:
- name: proxy
  image: $IMAGE
  restartPolicy: Always
  command: [/busybox, sh, -c, "echo up > /tmp/up; exec /busybox sleep 3600"]
  startupProbe: {exec: {command: [/busybox, test, -e, /tmp/up]}, periodSeconds: 1}
  volumeMounts: [{name: tmp, mountPath: /tmp}]
volumes: [{name: tmp, emptyDir: {}}]
END
completes sidecar beside "a Job with a native sidecar completes"

# Image volumes are on by default from 1.35.
minor=${KUBERNETES_VERSION#v1.}
if [ "${minor%%.*}" -ge 35 ]; then
  job image-volume '/tools/busybox echo from the image volume' <<END | k apply -f - >/dev/null
  volumeMounts: [{name: tools, mountPath: /tools}]
volumes: [{name: tools, image: {reference: "$IMAGE", pullPolicy: Never}}]
END
  completes image-volume "from the image volume" "a program runs from an image volume"
else
  say "skipped: image volumes are off by default in $KUBERNETES_VERSION"
fi

k apply -f - >/dev/null <<END
apiVersion: v1
kind: Service
metadata: {name: hello}
spec: {selector: {app: hello}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: hello, labels: {app: hello}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: $IMAGE
    command: [/busybox, sh, -c, "echo hello > /tmp/index.html; exec /busybox httpd -f -p 8080 -h /tmp"]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: tmp, mountPath: /tmp}]
  volumes: [{name: tmp, emptyDir: {}}]
END
k wait --for=condition=ready --timeout=60s pod/hello >/dev/null || die "the pod hello is not ready after 60 s"
address=$(k get service hello -o 'jsonpath={.spec.clusterIP}')
# nc, for Debian's static busybox crashes in wget. The Service's rules may come a moment after the pod is ready.
ask="/busybox printf 'GET / HTTP/1.0\\r\\n\\r\\n' | /busybox nc -w 2 $address 80 | /busybox grep hello"
job client "until $ask; do /busybox sleep 0.2; done" </dev/null | k apply -f - >/dev/null
completes client hello "a pod reaches a Service"
[ "$(printf 'GET / HTTP/1.0\r\n\r\n' | on_node "$TOOLS/busybox" nc -w 5 "$address" 80 | tail -n 1)" = hello ] ||
  die "the node can't reach the Service at $address" "$RUN/log/kube-proxy.log"
say "ok: the node (and so the API server) reaches a Service"
