//! A real API server that answers 429, 410 and 500.

use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdout, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use controller::cluster::checkpoint;
use jiff::Timestamp;
use labs::wait;
use nix::sys::signal::Signal;

use super::audit::lists;
use super::{Agent, LIMIT, NAMESPACE, World};

/// A request whose answer nobody reads: the server holds it as one that it works at.
struct Unread {
    child: Child,
    _answer: ChildStdout,
}

impl Unread {
    fn of(world: &World<'_>, path: &str, token: &str) -> Self {
        let mut command = world.node.exec("openssl", ["s_client", "-quiet", "-connect", "127.0.0.1:6443"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
        child.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
        let answer = child.stdout.take().unwrap();
        Self { child, _answer: answer }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the agent says no ill of the API server, and follows it.
fn until_whole(world: &World<'_>, agent: &Agent) {
    wait::until("the source whole again", LIMIT, || {
        let said = agent.ask("status");
        if said.contains("Kubernetes API") || said.contains("checkpoint") { Err(said) } else { Ok(()) }
    });
    world.originate("192.0.2.1/32");
    agent.until("routes --sent tor", "192.0.2.1/32");
}

#[test]
fn a_server_that_is_asked_too_much_is_asked_again_later() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let (mut world, _bird) = World::routed(sandbox);
        let mut agent = world.settled_agent();

        // Twenty-four megabytes of an answer are more than the way to somebody who does not read can hold.
        let part = sandbox.folder().join("part");
        fs::write(&part, "x".repeat(1_000_000)).unwrap();
        let from = format!("--from-file={}", part.display());
        for number in 0..24 {
            world.api.kubectl(&["-n", NAMESPACE, "create", "configmap", &format!("part-{number}"), &from]);
        }
        world.api.kubectl(&["-n", NAMESPACE, "create", "serviceaccount", "hog"]);
        world.api.kubectl(&[
            "create",
            "clusterrolebinding",
            "hog",
            "--clusterrole=cluster-admin",
            &format!("--serviceaccount={NAMESPACE}:hog"),
        ]);
        let (hog, config_of_hog) =
            (world.api.token(NAMESPACE, "hog"), world.api.kubeconfig_of(NAMESPACE, "hog"));
        world.api.kill();
        // Priority and fairness would let requests wait in place of refusing them.
        world.api.start_again(&["--max-requests-inflight=1", "--enable-priority-and-fairness=false"]);
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
        let unread = Unread::of(&world, &path, &hog);
        let config = config_of_hog.to_str().unwrap();
        let refused = || world.api.try_kubectl(&["--kubeconfig", config, "get", "--raw", "/api/v1/nodes/n1"]);
        wait::until("the server too busy", LIMIT, || match refused() {
            Err(message)
                if message.contains("Too Many Requests") || message.contains("too many requests") =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        });

        agent.daemon.kill();
        let agent = world.agent("n1");
        agent.until("status", "is asked too much (429)");
        agent.until("status", "running from checkpoint");
        agent.until("peers", "Established");
        drop(unread);
        until_whole(&world, &agent);
    });
}

#[test]
fn a_server_that_has_forgotten_is_listed_anew() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let (mut world, _bird) = World::routed(sandbox);
        world.put_node("n2", 3);
        world.put_cidrs("n2", 2);
        let mut agent = world.settled_agent();
        let before = lists(&world.api.audit());

        // While the agent stands still, a Node goes and all history with it: a server that has started anew knows
        // nothing of what was before, and etcd has compacted it.
        agent.daemon.signal(Signal::SIGSTOP);
        world.api.kubectl(&["delete", "node", "n2"]);
        world.originate("192.0.2.1/32");
        world.api.compact();
        world.api.kill();
        world.api.start_again(&[]);
        let old = world.api.try_kubectl(&["get", "--raw", "/api/v1/nodes?watch=1&resourceVersion=1"]);
        let told = old.unwrap_or_else(|message| message);
        assert!(told.contains("too old resource version") || told.contains("410"), "{told}");
        agent.daemon.signal(Signal::SIGCONT);
        agent.until("routes --sent tor", "192.0.2.1/32");
        wait::until("a list of its own", LIMIT, || {
            let now = lists(&world.api.audit());
            if now > before {
                Ok(())
            } else {
                Err(format!("{now} lists, {before} before: {}", agent.daemon.log()))
            }
        });
        let status = agent.ask("status");
        assert!(!status.contains("410") && !status.contains("too old"), "that is no trouble: {status}");
        agent.until("peers", "Established");
        let path = agent.state.join("checkpoint.json");
        wait::until("the Node that is gone forgotten", LIMIT, || {
            let kept = checkpoint::read(&path, "n1", Timestamp::now());
            kept.is_ok_and(|kept| kept.is_some_and(|kept| !kept.objects.nodes.contains_key("n2")))
        });
    });
}

#[test]
fn a_server_without_its_storage_stops_nothing() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let (mut world, _bird) = World::routed(sandbox);
        let mut agent = world.settled_agent();
        world.api.stop_storage();
        wait::until("a server that fails", LIMIT, || {
            let answer = world.api.try_kubectl(&["get", "nodes", "--request-timeout=5s"]);
            if answer.is_err() { Ok(()) } else { Err(format!("{answer:?}")) }
        });
        agent.until("peers", "Established");

        agent.daemon.kill();
        let agent = world.agent("n1");
        agent.until("status", "running from checkpoint");
        agent.until("peers", "Established");
        // A request waits for etcd longer than an agent waits for an answer.
        agent.until("status", "does not answer");
        agent.until("routes --sent tor", "10.244.1.0/24");
        world.api.start_storage();
        until_whole(&world, &agent);
    });
}

#[test]
fn a_server_that_fails_stops_nothing() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let (world, _bird) = World::routed(sandbox);
        let mut agent = world.settled_agent();

        // An object that the API server itself cannot read: no list of its kind succeeds.
        let key = STANDARD.encode("/registry/underlay.dev/fabrics/broken");
        let broken = format!("{{\"key\": \"{key}\", \"value\": \"{}\"}}", STANDARD.encode("no object"));
        world.api.storage("/v3/kv/put", &broken);
        let listed = || world.api.try_kubectl(&["get", "--raw", "/apis/underlay.dev/v1alpha1/fabrics"]);
        wait::until("a server that fails", LIMIT, || match listed() {
            Err(message) if message.contains("Error from server") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        agent.daemon.kill();
        let agent = world.agent("n1");
        agent.until("status", "has failed (500)");
        agent.until("status", "running from checkpoint");
        agent.until("peers", "Established");
        agent.until("routes --sent tor", "10.244.1.0/24");
        world.api.storage("/v3/kv/deleterange", &format!("{{\"key\": \"{key}\"}}"));
        until_whole(&world, &agent);
    });
}
