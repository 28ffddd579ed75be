//! The runner as its users meet it: the program, in a sandbox, with a small lab of two BIRDs. The labs themselves
//! stand in files of their own.

mod bird_frr;
mod dual_tor;
mod fabric;
mod images;
mod unnumbered;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use labs::lab::Lab;
use labs::normal::normal;
use labs::path::Paths;
use labs::pod::{self, Pod};
use labs::topology::Topology;
use labs::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(20);

fn pair() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pair/pair.clab.yml")
}

fn cargo_lab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labs"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    cargo_lab(args).output().unwrap()
}

/// What a verb prints; it has to succeed.
#[track_caller]
fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a verb complains of; it has to fail.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// Neither names nor processes nor files: the sandbox is as it was. Returns what is there.
pub(crate) fn left() -> Result<(), String> {
    let names = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let processes = names("/proc").into_iter().filter_map(|name| {
        let command = fs::read_to_string(format!("/proc/{name}/cmdline")).ok()?;
        // Kernel threads are not seen in here; a zombie has no command line.
        (name.parse::<u32>().is_ok_and(|pid| pid != 1) && !command.is_empty()).then_some(command)
    });
    let found = [names("/run/netns"), names("/run/underlay-labs"), processes.collect()].concat();
    if found.iter().all(|name| name == "lock") { Ok(()) } else { Err(format!("{found:?}")) }
}

#[test]
fn a_lab_comes_up_works_and_goes_down() {
    labs::require!("root", "bird");
    labs::sandbox!(|_| {
        let file = pair();
        ok(&["up", file.to_str().unwrap()]);
        let status = ok(&["status", "pair"]);
        let columns: Vec<Vec<&str>> = status.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(columns[0], ["NODE", "IMAGE", "PROGRAM", "NETNS", "PID"]);
        assert_eq!(columns[1][..4], ["a", "bird:2.0", "running", "pair-a"]);
        assert_eq!(columns[3][..4], ["host", "linux", "none", "pair-host"]);
        assert!(
            ok(&["status"]).lines().any(|line| line.starts_with("pair  3      up ")),
            "{}",
            ok(&["status"])
        );

        wait::until("the route that b learned", LIMIT, || {
            let routes = ok(&["exec", "pair", "b", "ip", "route", "show", "proto", "bird"]);
            if routes.contains("10.1.1.0/24 via 192.0.2.0 dev eth1") { Ok(()) } else { Err(routes) }
        });
        ok(&["exec", "pair", "b", "ping", "-c", "1", "-W", "5", "10.1.1.2"]);

        assert_eq!(ok(&["exec", "pair", "b", "hostname"]), "b\n");
        assert_eq!(ok(&["exec", "pair", "b", "sh", "-c", "echo $COLOUR"]), "blue\n");
        assert_eq!(ok(&["exec", "pair", "a", "cat", "/sys/class/net/eth1/mtu"]), "1400\n");
        assert_eq!(ok(&["exec", "pair", "a", "cat", "/proc/sys/net/ipv4/ip_forward"]), "1\n");
        let conf = fs::read_to_string(file.with_file_name("a.conf")).unwrap();
        assert_eq!(ok(&["exec", "pair", "a", "cat", "/etc/underlay/nested/copy"]), conf);
        assert!(!Path::new("/etc/underlay/nested").exists(), "a mount point stays inside its node");
        assert!(refused(&["exec", "pair", "a", "touch", "/etc/bird/bird.conf"]).contains("Read-only"));
        assert_eq!(run(&["exec", "pair", "a", "sh", "-c", "exit 42"]).status.code(), Some(42));

        assert!(
            refused(&["up", file.to_str().unwrap()])
                .contains("lab pair is up; cargo lab down pair removes it")
        );
        let unknown = refused(&["exec", "pair", "c", "true"]);
        assert!(unknown.contains("lab pair has no node c; it has a, b, host"), "{unknown}");
        ok(&["down", "pair"]);
        left().unwrap();
        assert!(refused(&["down", "pair"]).contains("lab pair is not up"));
    });
}

#[test]
fn all_labs_go_down_at_once() {
    labs::require!("root", "bird");
    labs::sandbox!(|_| {
        ok(&["up", pair().to_str().unwrap()]);
        ok(&["down", "--all"]);
        left().unwrap();
        ok(&["down", "--all"]);
    });
}

/// A lab of one bare node whose only command is this.
fn one(folder: &Path, command: &str) -> String {
    let file = folder.join("one.clab.yml");
    let text = format!(
        "name: one\ntopology:\n  nodes:\n    n: {{kind: linux, image: linux, exec: [\"{command}\"]}}\n"
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn an_error_half_way_leaves_nothing() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let file = one(sandbox.folder(), "ip link set eth9 up");
        let message = refused(&["up", &file]);
        assert!(message.contains("node n: ip link set eth9 up: ") && message.contains("eth9"), "{message}");
        left().unwrap();
    });
}

#[test]
fn an_interrupt_leaves_nothing() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let file = one(sandbox.folder(), "sleep 600");
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut child = cargo_lab(&["up", &file]).stderr(Stdio::piped()).spawn().unwrap();
            sleeping();
            kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
            let output = wait::until("the command to end", LIMIT, || child.try_wait().unwrap());
            assert_eq!(output.code(), Some(1));
            left().unwrap();
        }
    });
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let file = one(sandbox.folder(), "sleep 600");
        let mut child = cargo_lab(&["up", &file]).spawn().unwrap();
        sleeping();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ok(&["status"]).contains("one  1      left"));
        let output = run(&["up", &one(sandbox.folder(), "true")]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("lab one: removing what an interrupted run left"), "{message}");
        assert!(message.contains("lab one is up: 1 nodes, 0 links"), "{message}");
        ok(&["down", "one"]);
        left().unwrap();
    });
}

/// Waits until the lab's only command runs.
fn sleeping() {
    wait::until("the node's command", LIMIT, || {
        let entries = fs::read_dir("/proc").unwrap();
        let commands = entries.filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
        commands.into_iter().any(|command| command.ends_with(b"sleep\x00600\x00"))
    });
}

#[test]
fn only_routes_of_underlay_may_carry_a_pair() {
    labs::require!("root");
    labs::sandbox!(|_| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/chain/chain.clab.yml");
        let lab = Lab::up(&file, &Topology::read(&file).unwrap()).unwrap();
        let mut paths = Paths::new(&lab).unwrap();
        let pod = Pod { node: "c".into(), name: "p".into(), addresses: Vec::new() };
        let all = ["a", "b", "c"].map(String::from).into();
        for address in ["10.244.3.7", "fd00:10:244:3::7"] {
            assert_eq!(paths.follow("a", &pod, address).unwrap(), all, "{address}");
        }
        assert_eq!(paths.follow("c", &pod, "10.244.3.7").unwrap(), ["c".to_owned()].into());

        let mut refused =
            |from: &str, address: &str| paths.follow(from, &pod, address).unwrap_err().to_string();
        let error = refused("a", "10.244.8.1");
        assert!(error.starts_with("a would send to 10.244.8.1 by a foreign route"), "default: {error}");
        let error = refused("b", "10.244.9.1");
        assert!(error.starts_with("b would send to 10.244.9.1 by a foreign route"), "static: {error}");
        let error = refused("b", "10.244.4.1");
        assert!(error.starts_with("a would send to 10.244.4.1 by a foreign route"), "second hop: {error}");
        let error = refused("c", "10.244.3.8");
        assert!(error.contains("No route to host"), "no such pod: {error}");
        drop(lab);
        left().unwrap();
    });
}

#[test]
fn pods_of_one_node_reach_each_other() {
    labs::require!("root", "ping");
    labs::sandbox!(|_| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/chain/chain.clab.yml");
        let lab = Lab::up(&file, &Topology::read(&file).unwrap()).unwrap();
        let plugin = labs::program("underlay-cni");
        let subnets = ["10.244.1.0/24", "fd00:10:244:1::/64"].map(String::from);
        let pods = ["one", "two"].map(|name| Pod::add(&lab, &plugin, "a", name, &subnets).unwrap());
        assert_eq!(pod::pairs(&pods).count(), 4);
        assert_eq!(pod::ping_all(&lab, &pods).unwrap(), 4);
        let mut paths = Paths::new(&lab).unwrap();
        for (from, to, address) in pod::pairs(&pods) {
            assert_eq!(paths.follow(&from.node, to, address).unwrap(), ["a".to_owned()].into());
        }
        let again = Pod::add(&lab, &plugin, "a", "one", &subnets).unwrap_err();
        assert!(format!("{again:#}").contains("ip netns add one"), "{again:#}");
        let nobody = Pod { addresses: vec!["10.244.1.99".into()], name: "nobody".into(), ..pods[0].clone() };
        let error = pod::ping_all(&lab, &[pods[0].clone(), nobody]).unwrap_err();
        assert!(format!("{error:#}").contains("one -> nobody 10.244.1.99"), "{error:#}");
    });
}

#[test]
fn two_racks_of_pods_reach_each_other_over_bgp() {
    labs::require!("root", "ping");
    labs::sandbox!(|_| {
        assert!(labs::program("underlay").is_file());
        let plugin = labs::program("underlay-cni");
        let output = run(&["quickstart", "--keep", "--plugin", plugin.to_str().unwrap()]);
        let (said, shown) =
            (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
        assert!(output.status.success(), "{said}");
        assert!(said.contains("112 of 112 pings answered"), "{said}");
        assert!(
            said.contains("112 of 112 ways use underlay's routes alone, the longest over 5 nodes"),
            "{said}"
        );
        // Two peers a node, three a ToR, two at the spine.
        assert_eq!(shown.lines().filter(|line| line.contains(" Established ")).count(), 16, "{shown}");
        assert_eq!(shown.lines().filter(|line| line.contains("rejected: as-loop")).count(), 4, "{shown}");
        assert!(shown.contains("10.244.4.0/24 on n11 is installed"), "{shown}");

        for page in ["../README.md", "two-racks/README.md"] {
            shows_what_is_printed(&Path::new(env!("CARGO_MANIFEST_DIR")).join(page), &[]);
        }

        let peer_prefix = |node: &str, prefix: &str| {
            let routes = ok(&["exec", "two-racks", node, "ip", "route", "show", prefix, "proto", "171"]);
            if routes.is_empty() { Err(format!("{node} has no route to {prefix}")) } else { Ok(routes) }
        };
        let beyond = "10.244.3.0/24";
        ok(&["exec", "two-racks", "spine", "ip", "link", "set", "eth2", "down"]);
        // The hold time is 9 s where nothing notices the link.
        wait::until("rack 1 to lose rack 2", 2 * LIMIT, || peer_prefix("n11", beyond).is_err());
        peer_prefix("n11", "10.244.2.0/24").unwrap();
        ok(&["exec", "two-racks", "spine", "ip", "link", "set", "eth2", "up"]);
        wait::until("rack 1 to find rack 2", 2 * LIMIT, || peer_prefix("n11", beyond));
        ok(&[
            "exec",
            "two-racks",
            "n11",
            "ip",
            "netns",
            "exec",
            "n11-pod1",
            "ping",
            "-c1",
            "-w5",
            "10.244.3.2",
        ]);

        ok(&["down", "two-racks"]);
        left().unwrap();
    });
}

/// Each console block of a page is a `$ cargo lab` command and what it prints while the lab is up. So is one of a program
/// of `inside`, with the words of `cargo lab` that it is run by.
pub(crate) fn shows_what_is_printed(page: &Path, inside: &[(&str, &str)]) {
    let text = fs::read_to_string(page).unwrap();
    let blocks = text.split("\n```console\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    for block in blocks {
        let (command, shown) = block.split_once('\n').unwrap_or((block, ""));
        let words: Vec<&str> = command.split_whitespace().collect();
        let unknown = || -> ! { panic!("{command}: not one of ours") };
        let args: Vec<&str> = match &words[..] {
            ["$", "cargo", "lab", args @ ..] => args.to_vec(),
            ["$", program, ..] => {
                let (_, by) = inside.iter().find(|(name, _)| name == program).unwrap_or_else(|| unknown());
                by.split_whitespace().chain(words[1..].iter().copied()).collect()
            }
            _ => unknown(),
        };
        let what = format!("{}: cargo lab {}", page.display(), args.join(" "));
        let shown = normal(shown);
        wait::until(&what, LIMIT, || {
            let printed = normal(&ok(&args));
            if printed == shown {
                Ok(())
            } else {
                Err(format!("prints\n{printed}\nand the page shows\n{shown}"))
            }
        });
    }
}

#[test]
fn an_interrupted_quickstart_leaves_nothing() {
    labs::require!("root");
    labs::sandbox!(|_| {
        let plugin = labs::program("underlay-cni");
        let words = ["quickstart", "--keep", "--plugin", plugin.to_str().unwrap()];
        let mut child = cargo_lab(&words).stderr(Stdio::null()).spawn().unwrap();
        wait::until("the agents", LIMIT, || {
            let state = fs::read_to_string("/run/underlay-labs/two-racks/state.json").unwrap_or_default();
            state.contains("\"daemon\": {")
        });
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let status = wait::until("the command to end", LIMIT, || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(1));
        left().unwrap();
    });
}

#[test]
fn without_root_and_sudo_the_error_is_clear() {
    labs::require!("root");
    // The build may lie where nobody else may go.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("labs");
    fs::copy(env!("CARGO_BIN_EXE_labs"), &program).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["down", "--all"]).uid(65534).gid(65534).env("PATH", "/nowhere").current_dir("/");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("this has to run as root, and there is no sudo: install sudo, or run it as root"),
        "{message}"
    );
}
