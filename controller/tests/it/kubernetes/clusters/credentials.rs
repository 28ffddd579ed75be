//! Credentials that expire: a token that is replaced on disk in time, and one that is not.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use labs::wait;
use serde_json::json;

use super::{ACCOUNT, LIMIT, NAMESPACE, World};

/// So many seconds an API server believes an expired token, for the sake of clocks that differ.
const LEEWAY: i64 = 60;

/// The two numbers of an ECDSA signature, as RFC 7518 §3.4 wants them, out of the form of RFC 3279 §2.2.3.
fn raw(der: &[u8]) -> Vec<u8> {
    let mut at = &der[2..];
    let mut raw = Vec::new();
    for _ in 0..2 {
        let (number, rest) = at[2..].split_at(at[1].into());
        let number = &number[number.len().saturating_sub(32)..];
        raw.extend(std::iter::repeat_n(0, 32 - number.len()));
        raw.extend(number);
        at = rest;
    }
    raw
}

/// A token of the agent's account as the API server itself signs them, that ends in so many seconds. The server's own
/// are good for ten minutes at least.
fn token(world: &World<'_>, seconds: i64) -> String {
    let now = Timestamp::now().as_second();
    let uid = world.api.kubectl(&["-n", NAMESPACE, "get", "sa", ACCOUNT, "-o", "jsonpath={.metadata.uid}"]);
    let issuer = "https://kubernetes.default.svc";
    let claims = json!({"iss": issuer, "aud": [issuer], "sub": format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}"),
        "iat": now - 600, "nbf": now - 600, "exp": now + seconds - LEEWAY,
        "kubernetes.io": {"namespace": NAMESPACE, "serviceaccount": {"name": ACCOUNT, "uid": uid.trim()}}});
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "ES256", "typ": "JWT"})), part(claims));
    let folder = world.sandbox.folder();
    fs::write(folder.join("signed"), &signed).unwrap();
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-sign"]).arg(world.api.account_key()).arg(folder.join("signed"));
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(raw(&output.stdout)))
}

/// The agent's kubeconfig with other credentials, such as `tokenFile: PATH`.
fn with(world: &World<'_>, name: &str, credentials: &str) -> PathBuf {
    let inline = fs::read_to_string(world.sandbox.folder().join("inline")).unwrap();
    let (before, rest) = inline.split_once("{token: \"").unwrap();
    let (_, after) = rest.split_once("\"").unwrap();
    let path = world.sandbox.folder().join(name);
    fs::write(&path, format!("{before}{{{credentials}{after}")).unwrap();
    path
}

/// Waits until the API server does not believe a token any more.
fn until_expired(world: &World<'_>, token: &str) {
    let config = with(world, "tried", &format!("token: \"{token}\""));
    let words = ["--kubeconfig", config.to_str().unwrap(), "get", "--raw", "/api/v1/nodes/n1"];
    wait::until("the token expired", LIMIT, || match world.api.try_kubectl(&words) {
        Err(message) if message.contains("Unauthorized") || message.contains("logged in") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_token_that_expires_is_read_again_and_stops_nothing() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let (mut world, bird) = World::routed(sandbox);
        let file = sandbox.folder().join("token");
        fs::copy(&world.config, sandbox.folder().join("inline")).unwrap();
        world.config = with(&world, "named", &format!("tokenFile: \"{}\"", file.display()));

        // Replaced on disk in time: nobody notices that the one before has ended.
        let first = token(&world, 12);
        fs::write(&file, &first).unwrap();
        let mut agent = world.agent("n1");
        agent.until("peers", "Established");
        world.until_report("{.status.peers}", "1/1", &agent);
        let second = token(&world, 60);
        fs::write(&file, &second).unwrap();
        until_expired(&world, &first);
        world.api.kill();
        world.api.start_again(&[]);
        world.originate("192.0.2.1/32");
        agent.until("routes --sent tor", "192.0.2.1/32");

        // Not replaced: what is asked for next is refused, and everything stays as it was.
        until_expired(&world, &second);
        world.api.kill();
        world.api.start_again(&[]);
        agent.until("status", "does not accept the agent's credentials (401)");
        agent.until("status", "an expired token is the usual reason");
        agent.until("peers", "Established");
        assert!(bird.birdc("show route for 192.0.2.1").contains("192.0.2.1/32"), "it is announced still");
        world.originate("192.0.2.2/32");

        // An agent that starts with it goes by its checkpoint.
        agent.daemon.kill();
        let agent = world.agent("n1");
        agent.until("status", "running from checkpoint");
        agent.until("status", "(401)");
        agent.until("peers", "Established");
        agent.until("routes --sent tor", "192.0.2.1/32");

        // Replaced after all: nobody has to start anything.
        fs::write(&file, token(&world, 3600)).unwrap();
        agent.until("routes --sent tor", "192.0.2.2/32");
        wait::until("nothing said of it", LIMIT, || !agent.ask("status").contains("401"));
        world.until_report("{.status.peers}", "1/1", &agent);
    });
}
