//! Two racks and a spine, all of them agents that record, through hundreds of faults from a printed seed; then every
//! recording is replayed, and gives the same effects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use labs::{Sandbox, wait};

use crate::interop::node::Node;

/// Faults, and how many come before everything has to be there again.
const FAULTS: usize = 300;
const ROUND: usize = 30;

/// How long everything may take to be there again: some hold times, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Name, AS, and the third octet of its prefix of pods, if it has pods.
const ROUTERS: [(&str, u32, Option<u8>); 7] = [
    ("spine", 65100, None),
    ("tor1", 65101, None),
    ("tor2", 65102, None),
    ("n11", 65111, Some(11)),
    ("n12", 65112, Some(12)),
    ("n21", 65121, Some(21)),
    ("n22", 65122, Some(22)),
];

/// Links by the indices of their ends; the link's number is the third octet of its subnet.
const LINKS: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)];

/// xorshift64: enough to choose faults, the same ones for a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }
}

/// A router's address on a link: the first end has the first one.
fn address(link: usize, router: usize) -> String {
    format!("10.0.{link}.{}", if LINKS[link].0 == router { 1 } else { 2 })
}

fn links_of(router: usize) -> impl Iterator<Item = (usize, usize)> {
    let of = move |(link, (a, b)): (usize, &(usize, usize))| {
        if *a == router {
            Some((link, *b))
        } else if *b == router {
            Some((link, *a))
        } else {
            None
        }
    };
    LINKS.iter().enumerate().filter_map(of)
}

/// A router's manifests; `more` prefixes are announced beside that of its pods.
fn manifest(router: usize, more: usize) -> String {
    let (name, asn, pods) = ROUTERS[router];
    let (link, _) = links_of(router).next().unwrap();
    let cidrs = pods.map(|third| format!("10.244.{third}.0/24")).unwrap_or_default();
    let prefixes: Vec<String> =
        (0..more).map(|n| format!("{{prefix: 10.244.{}.{n}/32}}", 100 + router)).collect();
    let mut text = format!(
        "apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {{name: rack}}\nspec:\n  \
         asn: {{value: {asn}}}\n  podPrefixes: [10.244.0.0/16]\n  transit: {}\n  \
         timers: {{hold: 3s, keepalive: 1s, connectRetry: 1s}}\n  advertise: {{prefixes: [{}]}}\n\
         ---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{podCIDRs: [{cidrs}]}}\n\
         status: {{addresses: [{{type: InternalIP, address: {}}}]}}\n",
        pods.is_none(),
        prefixes.join(", "),
        address(link, router),
    );
    for (link, other) in links_of(router) {
        text += &format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: {}}}\n\
             spec: {{address: {}, asn: {}}}\n",
            ROUTERS[other].0,
            address(link, other),
            ROUTERS[other].1,
        );
    }
    text
}

struct Fabric<'a> {
    sandbox: &'a Sandbox,
    nodes: Vec<Node>,
    recordings: Vec<PathBuf>,
}

impl<'a> Fabric<'a> {
    fn start(sandbox: &'a Sandbox) -> Self {
        let netns: Vec<_> = ROUTERS.iter().map(|(name, ..)| sandbox.router(name)).collect();
        for (link, (a, b)) in LINKS.into_iter().enumerate() {
            let end = format!("eth{link}");
            sandbox.link(&netns[a], &end, &netns[b], &end);
            for router in [a, b] {
                netns[router].ip(&format!("addr add {}/24 dev {end}", address(link, router)));
            }
        }
        let mut fabric = Self { sandbox, nodes: Vec::new(), recordings: Vec::new() };
        for (router, netns) in netns.into_iter().enumerate() {
            let name = ROUTERS[router].0;
            let recording = fabric.recording(name);
            let (state, more) = (sandbox.folder().join(name), ["--record", recording.to_str().unwrap()]);
            let node = Node::start_in(sandbox, netns, name, &manifest(router, 0), state, &more);
            fabric.nodes.push(node);
        }
        fabric
    }

    fn recording(&mut self, name: &str) -> PathBuf {
        let file = self.sandbox.folder().join(format!("{name}-{}.recording", self.recordings.len()));
        self.recordings.push(file.clone());
        file
    }

    /// One fault of whatever kind.
    fn fault(&mut self, chance: &mut Chance) {
        let router = chance.below(self.nodes.len());
        let name = ROUTERS[router].0;
        let peers: Vec<(usize, usize)> = links_of(router).collect();
        let (link, other) = peers[chance.below(peers.len())];
        let node = &mut self.nodes[router];
        match chance.below(20) {
            0..4 => {
                node.netns.ip(&format!("link set eth{link} down"));
                node.netns.ip(&format!("link set eth{link} up"));
            }
            // It fails where the agent repairs what it is about to delete.
            4..7 => drop(node.netns.exec("ip", ["route", "flush", "proto", "171"]).output()),
            7..9 => drop(node.ask(&format!("reset {}", ROUTERS[other].0))),
            9..12 => drop(node.ask(&format!("reset {} --soft", ROUTERS[other].0))),
            12..14 => drop(node.ask("drain")),
            14..15 => drop(node.ask("drain --pods")),
            15..16 => drop(node.ask("undrain")),
            16..19 => node.apply(&manifest(router, chance.below(40))),
            _ => {
                node.agent.kill();
                let recording = self.recording(name);
                let more = ["--record", recording.to_str().unwrap()];
                self.nodes[router].restart_with(self.sandbox, name, &more);
            }
        }
    }

    /// Waits until each node has the way to the pods of every other.
    #[track_caller]
    fn until_whole(&self, seed: u64) {
        for (router, node) in self.nodes.iter().enumerate() {
            // An agent that has just started takes no orders yet.
            wait::until("the order to be taken", LIMIT, || node.run("undrain").status.success());
            node.apply(&manifest(router, 0));
        }
        let pods = || ROUTERS.iter().enumerate().filter_map(|(router, (.., pods))| Some((router, (*pods)?)));
        for (router, _) in pods() {
            let node = &self.nodes[router];
            let missing = || {
                let routes = node.routes();
                let others = pods().filter(|(other, _)| *other != router);
                let mut missing =
                    others.filter(|(_, third)| !routes.contains(&format!("10.244.{third}.0/24 via")));
                match missing.next() {
                    None if !routes.contains("/32 via") && !routes.contains("10.244.10") => Ok(()),
                    _ => Err(routes),
                }
            };
            let name = ROUTERS[router].0;
            if let Err(message) = wait::attempt("every node's pods, and nothing more", LIMIT, missing) {
                panic!("seed {seed}: {name}: {message}\n{}\n{}", node.ask("peers"), node.agent.log());
            }
        }
    }
}

/// The turns of a recording, all of which agree.
#[track_caller]
fn replayed(file: &Path, seed: u64) -> u64 {
    let output = Command::new(env!("CARGO_BIN_EXE_underlay")).arg("replay").arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("turns agree"),
        "seed {seed}: {}: {output:?}",
        file.display()
    );
    said.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn busy_racks_are_recorded_and_replayed() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let seed = 0x5eed_0001;
        println!("seed {seed}");
        let mut chance = Chance(seed);
        let mut fabric = Fabric::start(sandbox);
        fabric.until_whole(seed);
        for _ in 0..FAULTS / ROUND {
            for _ in 0..ROUND {
                fabric.fault(&mut chance);
            }
            fabric.until_whole(seed);
        }
        for node in &mut fabric.nodes {
            node.agent.terminate();
        }
        let (mut turns, mut bytes) = (0, 0);
        for recording in &fabric.recordings {
            bytes += fs::metadata(recording).unwrap().len();
            turns += replayed(recording, seed);
        }
        println!("{FAULTS} faults, {} recordings, {bytes} bytes, {turns} turns", fabric.recordings.len());
        assert!(turns > 2_000, "{turns}");
    });
}
