//! ExaBGP 5: what it has is what its events add up to.

use labs::exabgp::Exabgp;
use serde_json::Value;

use super::{FAR_AS, Feature, OUTER, OWN_AS, Path, Place, Session, Ways, Words};
use crate::interop::matrix::{family, strings};

pub(in super::super) struct Rack {
    router: Exabgp,
    inner: Exabgp,
}

const FAMILIES: [&str; 2] = ["ipv4 unicast", "ipv6 unicast"];

fn neighbor(session: &Session, asn: u64, more: &str, capability: &str) -> String {
    format!(
        "neighbor {} {{ router-id 10.0.{}.1; local-address {}; local-as {asn}; peer-as {}; hold-time 9; {more}
    family {{ ipv4 unicast; ipv6 unicast; }}
    capability {{ route-refresh enable; asn4 enable; {capability} }}
    api {{ processes [ events, commands ]; neighbor-changes; receive {{ parsed; update; notification; }} }} }}\n",
        session.own,
        if asn == OWN_AS { 14 } else { 1 },
        session.far,
        session.node_as()
    )
}

pub(in super::super) fn start(place: &Place<'_>) -> Rack {
    // It has neither roles nor BFD.
    let known = OUTER.into_iter().filter(|feature| !matches!(feature, Feature::Roles | Feature::Bfd));
    let sessions = known.flat_map(Session::pair).map(|session| {
        let (more, capability) = match session.feature {
            Feature::Gtsm => ("outgoing-ttl 255; incoming-ttl 255;", ""),
            Feature::Multihop => ("outgoing-ttl 2;", ""),
            Feature::AddPath => ("", "add-path receive;"),
            _ => ("", ""),
        };
        neighbor(&session, FAR_AS, more, capability)
    });
    let inside = Session::pair(Feature::Reflection).map(|session| neighbor(&session, OWN_AS, "", ""));
    Rack {
        router: Exabgp::start(place.sandbox, place.router, "exabgp", &sessions.collect::<String>()),
        inner: Exabgp::start(place.sandbox, place.inner, "inner", &inside.concat()),
    }
}

impl Ways for Rack {
    fn paths(&self, own: &str, prefix: &str) -> Vec<Path> {
        let inside = Session::pair(Feature::Reflection).iter().any(|session| session.own == own);
        let events = if inside { self.inner.events() } else { self.router.events() };
        let family = FAMILIES[family(prefix)];
        // By Path Identifier, where there are some.
        let mut held: Vec<(Value, Path)> = Vec::new();
        for event in events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let neighbor = &event["neighbor"];
            if neighbor["address"]["peer"] != own {
                continue;
            }
            if neighbor["state"] == "down" {
                held.clear();
            }
            let update = &neighbor["message"]["update"];
            let names = |list: &Value| -> Option<Value> {
                let named = list.as_array()?.iter().find(|nlri| nlri["nlri"] == prefix)?;
                Some(named["path-information"].clone())
            };
            if let Some(id) = names(&update["withdraw"][family]) {
                held.retain(|(known, _)| *known != id);
            }
            for (next_hop, list) in update["announce"][family].as_object().into_iter().flatten() {
                let Some(id) = names(list) else { continue };
                held.retain(|(known, _)| *known != id);
                let attributes = &update["attribute"];
                let asns = attributes["as-path"]["0"]["value"].as_array().cloned().unwrap_or_default();
                let path = Path {
                    as_path: asns.iter().filter_map(Value::as_u64).collect(),
                    next_hop: next_hop.clone(),
                    originator: attributes["originator-id"].as_str().map(str::to_owned),
                    clusters: strings(&attributes["cluster-list"]),
                    only_to_customers: None,
                };
                held.push((id, path));
            }
        }
        held.into_iter().map(|(_, path)| path).collect()
    }

    fn bfd(&self, _own: &str) -> Words {
        Words { text: String::new(), word: "no such thing" }
    }

    fn extended_next_hop(&self, _link: &str) -> Words {
        Words { text: String::new(), word: "no such thing" }
    }
}
