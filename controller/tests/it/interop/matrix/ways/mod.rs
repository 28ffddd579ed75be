//! The fourth run: how the other side is reached, what it is to the node, and what it is sent for that.
//!
//! ```text
//!  feeder ==== node ==================== router (AS 65100)    a subnet a feature, and a link without addresses
//!               |\------- middle -------/                     to its loopback addresses, over two hops
//!               \----------------------- inner                in the node's AS
//! ```
//!
//! Each feature has its session over IPv4 and over IPv6, all at once; the feeder, which is BIRD for everybody, gives the
//! node what it reflects, and a prefix by two ASes. A cell passes by the paths that the other side has of that session.

mod bird;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;

pub(super) use self::bird::start as bird;
pub(super) use self::exabgp::start as exabgp;
pub(super) use self::frr::start as frr;
pub(super) use self::gobgp::start as gobgp;
pub(super) use self::openbgpd::start as openbgpd;

use std::collections::BTreeSet;

use labs::bird::Bird;
use labs::{Netns, Sandbox};

use super::super::node::Node;
use super::super::unnumbered::link_local;
use super::cells::{Cells, Feature};
use super::{FAR_AS, OWN_AS, SENT, Words, advertise};

const BOTH: [usize; 2] = [0, 1];
/// Another AS that the node is known by.
const OTHER_AS: u64 = 65099;
/// What the feeder gives the node: from inside its AS, and from two others.
const REFLECTED: [&str; 2] = ["10.244.30.0/24", "fd00:10:244:30::/64"];
const SEVERAL: [&str; 2] = ["10.244.31.0/24", "fd00:10:244:31::/64"];
const FEEDER: &str = "10.0.31.1";
const ORIGINS: [u64; 2] = [65101, 65102];
/// The loopback addresses of the node and of the router.
const LOOPBACKS: [[&str; 2]; 2] = [["192.0.2.1", "192.0.2.2"], ["fd00:9::1", "fd00:9::2"]];

/// A path as the other side shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    as_path: Vec<u64>,
    next_hop: String,
    originator: Option<String>,
    clusters: Vec<String>,
    only_to_customers: Option<u64>,
}

/// One session: the node's end and the other one, by what it is for.
#[derive(Clone, Debug)]
struct Session {
    feature: Feature,
    family: usize,
    own: String,
    far: String,
}

impl Session {
    /// The subnet of a feature whose session is on one.
    const fn subnet(feature: Feature) -> Option<u8> {
        match feature {
            Feature::Gtsm => Some(11),
            Feature::Listen => Some(13),
            Feature::Reflection => Some(14),
            Feature::Roles => Some(15),
            Feature::LocalAs => Some(16),
            Feature::AddPath => Some(17),
            Feature::Bfd => Some(18),
            _ => None,
        }
    }

    fn of(feature: Feature, family: usize) -> Self {
        let [own, far] = match Self::subnet(feature) {
            Some(net) => [2, 1].map(|host| address(net, family, host)),
            None => LOOPBACKS[family].map(str::to_owned),
        };
        Self { feature, family, own, far }
    }

    /// Those of a feature, one a family.
    fn pair(feature: Feature) -> [Self; 2] {
        BOTH.map(|family| Self::of(feature, family))
    }

    /// The AS that the node has there.
    const fn node_as(&self) -> u64 {
        if matches!(self.feature, Feature::LocalAs) { OTHER_AS } else { OWN_AS }
    }
}

/// The features with sessions of their own between numbered ends.
const OUTER: [Feature; 7] = [
    Feature::Gtsm,
    Feature::Multihop,
    Feature::Listen,
    Feature::Roles,
    Feature::LocalAs,
    Feature::AddPath,
    Feature::Bfd,
];

fn address(net: u8, family: usize, host: u8) -> String {
    if family == 0 { format!("10.0.{net}.{host}") } else { format!("fd00:{net}::{host}") }
}

/// Where the other side is, and what it has to know of the node.
pub(super) struct Place<'a> {
    sandbox: &'a Sandbox,
    router: &'a Netns,
    inner: &'a Netns,
    /// The node's link-local address on the link without others; the router's end is eth8, too.
    link: String,
}

/// The other side of a column: a daemon in the router, and another one in `inner`.
pub(super) trait Ways {
    /// The paths of a prefix that came over the session with the node's address `own`, in either daemon.
    fn paths(&self, own: &str, prefix: &str) -> Vec<Path>;
    /// What it shows of BFD with that address, and the words that say that it is up.
    fn bfd(&self, own: &str) -> Words;
    /// What it shows of the session on the link without addresses, and the words by which both take IPv6 next hops.
    fn extended_next_hop(&self, link: &str) -> Words;
    /// Has it connect to that address at once.
    fn connect(&self, _own: &str) {}
}

/// A link with an address of each subnet on both ends, of which `near` has the second ones.
fn join(sandbox: &Sandbox, [near, end]: [(&Netns, &str); 2], subnets: impl IntoIterator<Item = u8>) {
    sandbox.link(near.0, near.1, end.0, end.1);
    for net in subnets {
        for ((netns, device), host) in [(near, 2), (end, 1)] {
            netns.ip(&format!("addr add 10.0.{net}.{host}/24 dev {device}"));
            netns.ip(&format!("addr add fd00:{net}::{host}/64 dev {device} nodad"));
        }
    }
}

/// Makes `to` reach an address of `of` by way of `via`.
fn reach(netns: &Netns, family: usize, to: &str, via: &str) {
    let (v, length) = if family == 0 { ("-4", 32) } else { ("-6", 128) };
    netns.ip(&format!("{v} route add {to}/{length} via {via}"));
}

/// The node, the router and who is inside.
fn wire(sandbox: &Sandbox) -> [Netns; 4] {
    let [node, router, inner, feeder, middle] =
        ["node", "router", "inner", "feeder", "middle"].map(|name| sandbox.router(name));
    middle.forward();
    let outer = OUTER.iter().filter_map(|feature| Session::subnet(*feature));
    join(sandbox, [(&node, "eth0"), (&router, "eth0")], [1].into_iter().chain(outer));
    join(sandbox, [(&node, "eth1"), (&feeder, "eth0")], [31, 32, 33]);
    join(sandbox, [(&node, "eth2"), (&inner, "eth0")], Session::subnet(Feature::Reflection));
    join(sandbox, [(&node, "eth7"), (&middle, "eth0")], [21]);
    join(sandbox, [(&router, "eth7"), (&middle, "eth1")], [22]);
    sandbox.link(&node, "eth8", &router, "eth8");
    for family in BOTH {
        let [own, far] = LOOPBACKS[family];
        let length = [32, 128][family];
        for (netns, own, other, net) in [(&node, own, far, 21), (&router, far, own, 22)] {
            netns.ip(&format!("addr add {own}/{length} dev lo"));
            reach(netns, family, other, &address(net, family, 1));
            reach(&middle, family, own, &address(net, family, 2));
        }
    }
    [node, router, inner, feeder]
}

fn feeds() -> String {
    let given = |name: &str, prefixes: [&str; 2]| {
        let [v4, v6] = prefixes;
        format!(
            "protocol static {name}4 {{ ipv4; route {v4} blackhole; }}\nprotocol static {name}6 {{ ipv6; route {v6} blackhole; }}\n"
        )
    };
    let session = |net: u8, asn: u64, given: &str| {
        let [v4, v6] = BOTH.map(|family| address(net, family, 1));
        format!(
            "protocol bgp by{net} {{ local {v4} as {asn}; neighbor 10.0.{net}.2 as {OWN_AS};
    hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 1;
    ipv4 {{ import none; export where proto = \"{given}4\"; next hop address {v4}; }};
    ipv6 {{ import none; export where proto = \"{given}6\"; next hop address {v6}; }}; }}\n"
        )
    };
    let sessions = [
        session(31, OWN_AS, "reflected"),
        session(32, ORIGINS[0], "several"),
        session(33, ORIGINS[1], "several"),
    ];
    format!(
        "log stderr all;\nrouter id {FEEDER};\nprotocol device {{}}\n{}{}{}",
        given("reflected", REFLECTED),
        given("several", SEVERAL),
        sessions.concat()
    )
}

fn manifest() -> String {
    let peer = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        )
    };
    let mut peers = vec![
        peer("link", "interface: eth8, asn: External"),
        peer("reflected", &format!("address: {FEEDER}, asn: Internal, routeReflectorClient: true")),
        peer("first", &format!("address: 10.0.32.1, asn: {}", ORIGINS[0])),
        peer("second", &format!("address: 10.0.33.1, asn: {}", ORIGINS[1])),
    ];
    for session in OUTER.into_iter().chain([Feature::Reflection]).flat_map(Session::pair) {
        let Session { feature, family, far, .. } = session;
        let external = |more: &str| format!("address: \"{far}\", asn: {FAR_AS}, {more}");
        let spec = match feature {
            Feature::Gtsm => external("ttlSecurity: {hops: 1}"),
            Feature::Multihop => external("multihop: 2, sourceAddressFrom: {interface: lo}"),
            Feature::Listen => {
                let prefix = ["10.0.13.0/24", "fd00:13::/64"][family];
                format!("listen: {{prefix: \"{prefix}\"}}, asn: External")
            }
            Feature::Roles => external("role: Peer"),
            Feature::LocalAs => external(&format!("localAS: {{asn: {OTHER_AS}}}")),
            Feature::AddPath => external("addPath: {send: 4}"),
            Feature::Bfd => external("bfd: {interval: 300ms, multiplier: 5}"),
            _ => format!("address: \"{far}\", asn: Internal, routeReflectorClient: true"),
        };
        peers.push(peer(&format!("{feature:?}{}", ["4", "6"][family]).to_lowercase(), &spec));
    }
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: {OWN_AS}}}
  transit: true
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {{hold: 9s, keepalive: 3s, connectRetry: 1s}}
  {}
{}---
apiVersion: v1
kind: Node
metadata: {{name: node}}
spec: {{podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}}
status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}, {{type: InternalIP, address: "fd00:1::2"}}]}}
"#,
        advertise(""),
        peers.concat()
    )
}

pub(super) fn run<W: Ways>(sandbox: &Sandbox, daemon: &'static str, start: impl FnOnce(&Place<'_>) -> W) {
    let [node, router, inner, feeder] = wire(sandbox);
    let link = link_local(&node, "eth8");
    let far = start(&Place { sandbox, router: &router, inner: &inner, link: link.clone() });
    let _feeder = Bird::start(sandbox, &feeder, "feeder", &feeds());
    let node = Node::start(sandbox, node, "node", &manifest());
    let mut cells = Cells::of(daemon, Feature::Gtsm);
    for family in BOTH {
        let (sent, _) = SENT[family];
        // One that the node does not dial has not found it before.
        let listening = Session::of(Feature::Listen, family);
        if cells.applies(Feature::Listen, family) {
            node.until("somebody to connect to", || node.ask("peers").contains("Established"));
            far.connect(&listening.own);
        }
        for feature in OUTER.into_iter().chain([Feature::Reflection]) {
            let Session { own, .. } = Session::of(feature, family);
            let prefix = match feature {
                Feature::Reflection => REFLECTED[family],
                Feature::AddPath => SEVERAL[family],
                _ => sent,
            };
            cells.judge(feature, family, || {
                let paths = far.paths(&own, prefix);
                if is_right(feature, &paths) { Ok(()) } else { Err(format!("{paths:?}")) }
            });
        }
        let watched = Session::of(Feature::Bfd, family);
        cells.judge(Feature::Bfd, family, || said(far.bfd(&watched.own)));
        cells.judge(Feature::Unnumbered, family, || by_link(&far, &link, sent));
    }
    cells.judge(Feature::ExtendedNextHop, 0, || said(far.extended_next_hop(&link)));
    cells.judge(Feature::ExtendedNextHop, 0, || by_link(&far, &link, SENT[0].0));
    cells.compare(&node);
}

/// Whether the paths of the feature's prefix are those that the feature makes of them.
fn is_right(feature: Feature, paths: &[Path]) -> bool {
    let all = |good: &dyn Fn(&Path) -> bool| !paths.is_empty() && paths.iter().all(good);
    match feature {
        Feature::Reflection => all(&|path| {
            path.originator.as_deref() == Some(FEEDER)
                && path.clusters == ["10.0.1.2"]
                && path.as_path.is_empty()
        }),
        Feature::Roles => all(&|path| path.only_to_customers == Some(OWN_AS)),
        Feature::LocalAs => all(&|path| path.as_path == [OTHER_AS, OWN_AS]),
        Feature::AddPath => {
            let found: BTreeSet<_> = paths.iter().map(|path| path.as_path.clone()).collect();
            found == ORIGINS.map(|origin| vec![OWN_AS, origin]).into() && paths.len() == ORIGINS.len()
        }
        _ => all(&|path| path.as_path == [OWN_AS]),
    }
}

/// Whether a prefix is there by the node's address on the link without others.
fn by_link<W: Ways>(far: &W, link: &str, prefix: &str) -> Result<(), String> {
    let paths = far.paths(link, prefix);
    if paths.iter().any(|path| path.next_hop == link && path.as_path == [OWN_AS]) {
        Ok(())
    } else {
        Err(format!("{paths:?}"))
    }
}

fn said(Words { text, word }: Words) -> Result<(), String> {
    if text.contains(word) { Ok(()) } else { Err(format!("no `{word}` in {text}")) }
}
