//! A full disk: sessions and routes go on, what cannot be written is named, and it is written once there is room.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use labs::Sandbox;
use labs::bird::Bird;
use nix::mount::{MsFlags, mount};

use super::bird::{FAR_V4, config, manifest, rack, until_bird};
use super::node::Node;

const FULL: &str = "No space left on device";

/// A small file system that is filled up and emptied.
struct Disk(PathBuf);

impl Disk {
    fn new(sandbox: &Sandbox) -> Self {
        let path = sandbox.folder().join("state");
        fs::create_dir_all(&path).unwrap();
        let (kind, options) = (Some("tmpfs"), Some("size=256k,nr_inodes=32"));
        mount(kind, &path, kind, MsFlags::empty(), options).unwrap();
        Self(path)
    }

    fn filler(&self, number: usize) -> PathBuf {
        self.0.join(format!("filler-{number}"))
    }

    /// Not a byte and not a file more.
    fn fill(&self) {
        let mut file = fs::File::options().create(true).append(true).open(self.filler(0)).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        for number in 1..100 {
            if fs::write(self.filler(number), "").is_err() {
                return;
            }
        }
        panic!("the disk takes more files than it may");
    }

    fn empty(&self) {
        (0..100).for_each(|number| drop(fs::remove_file(self.filler(number))));
    }
}

#[track_caller]
fn until_logged(node: &Node, words: &[&str]) {
    node.until(&format!("the log to say {words:?}"), || {
        let log = node.agent.log();
        if log.lines().any(|line| words.iter().all(|word| line.contains(word))) { Ok(()) } else { Err(log) }
    });
}

#[track_caller]
fn until_status(node: &Node, there: bool, word: &str) {
    node.until(&format!("status to say {word}: {there}"), || {
        let status = node.ask("status");
        if status.starts_with("NODE") && status.contains(word) == there { Ok(()) } else { Err(status) }
    });
}

fn advertising(prefix: &str) -> String {
    manifest("10.0.1.1", &format!("advertise: {{prefixes: [{{prefix: {prefix}}}]}}"))
}

fn checkpoint(path: &Path) -> String {
    fs::read_to_string(path.join("checkpoint.json")).unwrap_or_default()
}

#[test]
fn routes_go_on_and_files_follow_when_there_is_room() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &config("10.0.1.2", true));
        let disk = Disk::new(sandbox);
        let recording = disk.0.join("recording");
        let more = ["--record", recording.to_str().unwrap()];
        let state = disk.0.clone();
        let first = advertising("10.244.200.1/32");
        let mut node = Node::start_in(sandbox, node, "node", &first, state, &more);
        node.until_route(FAR_V4, true);
        node.until("the checkpoint", || checkpoint(&disk.0).contains("10.244.200.1/32"));

        // The disk fills up: the next configuration holds all the same, and what is not kept is named.
        disk.fill();
        node.apply(&advertising("10.244.200.2/32"));
        until_bird(&node, &bird, "10.244.200.2/32", Some("BGP.next_hop: 10.0.1.2"));
        let file = disk.0.join("checkpoint.json");
        let words = ["\"impaired\"", "checkpoint: ", file.to_str().unwrap(), FULL];
        until_logged(&node, &words);
        until_logged(&node, &["\"impaired\"", "recording: ", recording.to_str().unwrap(), FULL]);
        until_status(&node, true, "impaired: checkpoint: ");
        until_status(&node, true, "impaired: recording: ");
        assert_eq!(node.run("status --check").status.code(), Some(3));
        let said = node.ask("events");
        assert!(said.contains("impaired") && said.contains(FULL), "{said}");
        assert!(checkpoint(&disk.0).contains("10.244.200.1/32"), "the one before is whole");
        // A drain that nobody would remember is none.
        let output = node.run("drain");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("drain.json: ") && said.contains(FULL) && said.contains("nothing has changed"),
            "{said}"
        );
        assert!(!node.ask("status").contains("drained"), "{}", node.ask("status"));

        // An agent that starts with a full disk has no status, and routes none the less.
        node.agent.kill();
        fs::remove_file(disk.0.join("status.sock")).unwrap();
        disk.fill();
        node.netns.ip("-4 route flush proto 171");
        node.restart(sandbox, "node");
        node.until_route(FAR_V4, true);
        until_logged(&node, &["status-socket: ", "status.sock", FULL]);
        until_bird(&node, &bird, "10.244.200.2/32", Some("BGP.next_hop: 10.0.1.2"));
        assert!(node.run("status").status.code() == Some(5), "nobody answers");

        // There is room again: everything is there, and nothing is impaired.
        disk.empty();
        until_status(&node, false, "impaired");
        node.until("the checkpoint", || checkpoint(&disk.0).contains("10.244.200.2/32"));
        until_logged(&node, &["\"recovered\"", "\"checkpoint\""]);
        until_logged(&node, &["\"recovered\"", "\"status-socket\""]);
        assert!(!disk.0.join("checkpoint.json.new").exists());
    });
}
