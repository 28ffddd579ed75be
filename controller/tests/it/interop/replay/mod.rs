//! Whole tables through one daemon, the agent and another daemon: what the last one dumps of its own table is what was
//! announced to the first, prefix by prefix and attribute by attribute, but for what an RFC says must change.
//!
//! ```text
//! source ── BIRD or FRR (65100) ── agent (65001, transit) ── FRR or BIRD (65200)
//! ```
//!
//! Real tables (MRT) come from the folder that `UNDERLAY_MRT_DATA` names; the made-up one needs none.

mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Netns, Sandbox, need, wait};

use self::table::{AGGREGATOR, AS_PATH, Attributes, COMMUNITIES, LOCAL_PREF, MED, MP_REACH, NEXT_HOP, Table};
use super::bird::rack;
use super::fault::rogue::{self, Rogue};
use super::node::Node;

/// How long a table may take through three daemons on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(100);
/// The first AS of the made-up table.
const PROVIDER: u32 = 3333;

/// A daemon of the chain.
enum Daemon {
    Bird(Bird),
    Frr(Frr),
}

#[derive(Clone, Copy)]
enum Kind {
    Bird,
    Frr,
}

impl Daemon {
    /// Starts a daemon that peers with the node and, if there is one, with the source.
    fn start(kind: Kind, sandbox: &Sandbox, netns: &Netns, asn: u32, net: u8, source: Option<u32>) -> Self {
        let (node4, own4, own6) =
            (format!("10.0.{net}.2"), format!("10.0.{net}.1"), format!("fd00:{net}::1"));
        match kind {
            Kind::Bird => {
                let source = source.map_or(String::new(), |asn| {
                    format!(
                        "protocol bgp announcer from peer {{ neighbor 10.0.3.2 as {asn}; passive; \
                         ipv4 {{ import all; export none; }}; ipv6 {{ import all; export none; }}; }}\n"
                    )
                });
                let config = format!(
                    "log stderr all;\nrouter id {own4};\nprotocol device {{}}\n\
                     protocol direct {{ ipv4; ipv6; }}\n\
                     template bgp peer {{ local as {asn}; hold time 240; connect delay time 1; connect retry time 1;\n \
                     error wait time 1, 2; error forget time 1;\n \
                     ipv4 {{ import all; export where source = RTS_BGP; next hop address {own4}; }};\n \
                     ipv6 {{ import all; export where source = RTS_BGP; next hop address {own6}; }};\n}}\n\
                     {source}protocol bgp node from peer {{ neighbor {node4} as 65001; }}\n"
                );
                Self::Bird(Bird::start(sandbox, netns, "bird", &config))
            }
            Kind::Frr => {
                let peers: Vec<(&str, u32)> = std::iter::once((node4.as_str(), 65001))
                    .chain(source.map(|asn| ("10.0.3.2", asn)))
                    .collect();
                let neighbors: String = peers
                    .iter()
                    .map(|(address, asn)| {
                        format!(
                            " neighbor {address} remote-as {asn}\n neighbor {address} passive\n \
                             neighbor {address} advertisement-interval 0\n"
                        )
                    })
                    .collect();
                let active: String =
                    peers.iter().map(|(address, _)| format!("  neighbor {address} activate\n")).collect();
                let config = format!(
                    "router bgp {asn}\n bgp router-id {own4}\n no bgp ebgp-requires-policy\n \
                     no bgp default ipv4-unicast\n{neighbors} address-family ipv4 unicast\n{active} \
                     exit-address-family\n address-family ipv6 unicast\n{active} exit-address-family\n"
                );
                Self::Frr(Frr::start(sandbox, netns, "frr", &config))
            }
        }
    }

    /// How many prefixes it counts from the node.
    fn count(&self, net: u8) -> u64 {
        match self {
            Self::Bird(bird) => {
                let shown = bird.birdc("show protocols all node");
                let lines = shown.lines().filter(|line| line.contains(" imported, "));
                let first = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
                lines.filter_map(first).sum()
            }
            Self::Frr(frr) => {
                let shown = frr.vtysh("show bgp summary json");
                let shown: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
                let peer = format!("10.0.{net}.2");
                let of = |family: &str| shown[family]["peers"][&peer]["pfxRcd"].as_u64().unwrap_or_default();
                of("ipv4Unicast") + of("ipv6Unicast")
            }
        }
    }

    /// What it dumps of its table from the node; what it has not written yet is missing.
    fn dump(&self, sandbox: &Sandbox, net: u8, count: usize) -> Table {
        let peer = [10, 0, net, 2];
        let files: Vec<PathBuf> = match self {
            Self::Bird(bird) => ["master4", "master6"]
                .map(|name| {
                    let file = sandbox.folder().join("bird").join(name);
                    bird.birdc(&format!("mrt dump table {name} to \"{}\"", file.display()));
                    file
                })
                .to_vec(),
            Self::Frr(frr) => {
                let file = sandbox.folder().join("frr").join("dump");
                frr.configure(&[&format!("dump bgp routes-mrt {}", file.display())]);
                vec![file]
            }
        };
        let read = || {
            let mut table = Table::new();
            for file in &files {
                table.append(&mut table::dumped(&std::fs::read(file).unwrap_or_default(), &peer));
            }
            let found = table.len();
            if found >= count { Ok(table) } else { Err(format!("{found} prefixes of {count}")) }
        };
        wait::until("the dump", LIMIT, read)
    }
}

/// What the last daemon is to have of a path: two ASes more, no MED and LOCAL_PREF (RFC 4271 §5.1.4, §5.1.5), no
/// AGGREGATOR of AS 0 (RFC 7607 §2), and lists in an order of their own, as daemons sort them.
fn expected(path: &Attributes) -> Attributes {
    let mut path = path.clone();
    for gone in [NEXT_HOP, MED, LOCAL_PREF, MP_REACH] {
        path.remove(&gone);
    }
    if path.get(&AGGREGATOR).is_some_and(|(_, value)| value[..4] == [0; 4]) {
        path.remove(&AGGREGATOR);
    }
    if let Some((_, value)) = path.get_mut(&AS_PATH) {
        let own = [65001u32, 65100].map(u32::to_be_bytes).concat();
        if value.first() == Some(&2) {
            value[1] += 2;
            value.splice(2..2, own);
        } else {
            value.splice(0..0, [&[2, 2], own.as_slice()].concat());
        }
    }
    sorted(path)
}

fn sorted(mut path: Attributes) -> Attributes {
    for (kind, width) in [(COMMUNITIES, 4), (16, 8), (32, 12)] {
        if let Some((_, value)) = path.get_mut(&kind) {
            let values: BTreeSet<&[u8]> = value.chunks(width).collect();
            *value = values.into_iter().flatten().copied().collect();
        }
    }
    if let Some((_, value)) = path.get_mut(&AS_PATH) {
        let mut at = 0;
        while at < value.len() {
            let end = at + 2 + 4 * usize::from(value[at + 1]);
            if value[at] == 1 {
                let asns: BTreeSet<Vec<u8>> = value[at + 2..end].chunks(4).map(<[u8]>::to_vec).collect();
                let asns: Vec<u8> = asns.into_iter().flatten().collect();
                value[at + 2..at + 2 + asns.len()].copy_from_slice(&asns);
            }
            at = end;
        }
    }
    path
}

/// Whether anybody on the way is to keep a path to itself (RFC 1997, RFC 3765).
fn is_sent_on(path: &Attributes) -> bool {
    path.get(&COMMUNITIES)
        .is_none_or(|(_, value)| value.chunks(4).all(|community| community[..2] != [0xff, 0xff]))
}

const MANIFEST: &str = r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: transit}
spec:
  asn: {value: 65001}
  transit: true
  fib: {install: false}
  timers: {hold: 90s, keepalive: 30s, connectRetry: 1s}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: first}
spec: {address: 10.0.1.1, asn: 65100}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: last}
spec: {address: 10.0.2.1, asn: 65200}
---
apiVersion: v1
kind: Node
metadata: {name: node}
spec: {}
status: {addresses: [{type: InternalIP, address: 10.0.1.2}, {type: InternalIP, address: "fd00:1::2"}]}
"#;

/// Sends a table through the chain and compares.
fn replay(sandbox: &Sandbox, kinds: [Kind; 2], table: &Table) {
    let (node, router) = rack(sandbox);
    let (last, source) = (sandbox.router("last"), sandbox.netns("source"));
    sandbox.link(&node, "eth1", &last, "eth0");
    sandbox.link(&source, "eth0", &router, "eth1");
    for (netns, net, host, end) in
        [(&node, 2, 2, "eth1"), (&last, 2, 1, "eth0"), (&source, 3, 2, "eth0"), (&router, 3, 1, "eth1")]
    {
        netns.ip(&format!("addr add 10.0.{net}.{host}/24 dev {end}"));
        netns.ip(&format!("addr add fd00:{net}::{host}/64 dev {end} nodad"));
    }
    let first_as = table.values().next().unwrap()[&AS_PATH].1[2..6].try_into().unwrap();
    let first_as = u32::from_be_bytes(first_as);
    let _first = Daemon::start(kinds[0], sandbox, &router, 65100, 1, Some(first_as));
    let far = Daemon::start(kinds[1], sandbox, &last, 65200, 2, None);
    let node = Node::start(sandbox, node, "node", MANIFEST);
    node.until("both sessions", || node.ask("peers").matches("Established").count() == 2);

    let mut announcer = Rogue::connect(&source, "10.0.3.2", "10.0.3.1");
    announcer.send(&rogue::open(first_as, 0, "10.0.3.2"));
    assert_eq!(announcer.message().unwrap().0, 1, "an OPEN");
    announcer.send(&rogue::keepalive());
    assert_eq!(announcer.message().unwrap().0, 4, "a KEEPALIVE");
    let hop6 = "fd00:3::2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let bytes = table::announced(table, &[10, 0, 3, 2], &hop6);
    announcer.send(&bytes);

    let wanted: Table = table
        .iter()
        .filter(|(_, path)| is_sent_on(path))
        .map(|(prefix, path)| (prefix.clone(), expected(path)))
        .collect();
    let arrived = wait::attempt("the table", LIMIT, || {
        let count = far.count(2);
        if count >= wanted.len() as u64 { Ok(()) } else { Err(format!("{count} of {}", wanted.len())) }
    });
    if let Err(message) = arrived {
        eprintln!("{message}\n{}\n{}", node.ask("peers"), node.agent.log());
    }
    let found = far.dump(sandbox, 2, usize::try_from(far.count(2)).unwrap());
    compare(&wanted, found);
}

fn compare(wanted: &Table, found: Table) {
    let own4 = [10, 0, 2, 2];
    let own6 = "fd00:2::2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut all: BTreeSet<_> = wanted.keys().cloned().collect();
    for (prefix, path) in found {
        count += 1;
        all.remove(&prefix);
        let reach = path.get(&MP_REACH).map(|(_, value)| value.windows(16).any(|octets| octets == own6));
        let hop = if prefix.ipv6 { reach == Some(true) } else { path[&NEXT_HOP].1 == own4 };
        let mut path = sorted(path);
        for gone in [NEXT_HOP, LOCAL_PREF, MP_REACH] {
            path.remove(&gone);
        }
        let same = wanted.get(&prefix) == Some(&path);
        if !hop || !same {
            wrong.push(format!("{prefix:x?}: next hop {hop}\n  {path:x?}\n  {:x?}", wanted.get(&prefix)));
        }
    }
    eprintln!("{count} prefixes at the far end, {} missing, {} wrong", all.len(), wrong.len());
    let some = |texts: Vec<String>| texts.into_iter().take(5).collect::<Vec<_>>().join("\n");
    let missing: Vec<String> =
        all.iter().map(|prefix| format!("{prefix:x?}: {:x?}", wanted[prefix])).collect();
    assert!(missing.is_empty(), "{} missing:\n{}", missing.len(), some(missing));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), some(wrong));
}

/// The folder of real tables, or the word that the test is skipped.
fn real(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("UNDERLAY_MRT_DATA");
    if folder.is_none() {
        need::report(test, "UNDERLAY_MRT_DATA is not set");
    }
    folder.map(PathBuf::from)
}

fn both(sandbox: &Sandbox, kinds: [Kind; 2], file: &Path, read: fn(&Path) -> Table) {
    let table = read(file);
    replay(sandbox, kinds, &table);
}

/// With extended communities: FRR would leave them out of what it dumps.
#[test]
fn a_made_up_table_from_frr_to_bird() {
    labs::require!("root", "bird", "frr");
    labs::sandbox!(|sandbox| replay(sandbox, [Kind::Frr, Kind::Bird], &table::synthetic(PROVIDER)));
}

#[test]
fn a_table_of_2000_from_bird_to_frr() {
    labs::require!("root", "bird", "frr");
    let Some(folder) = real("interop::replay::a_table_of_2000_from_bird_to_frr") else { return };
    labs::sandbox!(|sandbox| {
        let file = folder.join("bview.20000111.0032.gz");
        both(sandbox, [Kind::Bird, Kind::Frr], &file, table::dump_of_2000);
    });
}

#[test]
fn updates_of_2010_from_bird_to_frr() {
    labs::require!("root", "bird", "frr");
    let Some(folder) = real("interop::replay::updates_of_2010_from_bird_to_frr") else { return };
    labs::sandbox!(|sandbox| {
        let file = folder.join("updates.20100227.1600.gz");
        both(sandbox, [Kind::Bird, Kind::Frr], &file, table::updates_of_2010);
    });
}
