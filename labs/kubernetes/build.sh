#!/bin/bash
# Into FOLDER/bin: the programs of Kubernetes 1.20.2 from Debian 12's source package, kubectl 1.32 of Debian 13, and an
# image for pods with Debian's busybox.
#
#   build.sh FOLDER                  all of it
#   build.sh FOLDER extensions       and the server of custom resources of a Kubernetes of today, which enforces rules in
#                                    CEL: from Debian's unstable suite, whatever its version is today, with its Go
#
# Needs apt, Debian's Go 1.19 and some 2 GB that are freed at the end; takes 7 minutes of two cores. apt checks the
# signatures. What is there already is not built again; a program is there as a whole or not at all.
#
# Two changes to the source:
#  - reflect2 1.0.1, which corrupts memory when built by Go 1.18 or later, gives way to Debian's 1.0.2.
#  - The controller that gives nodes their PodCIDRs looks for the API server every second, not every ten.
set -euo pipefail
folder=$(realpath -m "$1") more=${2:-}
bin=$folder/bin work=$folder/work
mkdir -p "$bin" "$work"
exec 9> "$folder/lock"
flock 9

missing() { local program; for program; do [ -x "$bin/$program" ] || echo "$program"; done; }
programs=$(missing kube-apiserver kube-controller-manager kube-scheduler kubelet)

# apt with lists of its own: neither deb-src nor a second suite has to be enabled on the machine, and nothing changes there.
key=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Label: Debian' | sort -u | head -n 1)
[ -n "$mirror" ] || { echo "build.sh: apt on this machine knows no archive of Debian 12 (bookworm)" >&2; exit 1; }
fetch() { # SUITE COMMAND...: into the folder $work
  local suite=$1 lists=$work/apt-$1
  shift
  mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
  printf '%s [signed-by='$key'] '"$mirror $suite"' main\n' deb deb-src > "$lists/sources.list"
  local options=(-qq -o "Dir::Etc::SourceList=$lists/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::status=/dev/null
    -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache" -o "APT::Sandbox::User=$(id -un)")
  [ -e "$lists/updated" ] || { apt-get "${options[@]}" update && touch "$lists/updated"; }
  (cd "$work" && apt-get "${options[@]}" "$@")
}

if [ -n "$(missing kubectl)" ]; then
  fetch trixie download 'kubectl=1.32.*'
  dpkg -x "$work"/kubectl_*.deb "$work/kubectl"
  mv "$work/kubectl/usr/bin/kubectl" "$bin/"
fi

# One image for pods and for their sandboxes, from no registry: it sleeps unless it is told otherwise.
if [ ! -e "$bin/image.tar" ]; then
  fetch bookworm download busybox-static
  dpkg -x "$work"/busybox-static_*.deb "$work/busybox"
  root=$work/root
  mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,root}
  mv "$work/busybox/bin/busybox" "$root/bin/"
  for applet in $("$root/bin/busybox" --list | grep -vx busybox); do ln -s busybox "$root/bin/$applet"; done
  tar -C "$root" --owner=0 --group=0 -cf "$work/layer.tar" .
  digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  cat > "$work/config.json" <<JSON
{"architecture": "$(dpkg --print-architecture)", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "infinity"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
JSON
  echo '[{"Config": "config.json", "RepoTags": ["docker.io/library/lab:1"], "Layers": ["layer.tar"]}]' > "$work/manifest.json"
  tar -C "$work" -cf "$work/image.tar" manifest.json config.json layer.tar
  mv "$work/image.tar" "$bin/"
fi

if [ -n "$programs" ]; then
  tree=$work/go/src/k8s.io/kubernetes
  if [ ! -e "$tree/.ready" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    fetch bookworm --download-only source kubernetes
    fetch bookworm download golang-github-modern-go-reflect2-dev
    tar -C "$tree" --strip-components=1 -xzf "$work"/kubernetes_*.orig.tar.gz
    dpkg -x "$work"/golang-github-modern-go-reflect2-dev_*.deb "$work/reflect2"
    rm -r "$tree/vendor/github.com/modern-go/reflect2"
    mv "$work/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2" "$tree/vendor/github.com/modern-go/"
    sed -i 's/wait.Poll(10\*time.Second, apiserverStartupGracePeriod/wait.Poll(time.Second, apiserverStartupGracePeriod/' \
      "$tree/pkg/controller/nodeipam/ipam/cidr_allocator.go"
    touch "$tree/.ready"
  fi
  cd "$tree"
  go=/usr/lib/go-1.19/bin/go
  export GO111MODULE=off GOPATH="$work/go" GOCACHE="$work/cache" CGO_ENABLED=0 GOFLAGS=-trimpath
  # The one generated file that the source package lacks.
  if [ ! -s pkg/generated/openapi/zz_generated.openapi.go ]; then
    $go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    inputs=$(grep -rl --include='*.go' '^// +k8s:openapi-gen=true' staging/src/k8s.io pkg |
      grep -vE '_test\.go|/testdata/|/sample-|/code-generator/|/_examples/|/config/v1|/metrics/|/abac/|/audit/' | xargs -n1 dirname | sort -u |
      sed -e 's#^staging/src/k8s.io/#k8s.io/kubernetes/vendor/k8s.io/#' -e 's#^pkg/#k8s.io/kubernetes/pkg/#' | paste -sd,)
    "$work/openapi-gen" -i "$inputs" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
      -h hack/boilerplate/boilerplate.generatego.txt -r "$work/violations" > "$work/openapi-gen.log" 2>&1
  fi
  flags='-s -w'
  for package in component-base/version client-go/pkg/version; do
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitVersion=v1.20.2"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitMajor=1 -X k8s.io/kubernetes/vendor/k8s.io/$package.gitMinor=20"
  done
  for program in $programs; do
    $go build -tags providerless,dockerless -ldflags "$flags" -o "$work/$program" "./cmd/$program"
    mv "$work/$program" "$bin/"
  done
fi

if [ "$more" = extensions ] && [ -n "$(missing apiextensions-apiserver)" ]; then
  # Sources alone are wanted, and a Go: nothing of it is installed.
  fetch sid install --yes --download-only --no-install-recommends golang-k8s-apiextensions-apiserver-dev golang-go
  root=$work/sid
  for package in "$work"/apt-sid/cache/archives/golang*.deb; do dpkg -x "$package" "$root"; done
  go=$(ls -d "$root"/usr/lib/go-*/bin/go | sort -V | tail -n 1)
  env GO111MODULE=off GOPATH="$root/usr/share/gocode" GOROOT="${go%/bin/go}" GOCACHE="$work/cache-sid" CGO_ENABLED=0 GOTOOLCHAIN=local \
    "$go" build -trimpath -ldflags '-s -w' -o "$work/apiextensions-apiserver" k8s.io/apiextensions-apiserver
  dpkg-deb -f "$work"/apt-sid/cache/archives/golang-k8s-apiextensions-apiserver-dev_*.deb Version > "$bin/apiextensions-apiserver.version"
  mv "$work/apiextensions-apiserver" "$bin/"
fi
cd /
chmod -R u+w "$work"
rm -rf "$work"
