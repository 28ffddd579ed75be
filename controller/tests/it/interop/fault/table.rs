//! Each line of the speaker's table of errors, over TCP, against the agent, and
//! beside a session with BIRD that must not notice.

#[path = "../../../../../bgp/tests/it/errors/table.rs"]
mod cases;

use std::collections::BTreeMap;

use api::v1;
use bgp::prefix::Prefix;
use controller::cli::client::{self, Answers};
use controller::cli::failure::Failure;
use controller::cli::target::Targets;
use labs::Sandbox;

use self::cases::{Case, Follows, State, Table, message};
use super::rogue::Rogue;
use super::scene::{Scene, manifest};

const NODE: &str = "10.0.2.1";
/// What may be learned beside the cluster's own: the table's prefixes of both families.
const MORE: &str = "accept: [10.244.0.0/16, \"fd00::/8\"]";

/// The peer that a state speaks of: where it connects from, and its name.
fn remote(state: State) -> (&'static str, &'static str) {
    if state.is_internal() { ("10.0.2.3", "inner") } else { ("10.0.2.2", "rogue") }
}

/// The agent's answers to a client.
struct Eyes<'s> {
    scene: &'s Scene,
    runtime: tokio::runtime::Runtime,
}

impl Eyes<'_> {
    fn new(scene: &Scene) -> Eyes<'_> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Eyes { scene, runtime }
    }

    fn ask<T>(&self, question: impl AsyncFn(client::Client) -> Result<T, tonic::Status>) -> T {
        let sockets = [self.scene.node.socket()];
        let targets = Targets::sockets(&sockets);
        let asked = client::ask_each(&targets, async |agent| {
            question(agent).await.map_err(|status| Failure::answered(&status))
        });
        let Answers { mut answers, failures, .. } = self.runtime.block_on(asked);
        answers.pop().unwrap_or_else(|| panic!("{failures:?}"))
    }

    /// The peer, once the status has it: it is a little later than what it shows.
    #[track_caller]
    fn peer(&self, name: &str) -> v1::Peer {
        self.scene.node.until(&format!("peer {name} in the status"), || {
            let peers = self.ask(async |mut agent| {
                Ok(agent.list_peers(v1::ListPeersRequest {}).await?.into_inner().peers)
            });
            peers.into_iter().find(|peer| peer.name == name)
        })
    }

    /// The peer's path to a prefix.
    fn path(&self, name: &str, prefix: Prefix) -> Option<v1::Path> {
        let subject = v1::explain_request::Subject::Prefix(prefix.to_string());
        let answer = self.ask(async |mut agent| {
            let request = v1::ExplainRequest { subject: Some(subject.clone()) };
            Ok(agent.explain(request).await?.into_inner().explanation)
        });
        let Some(v1::explain_response::Explanation::Prefix(story)) = answer else { return None };
        let of =
            |path: &v1::Path| matches!(&path.source, Some(v1::path::Source::Peer(peer)) if peer.name == name);
        story.route?.paths.into_iter().find(of)
    }

    #[track_caller]
    fn until_accepted(&self, what: &str, name: &str, prefix: Prefix) {
        self.scene.node.until(&format!("{what}: {prefix} of {name}"), || match self.path(name, prefix) {
            Some(path) if path.accepted => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

/// Leads a connection to the state of the case, and one more step.
fn run(table: &Table, eyes: &Eyes<'_>, case: &Case, number: usize) {
    let what = format!("{} ({})", case.name, case.rule);
    let (from, name) = remote(case.state);
    let mut rogue = Rogue::connect(&eyes.scene.rogue, from, NODE);
    assert_eq!(rogue.message().expect("an OPEN").0, 1, "{what}");
    let greeted = !matches!(case.state, State::OpenSent | State::InnerOpenSent);
    if greeted {
        rogue.send(&table.open(case.state));
        assert_eq!(rogue.message().expect("a KEEPALIVE").0, 4, "{what}");
    }
    if case.state.is_up() {
        rogue.send(&message(4, &[]));
    }
    if let Follows::Withdraw(prefix) = case.follows {
        rogue.send(&table.announce(case.state, prefix));
        eyes.until_accepted(&what, name, prefix);
    }
    rogue.send(&case.sent);
    match &case.follows {
        Follows::Close(code, subcode, data) => {
            let told = rogue.notification();
            assert_eq!((told.code, told.subcode, &told.data), (*code, *subcode, data), "{what}");
        }
        Follows::Silent => {
            while let Some((kind, body)) = rogue.message() {
                assert_ne!(kind, 3, "{what}: {body:?}");
            }
        }
        Follows::Confirm => {
            assert_eq!(rogue.message().map(|(kind, _)| kind), Some(4), "{what}");
            rogue.finish();
        }
        follows => {
            // What comes later is dealt with later: when it is there, all before it is done.
            let sentinel: Prefix = format!("10.244.{}.0/24", 100 + number % 100).parse().unwrap();
            rogue.send(&table.announce(case.state, sentinel));
            eyes.until_accepted(&what, name, sentinel);
            match *follows {
                Follows::Accept(prefix) => {
                    assert!(eyes.path(name, prefix).is_some_and(|path| path.accepted), "{what}");
                }
                Follows::Discard(prefix) => {
                    assert!(eyes.path(name, prefix).is_some_and(|path| path.accepted), "{what}");
                }
                Follows::Refuse(word, prefix) => {
                    let path = eyes.path(name, prefix).unwrap_or_else(|| panic!("{what}: kept"));
                    assert_eq!((path.accepted, path.verdict.as_str()), (false, word), "{what}");
                }
                Follows::Withdraw(prefix) => {
                    assert_eq!(eyes.path(name, prefix), None, "{what}");
                }
                Follows::Ignore(prefix) => assert_eq!(eyes.path(name, prefix), None, "{what}"),
                Follows::Close(..) | Follows::Silent | Follows::Confirm => unreachable!("dealt with above"),
            }
            // Nothing was said against it up to the end.
            rogue.tcp.shutdown(std::net::Shutdown::Write).unwrap();
            while let Some((kind, body)) = rogue.message() {
                assert_ne!(kind, 3, "{what}: {body:?}");
            }
        }
    }
}

impl Case {
    /// Whether it counts as an UPDATE with malformed attributes that did not end the session.
    fn is_counted(&self) -> bool {
        matches!(self.follows, Follows::Discard(_) | Follows::Withdraw(_))
    }
}

/// Each case of a share of the table, and BIRD beside them.
fn share(sandbox: &Sandbox, part: usize, parts: usize) {
    let mut scene = Scene::start(sandbox, &manifest(MORE), "");
    let table = Table::read();
    let eyes = Eyes::new(&scene);
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    // RFC 8950 is offered over IPv6, and this is IPv4.
    let cases = table.cases.iter().enumerate().filter(|(_, case)| case.state != State::Extended);
    for (number, case) in cases.filter(|(number, _)| number % parts == part) {
        run(&table, &eyes, case, number);
        if case.is_counted() {
            *counted.entry(remote(case.state).1).or_insert(0) += 1;
        }
        // The status is a little later than what it shows.
        let name = remote(case.state).1;
        let expected = counted.get(name).copied().unwrap_or(0);
        if case.is_counted() || number + parts >= table.cases.len() {
            scene.node.until(&format!("{}: {expected} malformed of {name}", case.name), || {
                let count = eyes.peer(name).malformed_count;
                if count == expected { Ok(()) } else { Err(count.to_string()) }
            });
        }
    }
    drop(eyes);
    scene.exchange("");
    scene.assert_untouched();
}

#[test]
fn the_first_third_of_the_errors_over_tcp() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| share(sandbox, 0, 3));
}

#[test]
fn the_second_third_of_the_errors_over_tcp() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| share(sandbox, 1, 3));
}

#[test]
fn the_last_third_of_the_errors_over_tcp() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| share(sandbox, 2, 3));
}

#[test]
fn the_last_notification_each_way_is_shown() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        let mut rogue = Rogue::connect(&scene.rogue, "10.0.2.2", NODE);
        rogue.establish();
        rogue.send(&message(3, &[&[6, 2, 11][..], b"maintenance"].concat()));
        rogue.finish();
        let words = "peer sent Cease/Administrative Shutdown (6/2): \"maintenance\"";
        scene.until_shown("peers", words);
        scene.until_shown("peers -o wide", "Cease/Administrative Shutdown (6/2): \"maintenance\", ");
        scene.until_shown("explain 10.0.2.2", "06 02 0b 6d 61 69 6e 74 65 6e 61 6e 63 65");
        scene.until_shown(
            "events",
            "peer sent Cease/Administrative Shutdown (6/2): \"maintenance\", in hex 06 02 0b 6d",
        );
        let mut rogue = Rogue::connect(&scene.rogue, "10.0.2.2", NODE);
        rogue.establish();
        rogue.send(&message(9, &[]));
        assert_eq!(rogue.notification().to_string(), "Message Header Error/Bad Message Type (1/3), data 09");
        scene.until_shown("peers -o wide", "Message Header Error/Bad Message Type (1/3), data 09, ");
        let json: serde_json::Value = serde_json::from_str(&scene.node.ask("peers -o json")).unwrap();
        let peers = json["peers"].as_array().unwrap();
        let peer = peers.iter().find(|peer| peer["name"] == "rogue").unwrap();
        assert_eq!(peer["notification_sent"]["hex"], "01 03 09", "{peer}");
        assert_eq!(peer["notification_received"]["communication"], "maintenance", "{peer}");

        // Who is disabled is told why, in the operator's words (RFC 9003).
        let mut rogue = Rogue::connect(&scene.rogue, "10.0.2.2", NODE);
        rogue.establish();
        scene.node.apply(&manifest("").replace(
            "{address: 10.0.2.2, asn: 65200,",
            "{address: 10.0.2.2, asn: 65200, disabled: true, description: \"ticket 17\",",
        ));
        let told = rogue.notification();
        assert_eq!(told.text(), Some("the peer is disabled: ticket 17"), "{told}");
        scene.assert_untouched();
    });
}
