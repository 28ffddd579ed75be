//! Peers that send too much, read too little, or come in drops.

use std::io::Write as _;
use std::time::Duration;

use bgp::prefix::Prefix;

use super::rogue::{ASN, Rogue, announce, keepalive, open, raw, withdraw};
use super::scene::{LIMIT, Scene, manifest};

const NODE: &str = "10.0.2.1";
const ROGUE: &str = "10.0.2.2";

/// Between two octets of a peer that is in no hurry.
const PACE: Duration = Duration::from_millis(10);

/// Twice the hold time of the healthy session.
const WHILE: Duration = Duration::from_secs(6);

fn prefixes(third: std::ops::Range<u8>) -> Vec<Prefix> {
    third.map(|octet| format!("10.244.{octet}.0/24").parse().unwrap()).collect()
}

/// Resident memory of the agent, in KiB.
fn resident(scene: &Scene) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.node.agent.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_peer_that_floods_delays_nobody() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        let mut rogue = Rogue::connect(&scene.rogue, ROGUE, NODE);
        rogue.establish();
        let before = resident(&scene);
        // Every chunk changes a hundred routes twice; the last word is that they are there.
        let (wave, kept) = (prefixes(100..200), prefixes(100..101));
        let chunk = [withdraw(wave.clone()), announce(wave)].concat().repeat(64);
        let mut tcp = rogue.tcp.try_clone().unwrap();
        let flood = std::thread::spawn(move || {
            let end = std::time::Instant::now() + WHILE;
            let mut sent = 0;
            while std::time::Instant::now() < end {
                tcp.write_all(&chunk).unwrap();
                sent += chunk.len();
            }
            sent
        });
        while !flood.is_finished() {
            scene.exchange("");
        }
        let sent = flood.join().unwrap();
        assert!(sent > 1 << 20, "a flood of {sent} octets");
        rogue.send(&keepalive());
        scene.node.until_route(&format!("{} via {ROGUE}", kept[0]), true);
        let after = resident(&scene);
        assert!(after < before + (64 << 10), "{before} KiB before and {after} KiB after {sent} octets");
        scene.assert_untouched();
    });
}

#[test]
fn connections_without_end_take_no_place() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        // Each is replaced by the next one, and told so if it has been greeted.
        let mut open_ones: Vec<Rogue> = (0..300).map(|_| Rogue::connect(&scene.rogue, ROGUE, NODE)).collect();
        let mut last = open_ones.pop().unwrap();
        last.establish();
        for mut early in open_ones {
            let answer = early.notification();
            assert_eq!((answer.code, answer.subcode), (6, 7), "Connection Collision Resolution: {answer}");
        }
        last.send(&announce(prefixes(20..21)));
        scene.node.until_route("10.244.20.0/24", true);
        scene.exchange("");
        scene.assert_untouched();
    });
}

#[test]
fn octets_one_by_one_make_a_session() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        let mut rogue = Rogue::connect(&scene.rogue, ROGUE, NODE);
        assert_eq!(rogue.message().unwrap().0, 1, "the agent's OPEN");
        drip(&mut rogue, &open(ASN, 90, ROGUE));
        assert_eq!(rogue.message().unwrap().0, 4, "the agent's KEEPALIVE");
        drip(&mut rogue, &keepalive());
        drip(&mut rogue, &announce(prefixes(20..21)));
        scene.node.until_route("10.244.20.0/24 via 10.0.2.2", true);
        rogue.finish();
        scene.until_shown("peers", "peer closed the connection");

        // Octets that never make a message are no sign of life (RFC 4271 §8.2.2).
        let mut rogue = Rogue::connect(&scene.rogue, ROGUE, NODE);
        rogue.establish_with(3);
        rogue.tcp.set_read_timeout(Some(PACE)).unwrap();
        let mut endless = raw(4096, 2, &[]).into_iter().chain(std::iter::repeat(0));
        let answer = loop {
            rogue.send(&[endless.next().unwrap()]);
            match rogue.tcp.peek(&mut [0]) {
                // Something is there: what a session has to say by itself, or its end.
                Ok(_) => match rogue.message().expect("a NOTIFICATION comes before the end") {
                    (3, body) => break body,
                    (kind, _) => assert!(kind == 2 || kind == 4, "type {kind}"),
                },
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
            }
        };
        assert_eq!(answer, [4, 0], "Hold Timer Expired");
        scene.until_shown("peers", "nothing heard for 3s");
        scene.exchange("");
        scene.assert_untouched();
    });
}

/// Sends each octet as a segment of its own: between two of them it is waited
/// for an answer, and none of half a message may come.
fn drip(rogue: &mut Rogue, bytes: &[u8]) {
    let (last, before) = bytes.split_last().unwrap();
    for octet in before {
        rogue.send(&[*octet]);
        rogue.tcp.set_read_timeout(Some(PACE)).unwrap();
        let answer = rogue.tcp.peek(&mut [0]);
        rogue.tcp.set_read_timeout(Some(LIMIT)).unwrap();
        match answer {
            // What a session that is up has to say by itself.
            Ok(_) => match rogue.message() {
                Some((2 | 4, _)) => {}
                other => panic!("an answer to half a message: {other:?}"),
            },
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
        }
    }
    rogue.send(&[*last]);
}

/// Prefixes with so many communities that each takes an UPDATE of its own, all
/// of them different in each version.
fn advertised(version: usize) -> String {
    let communities: Vec<String> = (0..10).map(|n| format!("\"65001:{version}:{n}\"")).collect();
    let communities = communities.join(", ");
    let prefixes = (0..PREFIXES).map(|n| {
        let (high, low) = (n >> 8, n & 255);
        format!("{{prefix: 172.16.{high}.{low}/32, communities: [{communities}, \"65001:{n}:0\"]}}")
    });
    format!("advertise: {{prefixes: [{}]}}", prefixes.collect::<Vec<String>>().join(", "))
}

const PREFIXES: usize = 4000;
/// At least: header and fields, ORIGIN, AS_PATH, NEXT_HOP, eleven large communities, the prefix.
const OCTETS: usize = PREFIXES * (23 + 4 + 9 + 7 + 4 + 11 * 12 + 5);
const VERSIONS: usize = 8;

#[test]
fn a_peer_that_does_not_read_costs_little_memory_and_reads_the_newest_in_the_end() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        let mut rogue =
            Rogue::connect_with(&scene.rogue, ROGUE, NODE, |socket| socket.set_recv_buffer_size(2048));
        rogue.establish();
        let mut first = 0;
        for version in 1..=VERSIONS {
            scene.node.apply(&manifest(&advertised(version)));
            // BIRD, which reads, has all of each version.
            let last = (PREFIXES - 1, format!("(65001, {version}, 9)"));
            let shown = format!("show route 172.16.{}.{}/32 all", last.0 >> 8, last.0 & 255);
            scene.node.until(&format!("version {version} at BIRD"), || {
                let all = scene.bird.birdc("show route count");
                let route = if all.contains(&format!("{} of", PREFIXES + 2)) {
                    scene.bird.birdc(&shown)
                } else {
                    all
                };
                if route.contains(&last.1) { Ok(()) } else { Err(route) }
            });
            // What reading a configuration of this size takes for a moment is several times what a version is.
            if (2..=VERSIONS / 2).contains(&version) {
                first = first.max(resident(&scene));
            }
        }
        let after = resident(&scene);
        println!("{first} KiB with the first versions, {after} KiB with {VERSIONS}");
        assert!(
            after < first + (16 << 10),
            "{first} KiB with the first versions, {after} KiB with {VERSIONS}"
        );
        scene.exchange("");
        scene.assert_untouched();

        // Read at last: what was overtaken was never queued.
        let mut octets = 0;
        let mut newest_seen = std::collections::BTreeSet::new();
        while newest_seen.len() < PREFIXES {
            let (kind, body) = rogue.message().expect("the session is up");
            octets += 19 + body.len();
            if kind == 2 && versions(&body) == Some(VERSIONS) {
                newest_seen.insert(body[body.len() - 4..].to_vec());
            }
        }
        assert!(octets < OCTETS * VERSIONS / 2, "{octets} octets read");
        scene.assert_untouched();
    });
}

/// The version that an UPDATE's communities tell.
fn versions(body: &[u8]) -> Option<usize> {
    let at = body.windows(3).position(|octets| octets == [0xc0, 32, 132])? + 3;
    let version = body.get(at + 4..at + 8)?;
    Some(u32::from_be_bytes(version.try_into().ok()?) as usize)
}
