//! The program itself: what it prints where, and how it ends.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bgp::io::State;
use bgp::prefix::PerFamily;
use bgp::reason::Reason;
use bgp::view::Explanation;

use crate::status::agent::Agent;
use crate::status::fixture;

/// Runs the program off the runtime's threads, which serve the agent meanwhile.
async fn underlay(arguments: &[&OsStr]) -> Output {
    let mut command = program(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("the task ends").expect("the program runs")
}

fn program(arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
    command.args(arguments).env_remove("UNDERLAY_SOCKET").stdin(Stdio::null());
    command
}

/// A verb with its arguments, asking these sockets.
async fn ask(line: &str, sockets: &[&Path]) -> Output {
    let mut arguments: Vec<&OsStr> = line.split(' ').map(OsStr::new).collect();
    for socket in sockets {
        arguments.extend([OsStr::new("--socket"), socket.as_os_str()]);
    }
    underlay(&arguments).await
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended it")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

fn stories() -> Vec<Explanation> {
    vec![fixture::unreachable_story(), fixture::installed_story()]
}

/// An agent with one healthy peer.
fn healthy() -> Agent {
    Agent::start(fixture::three_nodes().remove(0), stories())
}

/// An agent with a peer that is down.
fn ill() -> Agent {
    let peer = fixture::down("tor9", "10.0.3.1", State::Idle, Reason::BadPeerAs, "peer AS is 65010");
    Agent::start(fixture::snapshot("worker-2", vec![peer]), vec![])
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_end_with_0() {
    let agent = healthy();
    let socket = agent.socket();
    for verb in ["status", "status --check", "peers", "peers --check", "routes", "routes 10.244.4.0/24"] {
        let output = ask(verb, &[&socket]).await;
        assert_eq!((code(&output), stderr(&output)), (0, ""), "{verb}");
        assert!(stdout(&output).starts_with("NODE "), "{verb}: {}", stdout(&output));
        assert!(stdout(&output).contains("\nworker-1 "), "{verb}: {}", stdout(&output));
        assert!(!stdout(&output).contains('\x1b'), "{verb}: colour in a pipe");
    }
    let output = ask("explain 10.244.3.0/24", &[&socket]).await;
    let summary = "10.244.3.0/24 on worker-1 is NOT installed: next hop 10.0.9.1 is unreachable\n\n";
    assert!(stdout(&output).starts_with(summary), "{}", stdout(&output));
    assert_eq!(code(&output), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn socket_comes_from_the_environment_too() {
    let (first, second) = (healthy(), ill());
    let both = std::env::join_paths([first.socket(), second.socket()]).expect("no colon in a path");
    let mut command = program(&[OsStr::new("peers")]);
    command.env("UNDERLAY_SOCKET", both);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("the task ends").expect("the program runs");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let nodes: Vec<&str> = stdout(&output).lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(nodes, ["NODE", "worker-1", "worker-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_errors_end_with_2() {
    let mistakes = [
        "frobnicate",
        "explain",
        "explain 10.0.0.0/33",
        "explain fd00::/x",
        "explain default/",
        "routes 10.0.0.0/33",
        "routes --rejected --installed",
        "peers -o xml",
    ];
    for line in mistakes {
        let output = ask(line, &[]).await;
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{line}");
        assert!(stderr(&output).starts_with("error: "), "{line}: {}", stderr(&output));
    }
    let output = ask("peer", &[]).await;
    assert!(stderr(&output).contains("'peers'"), "a typo names the nearest word: {}", stderr(&output));
    let output = ask("routes 10.0.0.0/33 -o json", &[]).await;
    assert_eq!(code(&output), 2);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!((&error["error"]["reason"], &error["error"]["exit_code"]), (&"USAGE".into(), &2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_go_to_the_operators_socket() {
    for verb in ["drain", "undrain", "reset tor1"] {
        let output = ask(verb, &[Path::new("/nowhere/status.sock")]).await;
        assert_eq!((code(&output), stdout(&output)), (5, ""), "{verb}");
        let expected = "underlay: /nowhere/operator.sock: no agent: the socket does not exist\n";
        assert_eq!(stderr(&output), expected, "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ill_health_ends_with_3_if_checked() {
    let agent = ill();
    let socket = agent.socket();
    assert_eq!(code(&ask("peers", &[&socket]).await), 0);
    let output = ask("peers --check", &[&socket]).await;
    assert_eq!(code(&output), 3);
    assert!(stdout(&output).contains("tor9"), "the data is printed all the same");
    assert_eq!(stderr(&output), "underlay: worker-2: tor9 10.0.3.1 is Idle: peer AS is 65010\n");
    let output = ask("peers --check -o json", &[&socket]).await;
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!((code(&output), &error["error"]["reason"]), (3, &"UNHEALTHY".into()));

    let mut unready = fixture::snapshot("worker-3", vec![]);
    unready.conditions[0].holds = None;
    let agent = Agent::start(unready, vec![]);
    let output = ask("status --check", &[&agent.socket()]).await;
    assert_eq!(code(&output), 3);
    assert_eq!(stderr(&output), "underlay: worker-3: unknown whether Ready: converged\n");
    // One of them alone, as a probe asks for it.
    let output = ask("status --check Ready", &[&agent.socket()]).await;
    assert_eq!(
        (code(&output), stderr(&output)),
        (3, "underlay: worker-3: unknown whether Ready: converged\n")
    );
    let output = ask("status --check Converged", &[&agent.socket()]).await;
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let output = ask("status --check Redy", &[&agent.socket()]).await;
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).starts_with("underlay: worker-3: no condition `Redy`; there are Ready, "));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_things_end_with_4() {
    let agent = healthy();
    let socket = agent.socket();
    let output = ask("routes --received tro1", &[&socket]).await;
    assert_eq!((code(&output), stdout(&output)), (4, ""));
    assert!(stderr(&output).contains("no peer `tro1` on worker-1; nearest: tor1"), "{}", stderr(&output));

    let output = ask("routes --received tro1 -o json", &[&socket]).await;
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!(error["error"]["reason"], "UNKNOWN_PEER");
    assert_eq!(error["error"]["metadata"]["nearest"], "tor1");
    assert_eq!(error["error"]["exit_code"], 4);

    let output = ask("routes 10.9.0.0/16", &[&socket]).await;
    assert_eq!((code(&output), stderr(&output)), (4, "underlay: no route 10.9.0.0/16\n"));
    let output = ask("routes 10.244.3.0/24 --installed", &[&socket]).await;
    assert_eq!(code(&output), 4);
    let output = ask("explain 10.9.0.0/16", &[&socket]).await;
    assert_eq!(code(&output), 4);
    assert!(stdout(&output).contains("is NOT installed: no peer sent it"), "{}", stdout(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_out_of_reach_end_with_5() {
    let directory = tempfile::tempdir().expect("a directory");
    let nowhere = directory.path().join("nowhere.sock");
    for verb in ["status", "peers --check", "routes", "explain 10.0.0.0/8"] {
        let output = ask(verb, &[&nowhere]).await;
        assert_eq!((code(&output), stdout(&output)), (5, ""), "{verb}");
        assert!(stderr(&output).contains("nowhere.sock: no agent: the socket does not exist"), "{verb}");
    }
    let output = ask("peers -o json", &[&nowhere]).await;
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!((code(&output), &error["error"]["reason"]), (5, &"AGENT_UNREACHABLE".into()));
    assert_eq!(error["error"]["socket"], nowhere.to_str().expect("text"));

    let stale = directory.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
    let output = ask("peers", &[&stale]).await;
    assert_eq!(code(&output), 5);
    assert!(stderr(&output).contains("nothing listens on the socket"), "{}", stderr(&output));

    let stranger = directory.path().join("stranger.sock");
    let listener = std::os::unix::net::UnixListener::bind(&stranger).expect("a socket");
    let hangs_up = std::thread::spawn(move || drop(listener.accept()));
    assert_eq!(code(&ask("peers", &[&stranger]).await), 5, "what listens there is not an agent");
    hangs_up.join().expect("it was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_agents_are_one_answer() {
    let (first, second) = (healthy(), ill());
    let directory = tempfile::tempdir().expect("a directory");
    let nowhere = directory.path().join("nowhere.sock");
    let (one, two) = (first.socket(), second.socket());

    let output = ask("peers", &[&one, &two]).await;
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let output = ask("peers --check", &[&one, &two]).await;
    assert_eq!(code(&output), 3);

    let output = ask("peers", &[&one, &nowhere]).await;
    assert_eq!(code(&output), 1, "some answered");
    assert!(stdout(&output).contains("worker-1"));
    assert!(stderr(&output).contains("nowhere.sock"));
    let output = ask("peers", &[&nowhere, &nowhere]).await;
    assert_eq!(code(&output), 5, "none answered");

    let output = ask("peers -o json", &[&one, &nowhere]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json[0]["node"], "worker-1", "several sockets make a list");
    let output = ask("peers -o json", &[&one]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["node"], "worker-1", "one socket makes no list");
    let output = ask("explain 10.244.4.0/24 -o jsonl", &[&one, &two]).await;
    assert_eq!(stdout(&output).lines().count(), 2);
    assert_eq!(code(&output), 0, "one of the two knows the prefix");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_needs_no_agent() {
    let agent = healthy();
    let output = ask("version -o json", &[&agent.socket()]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&json[1]["component"], &json[1]["node"]), (&"agent".into(), &"worker-1".into()));
    let directory = tempfile::tempdir().expect("a directory");
    let output = ask("version", &[&directory.path().join("nowhere.sock")]).await;
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("no agent"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_are_for_people() {
    let agent = healthy();
    let socket = agent.socket();
    let output = ask("explain 10.244.4.7/24", &[&socket]).await;
    assert_eq!(code(&output), 0);
    assert_eq!(stderr(&output), "10.244.4.7/24 has bits beyond its length: showing 10.244.4.0/24\n");
    let output = ask("explain 10.244.4.7/24 -o json", &[&socket]).await;
    assert_eq!((code(&output), stderr(&output)), (0, ""));
}

/// As in `underlay routes | head -1`: no panic, no complaint.
#[tokio::test(flavor = "multi_thread")]
async fn closed_pipe_ends_quietly() {
    let peers = (0..2000).map(|index| {
        let address = format!("10.9.{}.{}", index / 250, index % 250 + 1);
        fixture::established(index, "tor", &address, 65_000, PerFamily::default())
    });
    let agent = Agent::start(fixture::snapshot("worker-1", peers.collect()), vec![]);
    let socket = agent.socket();
    for line in ["peers", "peers -o json", "--help", "peers --help"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut arguments: Vec<&OsStr> = line.split(' ').map(OsStr::new).collect();
        if !line.contains("help") {
            arguments.extend([OsStr::new("--socket"), socket.as_os_str()]);
        }
        let mut command = program(&arguments);
        command.stdout(writer);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("the task ends").expect("the program runs");
        assert_eq!((code(&output), stderr(&output)), (0, ""), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_takes_prefix_address_peer_and_pod() {
    let agent = healthy();
    let socket = agent.socket();
    let starts = [
        ("explain 10.244.4.0/24", 0, "10.244.4.0/24 on worker-1 is installed"),
        ("explain 10.244.4.7", 0, "10.244.4.7 is covered by 10.244.4.0/24 which on worker-1 is installed"),
        ("explain 10.9.9.9", 4, "10.9.9.9 on worker-1 is covered by no prefix with a selected path"),
        ("explain tor1", 0, "tor1 10.0.2.1 on worker-1 is Established"),
        ("explain 10.0.2.1", 0, "tor1 10.0.2.1 on worker-1 is Established"),
        ("explain tro1", 4, ""),
        ("explain default/web-0", 4, ""),
    ];
    for (line, expected, start) in starts {
        let output = ask(line, &[&socket]).await;
        assert_eq!(code(&output), expected, "{line}: {}", stderr(&output));
        assert!(stdout(&output).starts_with(start), "{line}: {}", stdout(&output));
        assert_eq!(stdout(&output).is_empty(), start.is_empty(), "{line}: {}", stdout(&output));
    }
    let output = ask("explain tro1", &[&socket]).await;
    assert!(stderr(&output).contains("nearest: tor1"), "{}", stderr(&output));
    let output = ask("explain default/web-0", &[&socket]).await;
    assert!(stderr(&output).contains("ask by the pod's address"), "{}", stderr(&output));
}
