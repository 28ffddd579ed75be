//! The sandbox: private, complete, and gone afterwards.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use labs::bird::Bird;
use labs::{Netns, wait};

#[test]
fn a_sandbox_is_a_private_machine() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        assert_eq!(std::process::id(), 1);
        assert_eq!(sandbox.test(), "namespaces::a_sandbox_is_a_private_machine");
        let links: Vec<_> =
            fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(links, ["lo"]);
        assert_eq!(fs::read_dir("/var/lib").unwrap().count(), 0);
        assert_eq!(fs::read_dir("/run/netns").unwrap().count(), 0);
        let processes = fs::read_dir("/proc").unwrap();
        let pids = processes
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().parse::<u32>().is_ok());
        assert_eq!(pids.count(), 1);
        TcpListener::bind("127.0.0.1:179").unwrap();
    });
}

#[test]
fn the_machine_does_not_see_what_a_sandbox_makes() {
    labs::require!("root");
    let name = "underlay-test-unseen";
    labs::sandbox!(|sandbox| {
        let namespace = sandbox.netns(name);
        assert!(namespace.path().exists());
    });
    assert!(Netns::open(name).is_err());
}

#[test]
fn a_failure_inside_is_a_failure_outside() {
    labs::require!("root");
    let outside = std::env::var_os("UNDERLAY_SANDBOX").is_none();
    let result = std::panic::catch_unwind(|| {
        labs::sandbox!(|sandbox| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo evidence; exec sleep 600"]);
            let mut daemon = sandbox.daemon("witness", command);
            let log = sandbox.folder().join("witness.log");
            daemon.wait_ready(|| fs::read_to_string(&log).is_ok_and(|text| text == "evidence\n"));
            panic!("on purpose");
        });
    });
    let panic = result.expect_err("the panic comes through");
    if outside {
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("failed in its sandbox"), "{message}");
        let kept = labs::program::failure_folder("namespaces::a_failure_inside_is_a_failure_outside");
        assert_eq!(fs::read_to_string(kept.join("witness.log")).unwrap(), "evidence\n");
        fs::remove_dir_all(kept).unwrap();
    } else {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_test_that_does_not_run_inside_is_a_failure() {
    labs::require!("root");
    let result = std::panic::catch_unwind(|| labs::sandbox::run("namespaces::nobody", |_| {}));
    let message = *result.expect_err("nothing ran").downcast::<String>().unwrap();
    assert!(message.contains("no test of this name ran"), "{message}");
}

#[test]
fn two_namespaces_reach_each_other_at_once() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let (a, b) = (sandbox.netns("a"), sandbox.netns("b"));
        sandbox.link(&a, "eth0", &b, "eth0");
        for (namespace, host) in [(&a, 1), (&b, 2)] {
            namespace.ip(&format!("addr add 192.0.2.{host}/24 dev eth0"));
            namespace.ip(&format!("addr add 2001:db8::{host}/64 dev eth0"));
        }
        for address in ["192.0.2.2", "2001:db8::2"] {
            let output = a.exec("ping", ["-c", "1", "-W", "2", address]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        let listener = b.enter(|| TcpListener::bind("192.0.2.2:179")).unwrap();
        a.enter(|| TcpStream::connect("192.0.2.2:179")).unwrap();
        drop(listener);
        b.remove().unwrap();
        assert!(Netns::open("b").is_err());
    });
}

#[test]
fn settings_are_those_of_the_namespace() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (host, router) = (sandbox.netns("host"), sandbox.router("router"));
        let forwards = |namespace: &Netns| {
            namespace.enter(|| fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim().to_owned())
        };
        assert_eq!(forwards(&host), "0");
        assert_eq!(forwards(&router), "1");
        let error = host.try_sysctl("net.ipv4.nothing", "1").unwrap_err().to_string();
        assert!(error.contains("host: sysctl net.ipv4.nothing=1"), "{error}");
        let error = host.try_ip("route add 192.0.2.0/24 dev eth9").unwrap_err();
        assert!(error.contains("ip -n host route add") && error.contains("eth9"), "{error}");
        assert!(Netns::create("host").is_err(), "the name is in use");
    });
}

#[test]
fn a_daemon_ends_when_asked_and_when_dropped() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let mut polite = sandbox
            .daemon("polite", shell("trap 'echo bye; exit 3' TERM; echo hi; while :; do sleep 0.1; done"));
        polite.wait_ready(|| polite_log(sandbox.folder()).contains("hi"));
        assert_eq!(polite.terminate().code(), Some(3));
        assert_eq!(polite.log(), "hi\nbye\n");
        let daemon = sandbox.daemon("other", shell("exec sleep 600"));
        let process = format!("/proc/{}", daemon.pid());
        assert!(fs::exists(&process).unwrap());
        drop(daemon);
        assert!(!fs::exists(&process).unwrap());
    });
}

fn polite_log(folder: &std::path::Path) -> String {
    fs::read_to_string(folder.join("polite.log")).unwrap_or_default()
}

#[test]
fn a_daemon_that_ends_early_is_reported_with_its_output() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such file; exit 7"]);
        let mut daemon = sandbox.daemon("broken", command);
        let ready = std::panic::AssertUnwindSafe(|| daemon.wait_ready(|| false));
        let message = *std::panic::catch_unwind(ready).unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("exit status: 7") && message.contains("no such file"), "{message}");
    });
}

#[test]
fn two_birds_exchange_a_route() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (a, b) = (sandbox.netns("a"), sandbox.netns("b"));
        sandbox.link(&a, "eth0", &b, "eth0");
        a.ip("addr add 192.0.2.1/24 dev eth0");
        b.ip("addr add 192.0.2.2/24 dev eth0");
        let config = |own: u8, far: u8, more: &str| {
            format!(
                "router id 192.0.2.{own}; protocol device {{}} {more}
                 protocol bgp far {{ local as 6500{own}; neighbor 192.0.2.{far} as 6500{far};
                   error wait time 1,1; connect delay time 1; connect retry time 2; direct;
                   ipv4 {{ import all; export all; }}; }}"
            )
        };
        let origin = "protocol static { ipv4; route 198.51.100.0/24 unreachable; }";
        let _a = Bird::start(sandbox, &a, "a", &config(1, 2, origin));
        let b = Bird::start(sandbox, &b, "b", &config(2, 1, ""));
        wait::until("the route at b", Duration::from_secs(20), || {
            let table = b.birdc("show route all");
            if table.contains("198.51.100.0/24") && table.contains("BGP.as_path: 65001") {
                Ok(())
            } else {
                Err(table)
            }
        });
    });
}
