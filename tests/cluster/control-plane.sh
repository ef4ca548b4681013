# shellcheck shell=bash
# etcd, kube-apiserver, kube-controller-manager and kube-scheduler, with keys and tokens made anew each time.

# name=user,groups: each component is who it is on a real cluster, so that RBAC and admission see the real names.
USERS="
admin=curfew-admin,system:masters
controllers=system:kube-controller-manager,
scheduler=system:kube-scheduler,
kubelet=system:node:$CLUSTER,system:nodes
proxy=system:kube-proxy,
"

make_credentials() {
  local pki=$RUN/pki names user name who log=$RUN/log/openssl.log
  names="DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  names="$names,IP:127.0.0.1,IP:$SERVICE_IP,IP:$NODE_IP"
  mkdir -p "$pki"
  {
    for name in sa ca apiserver; do openssl ecparam -name prime256v1 -genkey -noout -out "$pki/$name.key"; done
    openssl ec -in "$pki/sa.key" -pubout -out "$pki/sa.pub"
    openssl req -x509 -new -key "$pki/ca.key" -subj /CN=curfew-test-ca -days 365 -out "$pki/ca.crt"
    openssl req -new -key "$pki/apiserver.key" -subj /CN=kube-apiserver -out "$pki/apiserver.csr"
    openssl x509 -req -in "$pki/apiserver.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 365 \
      -extfile <(printf 'subjectAltName=%s\n' "$names") -out "$pki/apiserver.crt"
  } >"$log" 2>&1 || die "openssl can't make the certificates" "$log"

  for user in $USERS; do
    name=${user%%=*} who=${user#*=}
    token=$(openssl rand -hex 16)
    printf '%s,%s,%s,"%s"\n' "$token" "${who%,*}" "$name" "${who##*,}" >>"$pki/tokens.csv"
    kubeconfig "$token" >"$pki/$name.kubeconfig"
  done
  ln -s pki/admin.kubeconfig "$RUN/kubeconfig"
}

# The certificate is inside, so that the file can be copied elsewhere.
kubeconfig() {
  cat <<END
apiVersion: v1
kind: Config
clusters:
- name: $CLUSTER
  cluster:
    server: https://$NODE_IP:6443
    certificate-authority-data: $(base64 -w0 "$RUN/pki/ca.crt")
users:
- name: $CLUSTER
  user: {token: $1}
contexts:
- name: $CLUSTER
  context: {cluster: $CLUSTER, user: $CLUSTER}
current-context: $CLUSTER
END
}

start_etcd() {
  # No fsync: the data lives as long as the cluster, and a disk shared with a build makes etcd miss its deadlines.
  start etcd net "$TOOLS/etcd" --name "$CLUSTER" --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster "$CLUSTER=http://127.0.0.1:2380" --log-level warn
}

start_apiserver() {
  start kube-apiserver net "$KUBE_BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
    --advertise-address "$NODE_IP" --bind-address 0.0.0.0 --secure-port 6443 \
    --service-cluster-ip-range "$SERVICE_CIDR" --allow-privileged --authorization-mode Node,RBAC \
    --tls-cert-file "$RUN/pki/apiserver.crt" --tls-private-key-file "$RUN/pki/apiserver.key" \
    --client-ca-file "$RUN/pki/ca.crt" --token-auth-file "$RUN/pki/tokens.csv" \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$RUN/pki/sa.pub" --service-account-signing-key-file "$RUN/pki/sa.key" \
    --kubelet-preferred-address-types InternalIP
}

start_controllers() {
  # Every controller is its own ServiceAccount, as on a real cluster: that is the user admission sees for a Job's pod.
  start kube-controller-manager net "$KUBE_BIN/kube-controller-manager" --kubeconfig "$RUN/pki/controllers.kubeconfig" \
    --service-account-private-key-file "$RUN/pki/sa.key" --root-ca-file "$RUN/pki/ca.crt" \
    --use-service-account-credentials --leader-elect=false \
    --allocate-node-cidrs --cluster-cidr "$POD_CIDR" --node-cidr-mask-size "${NODE_POD_CIDR#*/}"
  start kube-scheduler net "$KUBE_BIN/kube-scheduler" --kubeconfig "$RUN/pki/scheduler.kubeconfig" --leader-elect=false
}

await_etcd() { wait_for 30 etcd "etcd listening" on_node bash -c '</dev/tcp/127.0.0.1/2379'; }
await_apiserver() { wait_for 90 kube-apiserver "ready API server" kubectl get --raw /readyz; }
