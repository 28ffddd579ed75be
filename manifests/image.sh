#!/bin/sh
# What the image holds, and the image without a builder of images:
#
#   image.sh root UNDERLAY PLUGIN FOLDER             its files, in an empty FOLDER
#   image.sh archive UNDERLAY PLUGIN FILE [NAME]     FILE for `docker load`, `ctr images import`, `kind load image-archive`
#                                                    and `k3d image import`; NAME is docker.io/library/underlay:lab
#
# Two programs, `ip` and `ping` to look around, and the libraries that these are linked with: no shell and no packages.
# The same files give the same archive.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

root() { # UNDERLAY PLUGIN FOLDER
  mkdir -p "$3/tmp" "$3/usr/local/bin" "$3/opt/cni/bin" "$3/usr/bin"
  install -s "$1" "$3/usr/local/bin/underlay"
  install -s "$2" "$3/opt/cni/bin/underlay-cni"
  for tool in ip ping; do install "$(command -v $tool)" "$3/usr/bin/$tool"; done
  for program in "$3"/usr/local/bin/* "$3"/usr/bin/*; do
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
      [ -e "$3$library" ] || install -D "$library" "$3$library"
    done
  done
}
pack() { # FOLDER FILE: the same octets whoever packs it, and whenever
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$1" -cf "$2" .
}
machine() { # as images name it
  case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac
}

what=$1; shift
case $what in
  root) root "$@" ;;
  archive)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/root" "$work/image"
    root "$1" "$2" "$work/root"
    pack "$work/root" "$work/image/layer.tar"
    cat > "$work/image/config.json" <<JSON
{"architecture": "$(machine)", "os": "linux",
 "config": {"Env": ["PATH=/usr/local/bin:/usr/bin"], "Entrypoint": ["underlay"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$(sha256sum "$work/image/layer.tar" | cut -d' ' -f1)"]}}
JSON
    cat > "$work/image/manifest.json" <<JSON
[{"Config": "config.json", "RepoTags": ["${4:-docker.io/library/underlay:lab}"], "Layers": ["layer.tar"]}]
JSON
    pack "$work/image" "$3"
    ;;
  *) echo "image.sh: root or archive, not $what" >&2; exit 2 ;;
esac
