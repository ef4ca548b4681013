# shellcheck shell=bash
# Starts the cluster's daemons, on a network and with credentials that are there.

boot() {
  local begin=$SECONDS
  start_etcd
  make_mounts
  start_containerd
  await_etcd
  start_apiserver
  await_containerd
  await_apiserver
  say "API server ready after $((SECONDS - begin)) s"
  start_controllers
  start_kubelet
  start_proxy
  await_node
  say "Node ready after $((SECONDS - begin)) s: Kubernetes $KUBERNETES_VERSION, cluster '$CLUSTER'"
}
