//! The systemd unit of the manifests, started by a systemd of the test's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use labs::bird::Bird;
use labs::wait;

use crate::interop::bird::config;

use super::{Agent, FABRIC, LIMIT, World, manifests};

/// What lies between a unit and a machine that has come up: here, nothing.
const TARGETS: [&str; 6] = ["sysinit", "basic", "network-online", "multi-user", "shutdown", "umount"];

/// A systemd with no units but those in `units`, in a process, mount, control group and host name space of its own.
/// What it may write to of the machine's is covered, and its control groups are below one that the test removes.
const START: &str = r#"
set -e
cd "$0"
mount --make-rprivate /
hostname n1.example.org
for folder in /tmp /var/tmp /var/log /home /usr/local/bin; do mount -t tmpfs none "$folder"; done
cp -a /etc etc; mount --bind etc /etc
hostname > /etc/hostname
cp "$1" /usr/local/bin/underlay
mkdir -p /etc/underlay; cp "$2" /etc/underlay/kubeconfig
mkdir -p groups; mount -t cgroup2 none groups; mkdir -p groups/underlay-unit
echo $$ > groups/underlay-unit/cgroup.procs
umount groups
export container=test SYSTEMD_UNIT_PATH=$PWD/units SYSTEMD_GENERATOR_PATH=$PWD/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=$PWD/none \
  SYSTEMD_PROC_CMDLINE=systemd.unified_cgroup_hierarchy=1
exec unshare --cgroup systemd --system --unit=machine.target --log-target=console --show-status=0
"#;

/// Removes the control groups that systemd has made.
struct Groups<'a>(&'a Path);

impl Drop for Groups<'_> {
    fn drop(&mut self) {
        let script = "mkdir -p groups; mount -t cgroup2 none groups || exit 0\n\
            for again in 1 2 3 4 5 6 7 8 9; do\n\
            find groups/underlay-unit -depth -type d -exec rmdir {} + 2>/dev/null; test -e groups/underlay-unit || break\n\
            for process in $(find groups/underlay-unit -name cgroup.procs -exec cat {} +); do kill -9 $process; done\n\
            sleep 0.2; done; umount groups";
        let _ = Command::new("sh").args(["-c", script]).current_dir(self.0).status();
    }
}

/// The machine, as its systemd has it.
struct Machine(String);

impl Machine {
    /// The machine whose systemd is the child of a process.
    fn of(parent: u32) -> Self {
        let children = format!("/proc/{parent}/task/{parent}/children");
        let systemd = wait::until("systemd", LIMIT, || {
            let found = fs::read_to_string(&children).unwrap_or_default();
            found.split_whitespace().next().map(str::to_owned).ok_or(found)
        });
        Self(systemd)
    }

    fn systemctl(&self, words: &[&str]) -> Result<String, String> {
        let inside = ["--target", &self.0, "--mount", "--pid", "--cgroup", "--", "systemctl"];
        let output = Command::new("nsenter").args(inside).args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn property(&self, name: &str) -> String {
        let said = self.systemctl(&["show", "underlay-agent", "--value", "-p", name]);
        said.unwrap_or_else(|message| message).trim().to_owned()
    }
}

#[test]
fn the_unit_runs_the_agent_and_brings_it_back() {
    labs::require!("root", "kubernetes", "bird", "systemd");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        world.put_node("n1", 2);
        world.put_cidrs("n1", 1);
        world.api.apply(FABRIC);

        let folder = sandbox.folder().join("machine");
        let units = folder.join("units");
        fs::create_dir_all(&units).unwrap();
        for target in TARGETS {
            let text = "[Unit]\nDefaultDependencies=no\n";
            fs::write(units.join(format!("{target}.target")), text).unwrap();
        }
        let target = "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\nWants=underlay-agent.service\n";
        fs::write(units.join("machine.target"), target).unwrap();
        let unit = manifests("overlays/systemd/underlay-agent.service");
        fs::write(units.join("underlay-agent.service"), &unit).unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(units.join("underlay-agent.service"))
            .env("SYSTEMD_UNIT_PATH", &units)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&verified.stderr).into_owned();
        let unknown: Vec<&str> = told.lines().filter(|line| line.contains("underlay-agent")).collect();
        // Where the program is put is not there outside of the test's own machine.
        let unknown: Vec<&&str> = unknown
            .iter()
            .filter(|line| !line.contains("/usr/local/bin/underlay is not executable"))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");

        let _groups = Groups(&folder);
        let words =
            ["--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", START];
        let mut command = world.node.exec("unshare", words);
        command.arg(&folder).arg(env!("CARGO_BIN_EXE_underlay")).arg(&world.config);
        let daemon = sandbox.daemon("systemd", command);
        let machine = Machine::of(daemon.pid());
        let agent = Agent { daemon, state: "/run/underlay".into() };
        agent.until("peers", "Established");
        agent.until("routes --sent tor", "10.244.1.0/24");
        assert_eq!(machine.property("ActiveState"), "active", "{}", agent.daemon.log());
        world.until_report("{.status.peers}", "1/1", &agent);
        assert!(fs::read_to_string("/run/underlay/ready").is_ok(), "{}", agent.daemon.log());

        // What the unit leaves of root's capabilities: bits 10 and 12 of linux/capability.h.
        let bounds = machine.systemctl(&["show", "underlay-agent", "-p", "CapabilityBoundingSet"]).unwrap();
        assert_eq!(bounds.trim(), "CapabilityBoundingSet=cap_net_bind_service cap_net_admin");
        assert_eq!(
            (machine.property("NoNewPrivileges"), machine.property("User")),
            ("yes".into(), String::new())
        );

        // Killed, it comes back by itself, and as one that restarts: its routes have stayed.
        let routes = || world.node.ip("route show proto 171");
        let before = routes();
        assert!(before.contains("10.244.9.0/24 via 10.0.1.1"), "{before}");
        let first = machine.property("MainPID");
        machine.systemctl(&["kill", "--signal=KILL", "underlay-agent"]).unwrap();
        wait::until("another process", LIMIT, || {
            let now = machine.property("MainPID");
            if now != first && now != "0" { Ok(()) } else { Err(now) }
        });
        assert_eq!(routes(), before);
        agent.until("peers", "Established");
        agent.until("events", "after a restart");
        assert_eq!(routes(), before);

        // Stopped in order, it leaves them too, and its folders for the next start.
        machine.systemctl(&["stop", "underlay-agent"]).unwrap();
        assert_eq!(
            (machine.property("ActiveState"), machine.property("Result")),
            ("inactive".into(), "success".into())
        );
        assert_eq!(routes(), before);
        assert!(Path::new("/run/underlay/ready").exists());
        assert!(bird.birdc("show protocols node").contains("node"));
        machine.systemctl(&["start", "underlay-agent"]).unwrap();
        agent.until("peers", "Established");
        assert!(world.api.kubectl(&["get", "fabricnode", "n1", "-o", "name"]).contains("n1"));
    });
}
