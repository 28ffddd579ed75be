//! What every container runtime needs: control groups and an image, which is a static busybox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use api::netconf::{Network, NetworkList};
use labs::need;
use serde_json::Value;

use crate::node::{NETWORK, Node};

/// The image of pods and containers.
pub(crate) const IMAGE: &str = "docker.io/library/test:1";

/// An image in the shape of `docker save`: busybox, its applets as links, and a program that waits.
const SAVE: &str = r#"
set -e
mkdir -p root/bin
cp "$0" root/bin/busybox
for applet in $(./root/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"; done
tar -C root -cf layer.tar .
layer=$(sha256sum layer.tar | cut -d' ' -f1)
cat > config.json <<JSON
{"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sleep", "1000000"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}}
JSON
echo '[{"Config": "config.json", "RepoTags": ["docker.io/library/test:1"], "Layers": ["layer.tar"]}]' > manifest.json
tar -cf image.tar manifest.json config.json layer.tar
"#;

/// The list that an agent writes for this network.
pub(crate) fn list(node: &Node) -> Value {
    let subnets = node.conf["subnets"].as_array().expect("a list").iter();
    let subnets = subnets.map(|subnet| subnet.as_str().expect("text").parse().expect("a prefix")).collect();
    serde_json::to_value(NetworkList::new(NETWORK, Network::new(subnets))).expect("JSON")
}

/// The image as a file in `folder`.
#[track_caller]
pub(crate) fn image(folder: &Path) -> PathBuf {
    let busybox = need::find("busybox").expect("busybox is there");
    run(Command::new("sh").arg("-c").arg(SAVE).arg(busybox).current_dir(folder));
    folder.join("image.tar")
}

/// What a command prints that has to succeed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Control groups as this machine has them, where a runtime looks for them.
pub(crate) fn mount_control_groups() {
    let own = fs::read_to_string("/proc/self/cgroup").expect("the kernel tells");
    let hierarchies =
        || own.lines().filter_map(|line| line.split(':').nth(1)).filter(|list| !list.is_empty());
    let top = Path::new("/sys/fs/cgroup");
    if hierarchies().next().is_none() {
        run(Command::new("mount").args(["-t", "cgroup2", "cgroup2"]).arg(top));
        return;
    }
    run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(top));
    for list in hierarchies() {
        let folder = top.join(list.trim_start_matches("name="));
        fs::create_dir(&folder).expect("a folder");
        let options = if list.starts_with("name=") { format!("none,{list}") } else { list.to_owned() };
        run(Command::new("mount").args(["-t", "cgroup", "-o", &options, "cgroup"]).arg(&folder));
    }
}
