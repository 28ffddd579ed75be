//! The doctor: its rules over facts, and each finding made for real on the kernel's own objects.

mod files;
mod kernel;
mod rules;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use labs::{Netns, Sandbox};
use serde_json::Value;

/// A host: a namespace, and a folder in the place of `/`.
struct Host {
    netns: Netns,
    root: PathBuf,
}

/// What `underlay check` found there.
struct Checked {
    exit: i32,
    findings: Vec<Value>,
}

impl Host {
    fn new(sandbox: &Sandbox) -> Self {
        let root = sandbox.folder().join("root");
        std::fs::create_dir_all(&root).unwrap();
        Self { netns: sandbox.netns("host"), root }
    }

    /// A host that is well: it forwards, has an uplink, the plugin and our network configuration.
    fn well(sandbox: &Sandbox) -> Self {
        let host = Self::new(sandbox);
        let tor = sandbox.netns("tor");
        sandbox.link(&host.netns, "eth0", &tor, "eth0");
        host.netns.forward();
        host.netns.ip("addr add 192.0.2.1/24 dev eth0");
        host.netns.ip("addr add 2001:db8::1/64 dev eth0 nodad");
        host.netns.ip("route add default via 192.0.2.2");
        host.netns.ip("-6 route add default via 2001:db8::2");
        host.put("opt/cni/bin/underlay-cni", "\x7fELF and so on", 0o755);
        host.put("etc/cni/net.d/10-underlay.conflist", OURS, 0o644);
        host
    }

    fn put(&self, file: &str, content: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = self.netns.exec(env!("CARGO_BIN_EXE_underlay"), ["check", "--root"]);
        command
            .arg(&self.root)
            .args(more)
            .env_remove("UNDERLAY_CHECKPOINT")
            .env_remove("UNDERLAY_CNI_CONF_DIR");
        command
    }

    #[track_caller]
    fn check(&self) -> Checked {
        self.check_with(&PODS)
    }

    #[track_caller]
    fn check_with(&self, more: &[&str]) -> Checked {
        let output = self.command(more).args(["-o", "json"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let value: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        let findings = value.as_array().unwrap().clone();
        Checked { exit: output.status.code().unwrap(), findings }
    }

    #[track_caller]
    fn run(&self, program: &str, words: &str) {
        let output = self.netns.exec(program, words.split(' ').map(OsStr::new)).output().unwrap();
        assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

const PODS: [&str; 4] = ["--pod-prefix", "10.244.0.0/16", "--pod-prefix", "fd00:10:244::/48"];

const OURS: &str = r#"{"cniVersion": "1.0.0", "name": "underlay", "plugins": [
    {"type": "underlay-cni", "subnets": ["10.244.1.0/24", "fd00:10:244:1::/64"]}]}"#;

impl Checked {
    /// State, subject and remedy of what is said of a check.
    fn of(&self, check: &str) -> Vec<(&str, &str, &str)> {
        let said = self.findings.iter().filter(|finding| finding["check"] == check);
        said.map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap();
            (text("state"), text("subject"), text("remedy"))
        })
        .collect()
    }

    /// A check has nothing to say against the host.
    #[track_caller]
    fn well(&self, check: &str) {
        let said = self.of(check);
        assert!(!said.is_empty() && said.iter().all(|(state, ..)| *state == "ok"), "{check}: {said:?}");
    }

    /// A check has this to say: state, subject, and the remedy's words.
    #[track_caller]
    fn ill(&self, check: &str, state: &str, subject: &str, remedy: &str) {
        let said = self.of(check);
        let found = said.iter().any(|said| said.0 == state && said.1 == subject && said.2.contains(remedy));
        assert!(found, "{check} {state} {subject} {remedy}: {said:?}");
        assert!(state != "bad" || self.exit == 3, "exit {}", self.exit);
    }
}

/// The path of a program of this machine.
fn program(name: &str) -> PathBuf {
    labs::need::find(name).unwrap_or_else(|| Path::new(name).to_owned())
}
