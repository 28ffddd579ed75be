#!/bin/bash
# What the images of the lab do when they start, and what they leave:
#
#   lab.sh control-plane            etcd, API server, controllers, scheduler, and the objects in /etc/kubernetes/manifests
#   lab.sh node [PROGRAM ARG...]    containerd, kubelet and the agent, or the agent's image where no program is named
#   lab.sh all-in-one [PROGRAM ...] both in one machine
#   lab.sh no-agent                 on a node: the agent ends, for good, and its image is there for who starts it instead
#   lab.sh agent-pod                on a node: the agent becomes a static pod by manifests/overlays/static-pod, for good
#   lab.sh sweep [NODE]             removes control groups of nodes that are gone, and waits for that of the network
#                                   namespace NODE, an inode's number
#
# BIN holds the programs of Kubernetes, ADDRESS is the API server's, INTERFACE the port with the node's addresses (eth1),
# LABELS are labels of the Node. /run/lab is a folder that all machines of the lab share; /var/lib, /var/log,
# /etc/cni/net.d, /etc/kubernetes/manifests, /etc/underlay and /opt/cni/bin are a machine's own and stay when it loses its
# power.
#
# A service that ends is started again, but for the time that /run/services/NAME.off is there.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
export FOLDER=/run/lab PATH=$PATH:/usr/sbin:/sbin

serve() { # NAME PROGRAM ARG...
  local name=$1
  shift
  mkdir -p /run/services
  while :; do
    until [ ! -e "/run/services/$name.off" ]; do sleep 0.1; done
    "$@" >> "/var/log/$name.log" 2>&1 &
    echo $! > "/run/services/$name.pid"
    wait $! || :
    sleep 0.2
  done &
}
await() { # PROGRAM ARG... to succeed; says now and then why it does not
  local said tries=0
  until said=$("$@" 2>&1); do
    tries=$((tries + 1))
    [ $((tries % 50)) -ne 0 ] || echo "still waiting for $*: $said"
    sleep 0.1
  done
}
hierarchies() { # CONTROLLERS PATH of each cgroup v1 hierarchy, and where this process is in it
  awk -F: '$2 != "" {print $2, $3}' /proc/self/cgroup
}
mount_hierarchy() { # CONTROLLERS: at /sys/fs/cgroup/CONTROLLERS
  local folder=/sys/fs/cgroup/${1#name=}
  mkdir -p "$folder"
  mount -t cgroup -o "${1/#name=/none,name=}" cgroup "$folder"
  echo "$folder"
}
# A control group that no process is in is that of a node that is gone: a node enters its own as soon as it is made.
remove_left() { # FOLDER of a hierarchy
  local group
  for group in "$1"/underlay-lab-*; do
    [ -d "$group" ] || continue
    [ -n "$(find "$group" -name cgroup.procs -exec cat {} + 2> /dev/null)" ] || find "$group" -depth -type d -exec rmdir {} + 2> /dev/null || :
  done
}

# A node sees of all control groups only its own, as if it were the machine.
enter_control_group() {
  local controllers path top group=underlay-lab-$HOSTNAME-$(stat -L -c %i /proc/self/ns/net)
  mount -t tmpfs -o mode=755,size=1m tmpfs /sys/fs/cgroup
  while read -r controllers path; do
    top=$(mount_hierarchy "$controllers")
    remove_left "$top$path"
    mkdir -p "$top$path/$group"
    case ,$controllers, in *,cpuset,*)
      for file in cpuset.cpus cpuset.mems; do cat "$top$path/$file" > "$top$path/$group/$file"; done ;;
    esac
    echo $$ > "$top$path/$group/cgroup.procs"
    umount "$top"
  done < <(hierarchies)
}
make_node() {
  local controllers folder
  while read -r controllers _; do
    folder=$(mount_hierarchy "$controllers")
    case $controllers in *,*) for one in ${controllers//,/ }; do ln -sfn "$folder" "/sys/fs/cgroup/$one"; done ;; esac
  done < <(hierarchies)
  echo 'nameserver 127.0.0.1' > /run/resolv.conf
  # Of each start of the node, and of no other node: kubelet would set the last of these for the whole machine.
  local file value
  while read -r file value; do
    mkdir -p "/run/kernel/${file%/*}"
    echo "$value" > "/run/kernel/$file"
    mount --bind "/run/kernel/$file" "/proc/sys/$file"
  done <<FILES
kernel/random/boot_id $(cat /proc/sys/kernel/random/uuid)
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
FILES
  mount --make-rshared /
}
containerd_config() {
  cat <<CONFIG
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/lab:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
CONFIG
}
kubelet_config() {
  cat <<CONFIG
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $FOLDER/keys/ca.crt}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: /run/resolv.conf
staticPodPath: /etc/kubernetes/manifests
nodeStatusUpdateFrequency: 4s
syncFrequency: 10s
evictionHard: {memory.available: 50Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
featureGates: {IPv6DualStack: true, LocalStorageCapacityIsolation: false}
CONFIG
}

agent_image() { # of the programs that the lab runs
  "$here/../../manifests/image.sh" archive "$(command -v underlay)" "$(command -v underlay-cni)" /var/lib/image.tar
  ctr -n k8s.io images import /var/lib/image.tar
  rm /var/lib/image.tar
}

machine=$1; shift
case $machine in
  sweep)
    mount -t tmpfs tmpfs /sys/fs/cgroup
    while read -r controllers path; do
      top=$(mount_hierarchy "$controllers")$path
      for _ in $(seq 100); do
        remove_left "$top"
        [ -n "${1:-}" ] && [ -n "$(find "$top" -maxdepth 1 -name "underlay-lab-*-$1")" ] || continue 2
        sleep 0.1
      done
      echo "processes of a node do not end: $(cat "$top"/underlay-lab-*-"$1"/cgroup.procs | paste -sd' ')" >&2
      exit 1
    done < <(hierarchies)
    exit
    ;;
  agent-pod)
    "$0" no-agent
    cp /var/lib/agent.kubeconfig /etc/underlay/kubeconfig
    cp "$here/../../manifests/overlays/static-pod/underlay-agent.yaml" /etc/kubernetes/manifests/
    exit
    ;;
  no-agent)
    agent_image
    touch /var/lib/agent-is-a-pod /run/services/agent.off
    kill "$(cat /run/services/agent.pid)"
    exit
    ;;
  control-plane)
    [ -e "$FOLDER/ready" ] || "$here/control-plane.sh" keys
    serve etcd "$here/control-plane.sh" etcd
    serve kube-apiserver "$here/control-plane.sh" kube-apiserver
    export KUBECONFIG=$FOLDER/admin.kubeconfig KUBECACHEDIR=/run/kubectl
    await "$BIN/kubectl" get --raw=/readyz
    serve kube-controller-manager "$here/control-plane.sh" kube-controller-manager
    serve kube-scheduler "$here/control-plane.sh" kube-scheduler
    # What an administrator does: definitions, the agents' rights, the configuration. A node that is known before its
    # kubelet comes keeps its labels and the prefixes of its pods.
    manifests=$here/../../manifests
    underlay crd --without-cel > /run/crd.yaml
    await "$BIN/kubectl" apply -f /run/crd.yaml -f "$manifests/base/namespace.yaml"
    await "$BIN/kubectl" apply -k "$manifests/rbac"
    [ -z "$(ls /etc/kubernetes/manifests)" ] || await "$BIN/kubectl" apply -f /etc/kubernetes/manifests
    "$here/control-plane.sh" token-config "$("$BIN/kubectl" -n underlay-system create token underlay-agent --duration=24h)" \
      > "$FOLDER/agent.kubeconfig"
    touch "$FOLDER/ready"
    ;;
  all-in-one)
    "$0" control-plane &
    exec "$0" node "$@"
    ;;
  node)
    # Once more in a view of its own.
    [ -n "${UNDERLAY_LAB_NODE:-}" ] || { enter_control_group; UNDERLAY_LAB_NODE=1 exec unshare --cgroup "$0" node "$@"; }
    make_node
    containerd_config > /run/containerd.toml
    kubelet_config > /run/kubelet.yaml
    cp /usr/lib/cni/loopback /opt/cni/bin/
    cp "$(command -v underlay-cni)" /opt/cni/bin/underlay-cni
    serve containerd containerd --config /run/containerd.toml
    await ctr version
    if [ -z "$(ctr -n k8s.io images list -q)" ]; then
      await ctr -n k8s.io images import "$BIN/image.tar"
      [ $# -gt 0 ] || agent_image
    fi
    if [ ! -e /var/lib/kubelet.kubeconfig ]; then
      await test -e "$FOLDER/ready"
      "$here/control-plane.sh" node-keys "$HOSTNAME"
      cp "$FOLDER/agent.kubeconfig" /var/lib/
      mv "$FOLDER/$HOSTNAME.kubeconfig" /var/lib/kubelet.kubeconfig
    fi
    if [ $# -gt 0 ] && [ ! -e /var/lib/agent-is-a-pod ]; then serve agent env "UNDERLAY_NODE=$HOSTNAME" "$@"; fi
    addresses=$(ip -o address show dev "${INTERFACE:-eth1}" scope global | awk '{sub("/.*", "", $4); print $4}' | paste -sd,)
    serve kubelet "$BIN/kubelet" --config=/run/kubelet.yaml --kubeconfig=/var/lib/kubelet.kubeconfig --hostname-override="$HOSTNAME" --node-labels="${LABELS:-}" \
      --node-ip="$addresses" --container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock \
      --runtime-cgroups=/ --kubelet-cgroups=/ --v=1
    ;;
  *) echo "lab.sh: $machine is none of its machines" >&2; exit 2 ;;
esac
wait
