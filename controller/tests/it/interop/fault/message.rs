//! Broken messages, broken OPENs, and a broken attribute.

use bgp::prefix::Prefix;

use super::rogue::{ASN, Rogue, announce, keepalive, open, raw};
use super::scene::{Scene, manifest};

const NODE: &str = "10.0.2.1";
const ROGUE: &str = "10.0.2.2";
const INNER: &str = "10.0.2.3";
const STRANGER: &str = "10.0.2.4";

/// What a connection sends first, which NOTIFICATION (with its data) it gets
/// for that, and what `underlay peers` says of it.
struct Case {
    from: &'static str,
    bytes: Vec<u8>,
    answer: (u8, u8, &'static [u8]),
    says: &'static str,
}

fn case(bytes: Vec<u8>, answer: (u8, u8, &'static [u8]), says: &'static str) -> Case {
    Case { from: ROGUE, bytes, answer, says }
}

/// An OPEN in which one octet, counted from the header's start, is another.
fn open_with(at: usize, octet: u8) -> Vec<u8> {
    let mut bytes = open(ASN, 90, ROGUE);
    bytes[at] = octet;
    bytes
}

fn first_messages() -> Vec<Case> {
    vec![
        case(
            b"GET / HTTP/1.1\r\nHost: node\r\n\r\n".to_vec(),
            (1, 1, &[]),
            "sent Message Header Error/Connection Not Synchronized (1/1)",
        ),
        case(open(65999, 90, ROGUE), (2, 2, &[]), "peer AS is 65999, expected 65200"),
        Case {
            from: INNER,
            bytes: open(65001, 90, "10.0.1.2"),
            answer: (2, 3, &[]),
            says: "peer's router id 10.0.1.2 is our own",
        },
        case(open(ASN, 1, ROGUE), (2, 6, &[]), "sent OPEN Message Error/Unacceptable Hold Time (2/6)"),
        case(open(ASN, 90, "0.0.0.0"), (2, 3, &[]), "sent OPEN Message Error/Bad BGP Identifier (2/3)"),
        case(
            open_with(19, 3),
            (2, 1, &[0, 4]),
            "sent OPEN Message Error/Unsupported Version Number (2/1), data 00 04",
        ),
        // The optional parameters are said to be longer than they are.
        case(open_with(28, 200), (2, 0, &[]), "sent OPEN Message Error (2/0)"),
        case(
            raw(18, 4, &[]),
            (1, 2, &[0, 18]),
            "sent Message Header Error/Bad Message Length (1/2), data 00 12",
        ),
        case(
            raw(28, 1, &[4, 0xfe, 0xb0, 0, 90, 10, 0, 2, 2]),
            (1, 2, &[0, 28]),
            "sent Message Header Error/Bad Message Length (1/2), data 00 1c",
        ),
        case(
            raw(4097, 1, &[0; 64]),
            (1, 2, &[0x10, 0x01]),
            "sent Message Header Error/Bad Message Length (1/2), data 10 01",
        ),
        case(
            raw(65535, 1, &[0; 64]),
            (1, 2, &[0xff, 0xff]),
            "sent Message Header Error/Bad Message Length (1/2), data ff ff",
        ),
        case(raw(19, 9, &[]), (1, 3, &[9]), "sent Message Header Error/Bad Message Type (1/3), data 09"),
        case(keepalive(), (5, 1, &[4]), "KEEPALIVE received in OpenSent"),
        case(announce([prefix("10.244.20.0/24")]), (5, 1, &[2]), "UPDATE received in OpenSent"),
    ]
}

/// The same for what comes over a session that is up.
fn later_messages() -> Vec<Case> {
    vec![
        case(open(ASN, 90, ROGUE), (5, 3, &[1]), "OPEN received in Established"),
        case(
            raw(20, 4, &[0]),
            (1, 2, &[0, 20]),
            "sent Message Header Error/Bad Message Length (1/2), data 00 14",
        ),
        // The withdrawn routes are longer than the message.
        case(
            raw(23, 2, &[0, 9, 0, 0]),
            (3, 1, &[]),
            "sent UPDATE Message Error/Malformed Attribute List (3/1)",
        ),
        case(
            raw(24, 2, &[0, 0, 0, 0, 33]),
            (3, 10, &[]),
            "sent UPDATE Message Error/Invalid Network Field (3/10)",
        ),
        // A NOTIFICATION without room for its code is an error of the header, and answered (RFC 4271 §6.1).
        case(
            raw(19, 3, &[]),
            (1, 2, &[0, 19]),
            "sent Message Header Error/Bad Message Length (1/2), data 00 13",
        ),
        case(
            raw(22, 2, &[0, 0, 0]),
            (1, 2, &[0, 22]),
            "sent Message Header Error/Bad Message Length (1/2), data 00 16",
        ),
    ]
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

#[track_caller]
fn assert_refused(scene: &Scene, mut rogue: Rogue, case: &Case) {
    rogue.send(&case.bytes);
    let (code, subcode, data) = case.answer;
    let answer = rogue.notification();
    assert_eq!((answer.code, answer.subcode, answer.data.as_slice()), (code, subcode, data), "{}", case.says);
    scene.until_shown("peers", case.says);
}

#[test]
fn broken_messages_are_answered_by_name() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        for case in first_messages() {
            let rogue = Rogue::connect(&scene.rogue, case.from, NODE);
            assert_refused(&scene, rogue, &case);
            scene.assert_untouched();
        }
        for case in later_messages() {
            let mut rogue = Rogue::connect(&scene.rogue, ROGUE, NODE);
            rogue.establish();
            assert_refused(&scene, rogue, &case);
            scene.assert_untouched();
        }

        // Half a message and the end of the connection.
        let mut rogue = Rogue::connect(&scene.rogue, ROGUE, NODE);
        rogue.send(&open(ASN, 90, ROGUE)[..25]);
        rogue.finish();
        scene.until_shown("peers", "peer closed the connection");
        // After all that the same peer has its session.
        let mut rogue = Rogue::connect(&scene.rogue, ROGUE, NODE);
        rogue.establish();
        rogue.send(&announce([prefix("10.244.20.0/24")]));
        scene.node.until_route("10.244.20.0/24 via 10.0.2.2", true);
        scene.exchange("");
        scene.assert_untouched();
    });
}

#[test]
fn strangers_are_turned_away_and_named() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        for bytes in [open(ASN, 90, STRANGER), b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()] {
            let mut stranger = Rogue::connect(&scene.rogue, STRANGER, NODE);
            stranger.send(&bytes);
            let answer = stranger.notification();
            assert_eq!((answer.code, answer.subcode), (6, 5), "Connection Rejected: {answer}");
        }
        scene.until_logged("no peer has the address 10.0.2.4");
        // Said once, however often it comes.
        let log = scene.node.agent.log();
        let lines = log.lines().filter(|line| line.contains("no peer has the address")).count();
        assert_eq!(lines, 1, "{log}");
        scene.exchange("");
        scene.assert_untouched();
    });
}

/// It asks for the greatest TTL (RFC 5082), and would wait for its hold timer else: OpenBGPD refuses our own attempts
/// meanwhile.
#[test]
fn a_stranger_that_hears_neighbours_alone_hears_the_end() {
    labs::require!("root", "bird", "nft");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        for words in [
            "add table ip near".to_owned(),
            "add chain ip near in { type filter hook input priority 0 ; }".to_owned(),
            format!("add rule ip near in ip saddr {NODE} ip ttl != 255 drop"),
        ] {
            let output = scene.rogue.exec("nft", words.split(' ')).output().unwrap();
            assert!(output.status.success(), "{words}: {output:?}");
        }
        let mut stranger = Rogue::connect(&scene.rogue, STRANGER, NODE);
        stranger.send(&open(ASN, 90, STRANGER));
        let answer = stranger.notification();
        assert_eq!((answer.code, answer.subcode), (6, 5), "Connection Rejected: {answer}");
        assert!(stranger.message().is_none(), "and the end");
        scene.exchange("");
        scene.assert_untouched();
    });
}

#[test]
fn a_route_with_a_broken_attribute_is_withdrawn_and_the_session_stays() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        let mut rogue = Rogue::connect(&scene.rogue, ROGUE, NODE);
        rogue.establish();
        let (bad, good) = (prefix("10.244.20.0/24"), prefix("10.244.21.0/24"));
        rogue.send(&announce([bad, good]));
        scene.node.until_route("10.244.20.0/24 via 10.0.2.2", true);
        scene.node.until_route("10.244.21.0/24 via 10.0.2.2", true);

        // ORIGIN is the first attribute: flags, type, length, and a value that is none.
        let mut update = announce([bad]);
        let origin = update.windows(4).position(|octets| octets == [0x40, 1, 1, 0]).unwrap();
        update[origin + 3] = 7;
        rogue.send(&update);
        scene.node.until_route("10.244.20.0/24", false);
        scene.until_shown(
            "peers",
            "1 malformed: ORIGIN (1): value 7 is not defined: treat-as-withdraw (RFC 7606 7.1)",
        );
        scene.until_shown(
            "explain 10.244.20.0/24",
            "10.244.20.0/24 on node is NOT installed: what rogue sent of it was malformed",
        );
        let story = scene.node.ask("explain 10.244.20.0/24");
        let why = "withdrawn ORIGIN (1): value 7 is not defined: treat-as-withdraw (RFC 7606 7.1)";
        assert!(story.contains(why), "{story}");
        assert!(scene.node.routes().contains("10.244.21.0/24"), "{}", scene.node.routes());

        // An attribute that overruns the attributes: still every prefix is found and withdrawn.
        rogue.send(&announce([bad]));
        scene.node.until_route("10.244.20.0/24", true);
        let mut update = announce([bad]);
        update[origin + 2] = 200;
        rogue.send(&update);
        scene.node.until_route("10.244.20.0/24", false);
        scene.until_shown("peers", "2 malformed: ORIGIN (1): ");

        rogue.send(&announce([bad]));
        scene.node.until_route("10.244.20.0/24 via 10.0.2.2", true);
        let story = scene.node.ask("explain 10.244.20.0/24");
        assert!(!story.contains("malformed"), "{story}");
        rogue.send(&keepalive());
        let ups = scene.node.ask("peers -o json");
        let peers: serde_json::Value = serde_json::from_str(&ups).unwrap();
        let rogue_peer =
            peers["peers"].as_array().unwrap().iter().find(|peer| peer["name"] == "rogue").unwrap();
        assert_eq!(rogue_peer["established_count"], 1, "{ups}");
        scene.exchange("");
        scene.assert_untouched();
    });
}
