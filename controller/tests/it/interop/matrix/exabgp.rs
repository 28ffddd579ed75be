//! ExaBGP 5: it keeps no table, so what it holds is what its events add up to.

use labs::exabgp::Exabgp;
use labs::{Netns, Sandbox};
use serde_json::Value;

use super::{Count, DEFAULT, FAR, FAR_AS, Far, HOPS, OVER, OWN_AS, Seen, Setup, Show, Words, family};

pub(super) struct Rack(Exabgp);

const FAMILIES: [&str; 2] = ["ipv4 unicast", "ipv6 unicast"];

pub(super) fn start(sandbox: &Sandbox, router: &Netns, setup: Setup) -> Rack {
    let key = setup.key.map_or(String::new(), |key| format!("md5-password {key};"));
    let routes = [0, 1].map(|at| route(FAR, at)).concat();
    let neighbors = [0, 1].map(|over| {
        format!("neighbor {} {{ inherit node; local-address {}; {key} }}\n", OVER[over], HOPS[over])
    });
    let config = format!(
        "template {{ neighbor node {{
    router-id 10.0.1.1; local-as {FAR_AS}; peer-as {OWN_AS}; hold-time {};
    family {{ ipv4 unicast; ipv6 unicast; }}
    capability {{ route-refresh enable; asn4 enable; extended-message enable; graceful-restart 30; }}
    api {{ processes [ events, commands ]; neighbor-changes; negotiated;
           receive {{ parsed; update; notification; refresh; }} send {{ parsed; notification; }} }}
    static {{ {routes} }}
}} }}
{}",
        setup.hold,
        neighbors.concat()
    );
    Rack(Exabgp::start(sandbox, router, "exabgp", &config))
}

fn route(prefixes: [&str; 2], at: usize) -> String {
    let colours = if prefixes == DEFAULT { "" } else { " extended-community [ target:65100:7 ]" };
    format!("route {} next-hop {}{colours};\n", prefixes[at], HOPS[at])
}

impl Rack {
    /// What it told of a session, in order.
    fn events(&self, over: usize) -> Vec<Value> {
        let events = self.0.events();
        let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events
            .map(|mut event| event["neighbor"].take())
            .filter(|of| of["address"]["peer"] == OVER[over])
            .collect()
    }
}

/// The pairs of numbers, or the triples, as other daemons write them.
fn joined(lists: &Value) -> Vec<String> {
    let one = |list: &Value| {
        let parts = list.as_array().into_iter().flatten().map(Value::to_string);
        parts.collect::<Vec<_>>().join(":")
    };
    lists.as_array().into_iter().flatten().map(one).collect()
}

impl Far for Rack {
    fn seen(&self, over: usize, prefix: &str) -> Option<Seen> {
        let family = FAMILIES[family(prefix)];
        let names = |list: &Value| list.as_array().into_iter().flatten().any(|nlri| nlri["nlri"] == prefix);
        let mut held = None;
        for neighbor in self.events(over) {
            if neighbor["state"] == "down" {
                held = None;
            }
            let update = &neighbor["message"]["update"];
            if neighbor["direction"] == "send" || !update.is_object() {
                continue;
            }
            if names(&update["withdraw"][family]) {
                held = None;
            }
            let announced = update["announce"][family].as_object();
            let announced = announced.into_iter().flatten().find(|(_, list)| names(list));
            if let Some((next_hop, _)) = announced {
                let attributes = &update["attribute"];
                let path = attributes["as-path"]["0"]["value"].as_array().cloned().unwrap_or_default();
                let extended = attributes["extended-community"].as_array().cloned().unwrap_or_default();
                held = Some(Seen {
                    next_hop: next_hop.clone(),
                    as_path: path.iter().filter_map(Value::as_u64).collect(),
                    med: attributes["med"].as_u64(),
                    communities: joined(&attributes["community"]),
                    extended_communities: extended
                        .iter()
                        .filter_map(|value| value["string"].as_str()?.strip_prefix("target:"))
                        .map(str::to_owned)
                        .collect(),
                    large_communities: joined(&attributes["large-community"]),
                });
            }
        }
        held
    }

    fn show(&self, over: usize, what: Show) -> Words {
        let events = || self.events(over).iter().map(|event| format!("{event}\n")).collect::<String>();
        let (text, word) = match what {
            // Of what it told of states the last word counts.
            Show::Established => {
                let events = self.events(over);
                let state = events.iter().rev().find_map(|event| event["state"].as_str());
                (state.unwrap_or_default().to_owned(), "up")
            }
            Show::ExtendedMessages => (events(), "\"message_size\":65535"),
            Show::HoldExpired => (events(), "notification sent (4,0)"),
            Show::ShutdownText => (events(), "drained of its pods: new-disk"),
            Show::LimitReceived => (events(), "notification received (6,1)"),
            Show::Kept | Show::LimitSent => (String::new(), "no such thing"),
        };
        Words { text, word }
    }

    fn count(&self, over: usize, what: Count) -> u64 {
        let is_counted = |neighbor: &&Value| match what {
            Count::Announcements => neighbor["message"]["update"]["announce"].is_object(),
            Count::RefreshesReceived => {
                neighbor["type"] == "refresh" || neighbor["route-refresh"].is_object()
            }
            Count::EndsOfRefresh => neighbor["route-refresh"]["subtype"] == "end",
        };
        self.events(over).iter().filter(is_counted).count() as u64
    }

    fn originate(&self, prefixes: [&'static str; 2], there: bool) {
        for at in [0, 1] {
            let verb = if there { "announce" } else { "withdraw" };
            self.0.command(&format!("{verb} {}", route(prefixes, at).trim_end_matches(['\n', ';'])));
        }
    }

    fn refresh(&self, over: usize, family: usize) {
        self.0.command(&format!("neighbor {} announce route-refresh {}", OVER[over], FAMILIES[family]));
    }

    fn restart(&mut self, sandbox: &Sandbox, router: &Netns) {
        self.0.restart(sandbox, router);
    }
}
