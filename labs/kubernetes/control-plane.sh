#!/bin/bash
# The control plane of a Kubernetes 1.20, a program a call:
#
#   control-plane.sh keys                  certificates and kubeconfigs of the control plane
#   control-plane.sh node-keys NODE        the kubeconfig of a node's kubelet
#   control-plane.sh token-config TOKEN    prints the kubeconfig of who has TOKEN
#   control-plane.sh PROGRAM [FLAG...]     etcd, kube-apiserver, kube-controller-manager or kube-scheduler, in the foreground
#   control-plane.sh apiextensions-apiserver
#                                          the server of custom resources of a newer Kubernetes, beside the API server and
#                                          in the same etcd, on port 6444
#
# FOLDER holds all of their files; ADDRESS is where the API server listens, on port 6443; BIN holds the programs; PODS and
# SERVICES are prefixes, where they are not the ones below.
set -euo pipefail
: "${FOLDER:?}" "${ADDRESS:?}" "${BIN:?}"
keys=$FOLDER/keys
services=${SERVICES:-10.96.0.0/16,fd00:10:96::/112}
pods=${PODS:-10.244.0.0/16,fd00:10:244::/48}
gates=--feature-gates=IPv6DualStack=true

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$keys/$1.key"; }
certificate() { # NAME SUBJECT [SUBJECT_ALTERNATIVE_NAMES]
  new_key "$1"
  openssl req -new -key "$keys/$1.key" -subj "$2" |
    openssl x509 -req -CA "$keys/ca.crt" -CAkey "$keys/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 365 -out "$keys/$1.crt" \
      -extfile <(printf 'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}") 2>/dev/null
}
kubeconfig() { # USER, a YAML flow mapping; whatever it names is inside, so that it can be read anywhere
  cat <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://$ADDRESS:6443", certificate-authority-data: $(base64 -w0 "$keys/ca.crt")}}]
users: [{name: user, user: {$1}}]
contexts: [{name: lab, context: {cluster: lab, user: user}}]
current-context: lab
CONFIG
}
user() { # NAME SUBJECT: NAME.kubeconfig
  certificate "$1" "$2"
  kubeconfig "client-certificate-data: $(base64 -w0 "$keys/$1.crt"), client-key-data: $(base64 -w0 "$keys/$1.key")" > "$FOLDER/$1.kubeconfig"
}

program=$1; shift
umask 077
case $program in
  keys)
    mkdir -p "$keys"
    new_key ca
    openssl req -x509 -new -key "$keys/ca.key" -days 365 -subj /CN=lab -addext keyUsage=critical,keyCertSign -out "$keys/ca.crt"
    certificate kube-apiserver /CN=kube-apiserver "IP:$ADDRESS,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc"
    new_key accounts
    openssl ec -in "$keys/accounts.key" -pubout -out "$keys/accounts.pub" 2>/dev/null
    user admin /O=system:masters/CN=admin
    user kube-controller-manager /CN=system:kube-controller-manager
    user kube-scheduler /CN=system:kube-scheduler
    ;;
  node-keys) user "$1" "/O=system:nodes/CN=system:node:$1" ;;
  token-config) kubeconfig "token: \"$1\"" ;;
  etcd)
    # What it holds ends with the lab: nothing has to reach a disk.
    exec etcd --data-dir "$FOLDER/etcd" --unsafe-no-fsync --log-level warn \
      --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
      --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380 "$@"
    ;;
  kube-apiserver)
    exec "$BIN/kube-apiserver" --v=0 --profiling=false $gates --etcd-servers=http://127.0.0.1:2379 \
      --bind-address="$ADDRESS" --advertise-address="$ADDRESS" --secure-port=6443 --endpoint-reconciler-type=none \
      --tls-cert-file="$keys/kube-apiserver.crt" --tls-private-key-file="$keys/kube-apiserver.key" --client-ca-file="$keys/ca.crt" \
      --kubelet-preferred-address-types=InternalIP --kubelet-client-certificate="$keys/admin.crt" --kubelet-client-key="$keys/admin.key" \
      --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$keys/accounts.pub" \
      --service-account-signing-key-file="$keys/accounts.key" --service-cluster-ip-range=$services \
      --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true "$@"
    ;;
  apiextensions-apiserver)
    # Admission by policies and webhooks, and priorities, are kinds that the API server beside it does not have.
    exec "$BIN/$program" --etcd-servers=http://127.0.0.1:2379 --bind-address="$ADDRESS" --secure-port=6444 --profiling=false \
      --tls-cert-file="$keys/kube-apiserver.crt" --tls-private-key-file="$keys/kube-apiserver.key" --client-ca-file="$keys/ca.crt" \
      --kubeconfig="$FOLDER/admin.kubeconfig" --authorization-kubeconfig="$FOLDER/admin.kubeconfig" \
      --authentication-kubeconfig="$FOLDER/admin.kubeconfig" --authentication-skip-lookup --enable-priority-and-fairness=false \
      --disable-admission-plugins=MutatingAdmissionPolicy,ValidatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionWebhook "$@"
    ;;
  kube-controller-manager)
    exec "$BIN/kube-controller-manager" --v=1 $gates --kubeconfig="$FOLDER/$program.kubeconfig" --leader-elect=false --port=0 \
      --bind-address=127.0.0.1 --use-service-account-credentials=true \
      --authentication-kubeconfig="$FOLDER/$program.kubeconfig" --authorization-kubeconfig="$FOLDER/$program.kubeconfig" \
      --service-account-private-key-file="$keys/accounts.key" --root-ca-file="$keys/ca.crt" \
      --cluster-signing-cert-file="$keys/ca.crt" --cluster-signing-key-file="$keys/ca.key" \
      --allocate-node-cidrs=true --configure-cloud-routes=false --cluster-cidr=$pods --service-cluster-ip-range=$services \
      --node-cidr-mask-size-ipv4=24 --node-cidr-mask-size-ipv6=64 \
      --node-monitor-period=2s --node-monitor-grace-period=16s --pod-eviction-timeout=30s "$@"
    ;;
  kube-scheduler)
    exec "$BIN/kube-scheduler" --v=1 $gates --kubeconfig="$FOLDER/$program.kubeconfig" --leader-elect=false --port=0 --bind-address=127.0.0.1 \
      --authentication-kubeconfig="$FOLDER/$program.kubeconfig" --authorization-kubeconfig="$FOLDER/$program.kubeconfig" "$@"
    ;;
  *) echo "control-plane.sh: $program is none of its programs" >&2; exit 2 ;;
esac
