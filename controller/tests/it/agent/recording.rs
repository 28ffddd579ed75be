//! Recordings of the loop: the same turns again, and whatever differs is named.

use std::fs;
use std::path::{Path, PathBuf};

use bgp::io::Transport;
use bgp::prefix::Prefix;
use bgp::time::Duration;
use controller::event::Event;
use controller::kernel::KernelEvent;
use controller::record::{LIMIT, Recorder, Replay, replay};
use controller::transport::TransportEvent;

use super::fake::{World, announce, keepalive, manifests};

fn prefixes(count: u32) -> impl Iterator<Item = Prefix> {
    (0..count).map(|n| Prefix::new(std::net::Ipv4Addr::from_bits(0x0af4_0000 | n << 8).into(), 24).unwrap())
}

/// A busy life of some seconds, recorded into a file of the folder.
fn record(folder: &Path, limit: u64) -> PathBuf {
    let file = folder.join("recording");
    let mut world = World::new();
    world.agent.record(Recorder::create(&file, limit).unwrap());
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    for round in 0..5 {
        let conn = world.connecting("10.0.1.1:179");
        world.establish(conn, 65100, 9);
        for command in std::mem::take(&mut world.agent.drivers().kernel) {
            if let controller::kernel::Command::Tracking(tracking) = command {
                for tracking in tracking {
                    if let bgp::io::Tracking::Start(next_hop) = tracking {
                        world.put(Event::Kernel(KernelEvent::NextHop { next_hop, metric: Some(0) }));
                    }
                }
            }
        }
        world.bytes(conn, announce(65100, "10.0.1.1", prefixes(50 + round)));
        world.run();
        world.bytes(conn, keepalive());
        world.run_for(Duration::from_secs(2));
        world.put(Event::Transport(TransportEvent::Closed { conn, error: Some("reset".into()) }));
        world.told();
        // Each short session has the next attempt wait for longer.
        let asked = |world: &mut World| {
            let told = &world.agent.drivers().transport;
            told.iter().any(|(_, effect)| matches!(effect, Transport::Connect { .. }))
        };
        while !asked(&mut world) {
            world.run_for(Duration::from_secs(1));
        }
    }
    world.agent.stop(false);
    file
}

fn replayed(text: &str) -> Result<Replay, String> {
    replay(text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn a_recording_gives_the_same_turns_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(record(folder.path(), LIMIT)).unwrap();
    let found = replayed(&text).unwrap();
    assert!(found.turns > 30, "{found:?}");
    assert_eq!((found.differs, found.stopped), (None, None));
    // A line that was cut off at the end, as by a kill.
    assert_eq!(replayed(&text[..text.len() - 9]).unwrap().turns, found.turns - 1);
}

#[test]
fn the_first_turn_that_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(record(folder.path(), LIMIT)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // The last bytes that came are others: the first octet of the marker.
    let at = lines.iter().rposition(|line| line.contains("base64")).unwrap();
    let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    changed[at] = changed[at].replacen("\"base64\":\"/", "\"base64\":\"A", 1);
    assert_ne!(changed[at], lines[at]);
    let turn = |line: &str| line.starts_with("{\"turn\"");
    let number = lines[..at].iter().filter(|line| turn(line)).count() as u64 + 1;
    let line = at + lines[at..].iter().position(|line| turn(line)).unwrap() + 1;
    let found = replayed(&changed.join("\n")).unwrap();
    assert_eq!(found.differs, Some((number, line)));
    assert_eq!(found.turns, number - 1);

    // Another seed gives other jitter, and so on.
    let seed = text.replacen("\"seed\":7", "\"seed\":8", 1);
    assert_ne!(seed, text);
    assert!(replayed(&seed).unwrap().differs.is_some());
}

#[test]
fn what_is_no_recording_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(record(folder.path(), LIMIT)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(replayed("").unwrap_err(), "line 1: the file is empty");
    assert!(replayed("hello\nworld\n").unwrap_err().starts_with("line 1: "));
    assert_eq!(replayed(&lines[1..].join("\n")).unwrap_err(), "line 1: a recording begins with `start`");
    let format = text.replacen("\"format\":1", "\"format\":9", 1);
    assert_eq!(replayed(&format).unwrap_err(), "line 1: the format is 9, and 1 is read");
    let mut broken = lines.clone();
    broken[3] = "{\"handle\":{}}";
    assert!(replayed(&broken.join("\n")).unwrap_err().starts_with("line 4: missing field"));
    let turn = lines.iter().position(|line| line.starts_with("{\"turn\"")).unwrap();
    broken = lines.clone();
    broken.remove(turn);
    assert!(replayed(&broken.join("\n")).unwrap_err().contains("turn 2 follows turn 0"));
}

#[test]
fn a_recording_is_bounded_and_says_so() {
    let (whole, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let limit = fs::metadata(record(whole.path(), LIMIT)).unwrap().len() / 2;
    let file = record(folder.path(), limit);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.len() as u64 <= limit, "{} of {limit}", text.len());
    let found = replayed(&text).unwrap();
    assert_eq!(found.stopped.as_deref(), Some(format!("{limit} bytes are the most").as_str()));
    assert!(found.turns > 0 && found.differs.is_none(), "{found:?}");
    assert!(Recorder::create(&file, LIMIT).is_err(), "a file that is there is never written over");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
