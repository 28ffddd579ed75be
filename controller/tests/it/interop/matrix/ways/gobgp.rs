//! GoBGP 3.10.

use labs::gobgp::Gobgp;
use labs::wait;
use serde_json::Value;

use super::{FAR_AS, Feature, OUTER, OWN_AS, Path, Place, Session, Ways, Words};
use crate::interop::matrix::{family, strings};
use crate::interop::node::LIMIT;

pub(in super::super) struct Rack {
    router: Gobgp,
    inner: Gobgp,
}

const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

fn neighbor(who: &str, asn: u64, more: &str, of_family: &str) -> String {
    let families = FAMILIES.map(|name| {
        format!(
            "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{name}-unicast\"\n{of_family}"
        )
    });
    format!(
        "[[neighbors]]\n  [neighbors.config]\n    {who}\n    peer-as = {asn}\n{more}  [neighbors.timers.config]\n    \
         connect-retry = 1\n    hold-time = 9\n    keepalive-interval = 3\n    idle-hold-time-after-reset = 1\n{}",
        families.concat()
    )
}

fn at(session: &Session) -> String {
    format!("neighbor-address = \"{}\"", session.own)
}

fn global(asn: u64, router_id: &str) -> String {
    format!("[global.config]\n  as = {asn}\n  router-id = \"{router_id}\"\n")
}

pub(in super::super) fn start(place: &Place<'_>) -> Rack {
    // It has neither roles nor BFD.
    let known = OUTER.into_iter().filter(|feature| !matches!(feature, Feature::Roles | Feature::Bfd));
    let sessions = known.flat_map(Session::pair).map(|session| {
        let multihop = format!(
            "  [neighbors.ebgp-multihop.config]\n    enabled = true\n    multihop-ttl = 2\n  \
             [neighbors.transport.config]\n    local-address = \"{}\"\n",
            session.far
        );
        let (more, of_family) = match session.feature {
            Feature::Gtsm => {
                ("  [neighbors.ttl-security.config]\n    enabled = true\n    ttl-min = 255\n", "")
            }
            Feature::Multihop => (multihop.as_str(), ""),
            Feature::AddPath => ("", "    [neighbors.afi-safis.add-paths.config]\n      receive = true\n"),
            _ => ("", ""),
        };
        neighbor(&at(&session), session.node_as(), more, of_family)
    });
    let link = neighbor("neighbor-interface = \"eth8\"", OWN_AS, "", "");
    // It looks once for who is on the link.
    wait::until("the node in the router's table of neighbours", LIMIT, || {
        let _ = place.router.exec("ping", ["-c1", "-W1", &format!("{}%eth8", place.link)]).output();
        let known = place.router.ip("-6 neigh show dev eth8");
        if known.contains(&place.link) && !known.contains("FAILED") { Ok(()) } else { Err(known) }
    });
    let outer = global(FAR_AS, "10.0.1.1") + &sessions.collect::<String>() + &link;
    let inside =
        Session::pair(Feature::Reflection).map(|session| neighbor(&at(&session), OWN_AS, "", "")).concat();
    Rack {
        router: Gobgp::start(place.sandbox, place.router, "gobgp", &outer),
        inner: Gobgp::start(place.sandbox, place.inner, "inner", &(global(OWN_AS, "10.0.14.1") + &inside)),
    }
}

impl Ways for Rack {
    fn paths(&self, own: &str, prefix: &str) -> Vec<Path> {
        let inside = Session::pair(Feature::Reflection).iter().any(|session| session.own == own);
        let gobgp = if inside { &self.inner } else { &self.router };
        let shown = gobgp.gobgp(&format!("global rib -a {} -j", FAMILIES[family(prefix)]));
        let shown: Value = serde_json::from_str(&shown).unwrap_or_default();
        let paths = shown[prefix].as_array().into_iter().flatten();
        let read = |path: &Value| {
            let mut read = Path::default();
            for attribute in path["attrs"].as_array().into_iter().flatten() {
                let text = |name: &str| attribute[name].as_str().map(str::to_owned);
                match attribute["type"].as_u64() {
                    Some(2) => {
                        let segments = attribute["as_paths"].as_array().into_iter().flatten();
                        let asns = segments.filter_map(|segment| segment["asns"].as_array()).flatten();
                        read.as_path = asns.filter_map(Value::as_u64).collect();
                    }
                    Some(3 | 14) => read.next_hop = text("nexthop").unwrap_or_default(),
                    Some(9) => read.originator = text("value"),
                    Some(10) => read.clusters = strings(&attribute["value"]),
                    _ => {}
                }
            }
            read
        };
        paths.filter(|path| path["neighbor-ip"] == own).map(read).collect()
    }

    fn bfd(&self, _own: &str) -> Words {
        Words { text: String::new(), word: "no such thing" }
    }

    fn extended_next_hop(&self, link: &str) -> Words {
        let shown = self.router.gobgp(&format!("neighbor {link}%eth8"));
        let line = shown.lines().find(|line| line.contains("extended-nexthop:"));
        Words { text: line.unwrap_or_default().to_owned(), word: "advertised and received" }
    }
}
