//! The systemd unit of the manifests, started by a systemd of the test's own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use labs::wait;

use super::{Agent, LIMIT, World, manifests};

/// What lies between a unit and a machine that has come up: here, nothing.
const TARGETS: [&str; 6] = ["sysinit", "basic", "network-online", "multi-user", "shutdown", "umount"];

/// A systemd with no units but those in `units`, in a process, mount, control group and host name space of its own.
/// Of the machine it may write to nothing: what it needs to write to is covered, the rest of the file system, of `/sys`
/// and of `/proc/sys` is read-only (a first process raises `fs.file-max`, and the kernel has one for all), and in `/dev`
/// are devices without effect and no console. Its control groups are below one that is its own. What does not hold
/// ends it before systemd starts.
const START: &str = r#"
set -e
test $$ = 1
cd "$0"
mount --make-rprivate /
hostname n1.example.org
for folder in /tmp /var/tmp /var/log /home /usr/local/bin; do mount -t tmpfs none "$folder"; done
cp -a /etc etc; mount --bind etc /etc
hostname > /etc/hostname
cp "$1" /usr/local/bin/underlay
mkdir -p /etc/underlay; cp "$2" /etc/underlay/kubeconfig
mkdir groups; mount -t cgroup2 none groups; mkdir "groups/$3"
echo $$ > "groups/$3/cgroup.procs"
umount groups
mkdir dev; mount -t tmpfs none dev
for device in null zero full random urandom; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm; mount --move dev /dev
mount --bind /proc/sys /proc/sys; mount --bind /proc/sys/net /proc/sys/net
for folder in / /sys /proc/sys; do mount -o remount,bind,ro "$folder"; done
for path in / /usr /var /sys/kernel /proc/sys/fs/file-max /proc/sys/kernel/core_pattern; do test ! -w "$path"; done
test ! -e /dev/console
export container=test SYSTEMD_UNIT_PATH=$PWD/units SYSTEMD_GENERATOR_PATH=$PWD/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=$PWD/none \
  SYSTEMD_PROC_CMDLINE=systemd.unified_cgroup_hierarchy=1
exec unshare --cgroup systemd --system --unit=machine.target --log-target=console --show-status=0
"#;

/// The control group that systemd has for its root: of this sandbox alone, so that two at once do not meet.
struct Groups {
    folder: PathBuf,
    name: String,
}

impl Groups {
    fn new(folder: &Path) -> Self {
        let sandbox = fs::metadata("/proc/self/ns/pid").unwrap().ino();
        Self { folder: folder.to_owned(), name: format!("underlay-unit-{sandbox}") }
    }
}

impl Drop for Groups {
    /// Removes what systemd has made, as soon as its processes, which end with it, are gone. Nothing is killed here.
    fn drop(&mut self) {
        let script = "mkdir left; mount -t cgroup2 none left || exit 0\n\
            for again in $(seq 50); do\n\
            find \"left/$0\" -depth -type d -exec rmdir {} + 2>/dev/null; test -e \"left/$0\" || break\n\
            sleep 0.1; done; test ! -e \"left/$0\" || echo \"control group $0 is left\" >&2; umount left";
        let _ = Command::new("sh").args(["-c", script, &self.name]).current_dir(&self.folder).status();
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
        let (world, bird) = World::routed(sandbox);

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

        let groups = Groups::new(&folder);
        let words =
            ["--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", START];
        let mut command = world.node.exec("unshare", words);
        command.arg(&folder).arg(env!("CARGO_BIN_EXE_underlay")).arg(&world.config).arg(&groups.name);
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
