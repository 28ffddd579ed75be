//! The rules by themselves: over any facts they say something of each check, and only what they know.

use std::collections::BTreeSet;

use controller::check::fact::{Chain, Facts, Filter, Link, Listener, Route};
use controller::check::{Finding, State, judge};
use proptest::prelude::*;

const CHECKS: [&str; 16] = [
    "accept-ra",
    "bgp-port",
    "capabilities",
    "cni-folders",
    "cni-network",
    "cni-order",
    "cni-plugin",
    "foreign-address",
    "foreign-route",
    "forward-policy",
    "hash-policy",
    "ip-forward",
    "leftovers",
    "mtu",
    "network-manager",
    "networkd",
];

fn spoken(findings: &[Finding]) -> BTreeSet<&str> {
    findings.iter().map(|finding| finding.check).collect()
}

#[test]
fn an_empty_host_is_told_of_everything_that_was_looked_at() {
    let findings = judge(&Facts::default());
    let mut expected = BTreeSet::from(CHECKS);
    // Nobody could say what the process may do.
    expected.remove("capabilities");
    expected.insert("rp-filter");
    assert_eq!(spoken(&findings), expected);
    let unread = vec![("capabilities", "no /proc".to_owned())];
    let findings = judge(&Facts { unread, ..Facts::default() });
    let said: Vec<_> = findings.iter().filter(|finding| finding.check == "capabilities").collect();
    assert!(said.len() == 1 && said[0].state == State::Unknown, "{said:?}");
}

#[test]
fn a_listener_without_a_name_is_somebody() {
    let listeners = vec![Listener { at: "0.0.0.0:179".into(), program: None }];
    let findings = judge(&Facts { listeners, ..Facts::default() });
    let said = findings.iter().find(|finding| finding.check == "bgp-port").unwrap();
    assert!(said.state == State::Bad && said.found.starts_with("somebody"), "{said:?}");
}

fn any_name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 9] =
        ["cali1", "flannel.1", "FLANNEL-FWD", "FORWARD", "filter", "calico", "eth0", "lo", "ul0123456789abc"];
    prop_oneof![prop::sample::select(&KNOWN[..]).prop_map(str::to_owned), "[a-zA-Z0-9.-]{1,15}"]
}

prop_compose! {
    fn any_facts()(
        names in prop::collection::vec((any_name(), 68..9000_u32, any::<bool>()), 0..6),
        routes in prop::collection::vec((any::<[u8; 4]>(), 0..=32_u8, any::<u8>(), any_name()), 0..6),
        chains in prop::collection::vec((any_name(), any_name(), any::<[bool; 3]>()), 0..6),
        pods in any::<bool>(),
    ) -> Facts {
        Facts {
            pods: if pods { vec!["10.244.0.0/16".parse().unwrap()] } else { Vec::new() },
            links: names.into_iter().map(|(name, mtu, loopback)| Link { name, mtu, loopback }).collect(),
            routes: routes
                .into_iter()
                .map(|(address, len, protocol, link)| Route {
                    prefix: bgp::prefix::Prefix::new(address.into(), len).unwrap(),
                    table: 254,
                    protocol,
                    links: vec![link],
                })
                .collect(),
            chains: chains
                .into_iter()
                .map(|(table, name, [legacy, forwards, drops])| Chain {
                    filter: if legacy { Filter::Legacy } else { Filter::Nftables },
                    family: "ip".into(),
                    table,
                    name,
                    forwards,
                    drops,
                })
                .collect(),
            ..Facts::default()
        }
    }
}

proptest! {
    /// Whoever is told that something is bad is told how to mend it, and of what it is.
    #[test]
    fn what_is_bad_has_a_subject_and_a_remedy(facts in any_facts()) {
        let findings = judge(&facts);
        for finding in &findings {
            prop_assert!(!finding.found.is_empty(), "{finding:?}");
            prop_assert_eq!(finding.remedy.is_empty(), matches!(finding.state, State::Ok | State::Unknown)
                || finding.check == "cni-order", "{:?}", finding);
            prop_assert!(finding.state != State::Bad || !finding.subject.is_empty(), "{finding:?}");
        }
        // A check that is ill is not told to be well, but of another subject.
        for ill in findings.iter().filter(|finding| finding.state == State::Bad) {
            let both = |other: &Finding| other.check == ill.check && other.state == State::Ok && other.subject.is_empty();
            prop_assert!(!findings.iter().any(both), "{ill:?}");
        }
    }
}
