# shellcheck shell=bash
# containerd, kubelet and kube-proxy.

# Places that containerd, its shims, the CNI plugins and the kubelet write to whatever they are told. In the node's
# own mount namespace each is a folder of the cluster, so the machine's stay as they are and two clusters don't mix.
# The mounts of pods are made there too: they go when the last process in it goes.
PRIVATE_FOLDERS="/run/containerd /var/lib/cni /var/lib/kubelet /var/log/containers /opt/containerd"
# What a kubelet sets for the whole machine; down.sh sets it back.
SYSCTLS="vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes"

make_mounts() {
  local folder binds="" name
  for folder in $PRIVATE_FOLDERS; do
    if [ ! -d "$folder" ]; then
      echo "$folder" >>"$RUN/folders.mine"
      mkdir -p "$folder"
    fi
    mkdir -p "$STATE/private$folder"
    binds="$binds mount --bind '$STATE/private$folder' '$folder' &&"
  done
  # Once: after a power loss they are what the kubelet set.
  [ -e "$RUN/sysctls.before" ] || for name in $SYSCTLS; do
    echo "$name $(cat "/proc/sys/$name")" >>"$RUN/sysctls.before"
  done
  # rshared among themselves, for pods that ask for mount propagation; private towards the machine.
  start mounts net unshare --mount --propagation private sh -c \
    "mount --make-rshared / && $binds touch '$RUN/mounts.ready' && exec '$TOOLS/pause' '$RUN/mounts'"
  wait_for 10 mounts "mounts of the node" test -e "$RUN/mounts.ready"
}

# A machine that may not lower its oom_score_adj can't give one to a container either, and runc fails on it.
restricted_oom() {
  if (echo -1 >/proc/self/oom_score_adj) 2>/dev/null; then echo false; else echo true; fi
}

start_containerd() {
  mkdir -p "$RUN/cni"
  cat >"$RUN/cni/10-pods.conflist" <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$NODE_POD_CIDR"}]],
            "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$STATE/ipam"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
  cat >"$RUN/containerd.toml" <<END
version = 3
root = "$STATE/containerd"
state = "$RUN/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$RUN/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "curfew.test/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = $(restricted_oom)
  # Not in /run/netns, where other people's are.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$RUN/cni"
END
  # The shim is looked up in PATH, where an older one may lie.
  start containerd node env PATH="$CTRD_BIN:$PATH" "$CTRD_BIN/containerd" --config "$RUN/containerd.toml"
}

import_image() {
  "$CTRD_BIN/ctr" --address "$RUN/containerd.sock" --namespace k8s.io images import "$1"
}

# image OUT NAME:TAG ENTRYPOINT FILE:PATH…: an image of single static files, for this machine.
image() {
  local out=$1 name=$2 entrypoint=$3 platform=linux/amd64 files=() file
  shift 3
  [ "$(uname -m)" != aarch64 ] || platform=linux/arm64
  for file; do files+=("$platform=$file"); done
  python3 "$HERE/../../manifests/images/oci.py" "$out" "$name" "$entrypoint" "${files[@]}"
}

await_containerd() {
  local log=$RUN/log/pause-image.log
  wait_for 30 containerd "containerd answering" "$CTRD_BIN/ctr" --address "$RUN/containerd.sock" version
  { image "$RUN/pause.tar" curfew.test/pause:1 /pause "$TOOLS/pause:/pause" && import_image "$RUN/pause.tar"; } \
    >"$log" 2>&1 || die "the pause image can't be loaded into containerd" "$log"
}

start_kubelet() {
  echo "nameserver $DNS_IP" >"$RUN/resolv.conf"
  cat >"$RUN/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# The API server shows no client certificate; nothing else reaches the node's network.
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$RUN/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
maxPods: 110
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $RUN/resolv.conf
podLogsDir: $STATE/pod-logs
volumePluginDir: $STATE/volume-plugins
# A nearly full disk or little memory is the machine's business: evictions would only make tests fail elsewhere.
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: 50Mi}
END
  start kubelet node env PATH="$CTRD_BIN:$PATH" "$KUBE_BIN/kubelet" --config "$RUN/kubelet.yaml" \
    --kubeconfig "$RUN/pki/kubelet.kubeconfig" --hostname-override "$CLUSTER" --node-ip "$NODE_IP"
}

start_proxy() {
  # Everything to a Service is masqueraded: without br_netfilter the answer of a pod on the same bridge would go
  # straight back and never be translated. conntrack's limits belong to the whole machine and are left alone.
  start kube-proxy node "$KUBE_BIN/kube-proxy" --kubeconfig "$RUN/pki/proxy.kubeconfig" \
    --hostname-override "$CLUSTER" --proxy-mode iptables --cluster-cidr "$POD_CIDR" --masquerade-all \
    --conntrack-max-per-core 0
}

node_is_ready() {
  [ "$(kubectl get node "$CLUSTER" \
    -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}{.spec.taints}')" = True ]
}

await_node() {
  wait_for 60 kubelet "Node that is Ready and without taints" node_is_ready
  wait_for 30 kube-controller-manager "ServiceAccount default" kubectl -n default get serviceaccount default
  wait_for 30 kube-proxy "API server behind its ClusterIP" on_node bash -c "</dev/tcp/$SERVICE_IP/443"
}
