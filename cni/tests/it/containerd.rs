//! containerd and runc on a node; everything of theirs lies in the sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use labs::daemon::Daemon;
use labs::{Netns, Sandbox, need, wait};
use serde_json::Value;

use crate::container::{IMAGE, image, mount_control_groups, run};
use crate::cri::Cri;
use crate::node::{PLUGIN, REFERENCE};

/// A busy machine takes its time to start a program of fifty megabytes.
const LIMIT: Duration = Duration::from_secs(60);

/// A running containerd.
pub(crate) struct Containerd {
    folder: PathBuf,
    daemon: Daemon,
    cri: Cri,
}

impl Containerd {
    /// Starts it on `node` with this network configuration list and waits until it can make pods.
    #[track_caller]
    pub(crate) fn start(sandbox: &Sandbox, node: &Netns, list: &Value) -> Self {
        let folder = sandbox.folder().join("containerd");
        let (plugins, networks) = (folder.join("plugins"), folder.join("networks"));
        for made in [&plugins, &networks] {
            fs::create_dir_all(made).expect("a folder");
        }
        fs::copy(PLUGIN, plugins.join("underlay-cni")).expect("a copy");
        fs::copy(format!("{REFERENCE}/loopback"), plugins.join("loopback")).expect("a copy");
        fs::write(networks.join("10-underlay.conflist"), list.to_string()).expect("written");
        fs::write(folder.join("config.toml"), config(&folder)).expect("written");
        mount_control_groups();
        let (daemon, cri) = (spawn(sandbox, node, &folder), Cri::new(&folder.join("socket")));
        let mut containerd = Self { folder, daemon, cri };
        containerd.settle();
        let tar = image(sandbox.folder());
        let socket = containerd.folder.join("socket");
        run(Command::new("ctr").arg("-a").arg(socket).args(["-n", "k8s.io", "images", "import"]).arg(tar));
        containerd
    }

    #[track_caller]
    fn settle(&mut self) {
        self.daemon.wait_ready_within(LIMIT, || self.cri.network_ready());
    }

    /// What a kubelet says to it.
    pub(crate) fn cri(&self) -> &Cri {
        &self.cri
    }

    /// Ends it at once; its pods go on.
    pub(crate) fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts it again.
    #[track_caller]
    pub(crate) fn again(&mut self, sandbox: &Sandbox, node: &Netns) {
        self.daemon = spawn(sandbox, node, &self.folder);
        self.settle();
    }

    /// Waits until no process of a pod is left, so that nobody holds a namespace.
    #[track_caller]
    pub(crate) fn until_idle(&self) {
        Self::until_ended("containerd-shim");
    }

    /// Waits until nobody runs the plugin, not even for a runtime that has died.
    #[track_caller]
    pub(crate) fn until_called(&self) {
        Self::until_ended("plugins/underlay-cni");
    }

    #[track_caller]
    fn until_ended(program: &str) {
        let running = || {
            let processes = fs::read_dir("/proc").expect("/proc is read").flatten();
            let lines = processes.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
            lines.filter(|line| line.contains(program)).count()
        };
        wait::until(&format!("{program} to end"), LIMIT, || match running() {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        });
    }
}

fn spawn(sandbox: &Sandbox, node: &Netns, folder: &Path) -> Daemon {
    let program = need::find("containerd").expect("containerd is there");
    let mut command = node.exec(program, [] as [&str; 0]);
    command.arg("--config").arg(folder.join("config.toml"));
    sandbox.daemon("containerd", command)
}

fn config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"
version = 2
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
                    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{folder}/socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  disable_apparmor = true
  disable_cgroup = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/plugins"
    conf_dir = "{folder}/networks"
"#
    )
}
