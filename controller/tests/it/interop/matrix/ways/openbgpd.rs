//! OpenBGPD 7.7.

use labs::openbgpd::Openbgpd;

use super::{FAR_AS, Feature, OUTER, OWN_AS, Path, Place, Session, Ways, Words};
use crate::interop::matrix::numbers;

pub(in super::super) struct Rack {
    router: Openbgpd,
    inner: Openbgpd,
}

fn neighbor(session: &Session, more: &str) -> String {
    format!(
        "neighbor {} {{\n remote-as {}\n announce IPv4 unicast\n announce IPv6 unicast\n{more}}}\n",
        session.own,
        session.node_as()
    )
}

fn config(asn: u64, router_id: &str, neighbors: &str) -> String {
    format!(
        "AS {asn}\nrouter-id {router_id}\nholdtime 9\nfib-update no\n{neighbors}allow from any\ndeny to any\n"
    )
}

pub(in super::super) fn start(place: &Place<'_>) -> Rack {
    // It has no BFD.
    let known = OUTER.into_iter().filter(|feature| *feature != Feature::Bfd);
    let sessions = known.flat_map(Session::pair).map(|session| {
        let multihop = format!(" multihop 2\n local-address {}\n", session.far);
        let more = match session.feature {
            Feature::Gtsm => " ttl-security yes\n",
            Feature::Multihop => multihop.as_str(),
            Feature::Roles => " announce policy peer enforce\n",
            Feature::AddPath => " announce add-path recv yes\n",
            _ => "",
        };
        neighbor(&session, more)
    });
    let outer = config(FAR_AS, "10.0.1.1", &sessions.collect::<String>());
    let inside = Session::pair(Feature::Reflection).map(|session| neighbor(&session, ""));
    let inner = config(OWN_AS, "10.0.14.1", &inside.concat());
    Rack {
        router: Openbgpd::start(place.sandbox, place.router, "openbgpd", &outer),
        inner: Openbgpd::start(place.sandbox, place.inner, "inner", &inner),
    }
}

impl Ways for Rack {
    fn paths(&self, own: &str, prefix: &str) -> Vec<Path> {
        let inside = Session::pair(Feature::Reflection).iter().any(|session| session.own == own);
        let daemon = if inside { &self.inner } else { &self.router };
        let shown = daemon.bgpctl(&format!("show rib detail {prefix}"));
        let blocks = shown.split("BGP routing table entry for ").skip(1);
        let of_session = blocks.filter(|block| {
            block.starts_with(&format!("{prefix}\n")) && block.contains(&format!(" Neighbor {own} "))
        });
        let read = |block: &str| {
            let mut path = Path::default();
            for (at, line) in block.lines().map(str::trim).enumerate() {
                let last = || line.split_whitespace().next_back().map(str::to_owned);
                match line.split([':', ' ']).next().unwrap_or_default() {
                    _ if at == 1 && !line.starts_with("Nexthop") => path.as_path = numbers(line),
                    "Nexthop" => path.next_hop = line.split(' ').nth(1).unwrap_or_default().to_owned(),
                    "Originator" => path.originator = last(),
                    "Cluster" => {
                        let listed = line.split_once(": ").map_or("", |(_, listed)| listed);
                        path.clusters = listed.split_whitespace().map(str::to_owned).collect();
                    }
                    "OTC" => path.only_to_customers = last().and_then(|asn| asn.parse().ok()),
                    _ => {}
                }
            }
            path
        };
        of_session.map(read).collect()
    }

    fn bfd(&self, _own: &str) -> Words {
        Words { text: String::new(), word: "no such thing" }
    }

    fn extended_next_hop(&self, _link: &str) -> Words {
        Words { text: String::new(), word: "no such thing" }
    }

    fn connect(&self, own: &str) {
        self.router.bgpctl(&format!("neighbor {own} clear"));
    }
}
