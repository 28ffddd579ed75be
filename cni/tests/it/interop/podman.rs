//! Podman with its CNI backend.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use labs::{Netns, Sandbox, wait};
use serde_json::Value;

use crate::container::{IMAGE, image, list, mount_control_groups};
use crate::node::{NETWORK, Node, PLUGIN, ping};
use crate::traffic::http;

/// What a container does that serves.
const SERVER: &str = "echo hello > /index.html; exec httpd -f -p 80 -h /";

/// Podman on a node. It is no daemon: each command is a process.
struct Podman {
    node: Netns,
    folder: PathBuf,
}

impl Podman {
    #[track_caller]
    fn new(sandbox: &Sandbox, node: &Node) -> Self {
        let folder = sandbox.folder().join("podman");
        for made in ["plugins", "networks"] {
            fs::create_dir_all(folder.join(made)).expect("a folder");
        }
        fs::copy(PLUGIN, folder.join("plugins/underlay-cni")).expect("a copy");
        fs::write(folder.join("networks/10-underlay.conflist"), list(node).to_string()).expect("written");
        for (file, text) in configuration(&folder) {
            fs::write(folder.join(file), text).expect("written");
        }
        mount_control_groups();
        let podman = Self { node: node.netns.clone(), folder };
        let tar = image(sandbox.folder());
        let policy = podman.folder.join("policy.json");
        let words = ["load", "--signature-policy", path(&policy), "--input", path(&tar)];
        podman.run(&words);
        podman
    }

    fn output(&self, words: &[&str]) -> Output {
        let mut command: Command = self.node.exec("podman", words);
        let file = |name: &str| self.folder.join(name);
        command.env("CONTAINERS_CONF", file("containers.conf")).env("HOME", &self.folder);
        command.env("CONTAINERS_STORAGE_CONF", file("storage.conf"));
        command.output().expect("podman runs")
    }

    /// What it prints to a command that has to succeed.
    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts a container with these words of its own.
    fn start(&self, name: &str, words: &[&str]) -> Output {
        let network = ["run", "--detach", "--name", name, "--network", NETWORK];
        self.output(&[&network[..], words, &[IMAGE, "/bin/sh", "-c", SERVER]].concat())
    }

    /// Both addresses and the MAC address of a container.
    #[track_caller]
    fn attachment(&self, name: &str) -> [String; 3] {
        let json: Value = serde_json::from_str(&self.run(&["inspect", name])).expect("JSON");
        let seen = &json[0]["NetworkSettings"]["Networks"][NETWORK];
        ["IPAddress", "GlobalIPv6Address", "MacAddress"]
            .map(|key| seen[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned())
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn configuration(folder: &Path) -> [(&'static str, String); 3] {
    let folder = folder.display();
    let containers = format!(
        r#"
[containers]
apparmor_profile = ""
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "{folder}/tmp"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{folder}/plugins"]
network_config_dir = "{folder}/networks"
default_network = "{NETWORK}"
"#
    );
    let storage = format!(
        "[storage]\ndriver = \"overlay\"\nrunroot = \"{folder}/run\"\ngraphroot = \"{folder}/root\"\n"
    );
    let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#.to_owned();
    [("containers.conf", containers), ("storage.conf", storage), ("policy.json", policy)]
}

#[test]
fn containers_with_ports_and_addresses_of_their_own() {
    labs::require!("root", "podman", "runc", "busybox-static", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let podman = Podman::new(sandbox, &node);
        let asked = ["--publish", "8080:80", "--ip", "10.244.1.77", "--mac-address", "02:00:00:00:00:77"];
        let output = podman.start("web", &asked);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let [v4, v6, mac] = podman.attachment("web");
        assert_eq!([v4.as_str(), mac.as_str()], ["10.244.1.77", "02:00:00:00:00:77"]);
        [&v4, &v6].into_iter().for_each(|address| ping(&node.router, address));
        wait::until("the server to listen", Duration::from_secs(20), || http(&node.router, &v4, 80));
        for address in ["192.0.2.1", "2001:db8::1"] {
            assert_eq!(http(&node.router, address, 8080).expect("an answer"), "hello", "{address}");
        }

        // The address is in use, then the port; the second container leaves nothing of either.
        for (words, what) in [
            (["--ip", "10.244.1.77"], "the requested address 10.244.1.77"),
            (["--publish", "8080:81"], "host tcp port 8080"),
        ] {
            let refused = podman.start("second", &words);
            let (said, why) = (String::from_utf8_lossy(&refused.stderr), format!("{what} is in use by {id}"));
            assert!(!refused.status.success() && said.contains(&why), "{said}");
            podman.run(&["rm", "--force", "second"]);
            assert_eq!(node.links().len(), 1);
        }

        podman.run(&["rm", "--force", "--time", "0", "web"]);
        node.is_empty();
    });
}
