//! Good and bad objects, a table a kind, and the shape of the definitions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rule::{self, Rule};
use super::*;

mod cel;
mod cost;
mod interop;

fn fabric(spec: Value) -> Result<Vec<Rule>, String> {
    let spec: FabricSpec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    Ok(spec.violations().into_iter().map(|violation| violation.rule).collect())
}

fn peer(spec: Value) -> Result<Vec<Rule>, String> {
    let spec: FabricPeerSpec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    Ok(spec.violations().into_iter().map(|violation| violation.rule).collect())
}

fn pool(spec: Value) -> Result<Vec<Rule>, String> {
    let spec: FabricPoolSpec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
    Ok(spec.violations().into_iter().map(|violation| violation.rule).collect())
}

fn pools() -> Table {
    vec![
        (
            json!({"addresses": ["192.0.2.0/28", "192.0.2.32-192.0.2.40", "2001:db8::/120", "192.0.2.99"]}),
            vec![],
        ),
        (
            json!({"addresses": ["192.0.2.1"], "autoAssign": false, "avoidEdges": true, "namespaceSelector": {}}),
            vec![],
        ),
        (json!({"addresses": []}), vec![rule::POOL_RANGES]),
        (
            json!({"addresses": ["192.0.2.1"], "serviceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            vec![rule::SELECTOR_VALUES],
        ),
    ]
}

#[test]
fn pools_are_judged_by_their_ranges() {
    for (spec, expected) in pools() {
        assert_eq!(pool(spec.clone()).unwrap(), expected, "{spec}");
    }
    for (wrong, why) in [
        ("192.0.2.9-192.0.2.1", "is no range"),
        ("192.0.2.1-2001:db8::1", "is no range"),
        ("192.0.2.0/33", "is neither"),
        ("web", "is neither"),
    ] {
        let error = pool(json!({"addresses": [wrong]})).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let range: pool::AddressRange = "192.0.2.254/31".parse().unwrap();
    let all: Vec<String> = range.iter().map(|address| address.to_string()).collect();
    assert_eq!((range.size(), all), (2, vec!["192.0.2.254".to_owned(), "192.0.2.255".to_owned()]));
    let all: pool::AddressRange = "::/0".parse().unwrap();
    assert_eq!(all.size(), u128::MAX);
}

/// Specs and the rules that they break.
type Table = Vec<(Value, Vec<Rule>)>;

fn fabrics() -> Table {
    vec![
        (json!({}), vec![]),
        (
            json!({"asn": {"value": 64512}, "timers": {"hold": "9s", "keepalive": "3s", "connectRetry": "5s"}}),
            vec![],
        ),
        (
            json!({"advertise": {"prefixes": [{"prefix": "192.0.2.1/32", "communities": ["65000:1", "1:2:3", "no-export"]}]}}),
            vec![],
        ),
        (
            json!({"fib": {"table": 100, "metric": 20, "protocol": 171, "maxPaths": 16, "install": false, "nextHopGroups": "Never"}}),
            vec![],
        ),
        (json!({"mesh": "Full", "routeReflectors": {"nodeSelector": {}, "clusterID": "10.0.0.1"}}), vec![]),
        (json!({"mesh": "None", "routeReflectors": {"nodeSelector": {}}}), vec![rule::REFLECTED_MESH]),
        (json!({"routeReflectors": {"nodeSelector": {}, "clusterID": "0.0.0.0"}}), vec![rule::CLUSTER_ID]),
        (
            json!({"advertise": {"services": [
                {"selector": {"matchLabels": {"a": "b"}}, "addresses": ["LoadBalancerIP", "ExternalIP", "ClusterIP"],
                 "aggregate": {"v4": 24, "v6": 64}, "communities": ["65000:1", "no-export"], "localPreference": 200},
                {"addresses": ["ClusterIP"], "aggregate": {}}]}}),
            vec![],
        ),
        (json!({"advertise": {"services": [{"addresses": []}]}}), vec![rule::SERVICE_ADDRESSES]),
        (
            json!({"advertise": {"services": [{"addresses": ["ClusterIP"], "aggregate": {"v4": 33}}]}}),
            vec![rule::AGGREGATE_LENGTH],
        ),
        (
            json!({"advertise": {"services": [{"addresses": ["ClusterIP"], "aggregate": {"v6": 0}}]}}),
            vec![rule::AGGREGATE_LENGTH],
        ),
        (
            json!({"advertise": {"services": [{"addresses": ["ClusterIP"], "communities": ["65000"]}]}}),
            vec![rule::COMMUNITY],
        ),
        (
            json!({"advertise": {"services": vec![json!({"addresses": ["ClusterIP"]}); 65]}}),
            vec![rule::ENTRY_COUNT],
        ),
        (
            json!({"nodeSelector": {"matchExpressions": vec![json!({"key": "a", "operator": "Exists"}); 65]}}),
            vec![rule::SELECTOR_COUNT],
        ),
        (json!({"asn": {}}), vec![rule::ASN_SOURCE]),
        (json!({"asn": {"value": 1, "fromLabel": "asn"}}), vec![rule::ASN_SOURCE]),
        (json!({"asn": {"value": 0}}), vec![rule::ASN_USABLE]),
        (json!({"asn": {"value": 23456}}), vec![rule::ASN_USABLE]),
        (json!({"routerID": {}}), vec![rule::ROUTER_ID_SOURCE]),
        (json!({"routerID": {"value": "0.0.0.0"}}), vec![rule::ROUTER_ID_USABLE]),
        (json!({"gracefulRestart": {"restartTime": "4096s"}}), vec![rule::RESTART_TIME]),
        (json!({"gracefulRestart": {"restartTime": "500ms"}}), vec![rule::RESTART_TIME]),
        (json!({"gracefulRestart": {"restartTime": "0s", "longLived": "16777215s"}}), vec![]),
        (json!({"gracefulRestart": {"longLived": "0s"}}), vec![]),
        (json!({"gracefulRestart": {"longLived": "16777216s"}}), vec![rule::LONG_LIVED_TIME]),
        (json!({"gracefulRestart": {"longLived": "1500ms"}}), vec![rule::LONG_LIVED_TIME]),
        (json!({"timers": {"hold": "2s"}}), vec![rule::HOLD_TIME]),
        (json!({"timers": {"hold": "3500ms"}}), vec![rule::HOLD_TIME]),
        (json!({"timers": {"hold": "9s", "keepalive": "4s"}}), vec![rule::KEEPALIVE_TIME]),
        (json!({"timers": {"connectRetry": "0s"}}), vec![rule::CONNECT_RETRY_TIME]),
        (json!({"timers": {"connectRetry": "1h1ms"}}), vec![rule::CONNECT_RETRY_TIME]),
        (json!({"timers": {"hold": "0s", "keepalive": "9s", "connectRetry": "1h"}}), vec![]),
        (json!({"timers": {"hold": "65536s"}}), vec![rule::HOLD_TIME]),
        (json!({"timers": {"hold": "3000ms", "keepalive": "1000ms"}}), vec![]),
        (json!({"timers": {"keepalive": "999ms"}}), vec![rule::KEEPALIVE_TIME]),
        (json!({"gracefulRestart": {"restartTime": "1h8m15s"}}), vec![]),
        (
            json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]},
            {"key": "a", "operator": "DoesNotExist"}]}}),
            vec![],
        ),
        (
            json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}),
            vec![rule::SELECTOR_VALUES],
        ),
        (json!({"fib": {"maxPaths": 0}}), vec![rule::MAX_PATHS]),
        (json!({"fib": {"protocol": 4}}), vec![rule::FIB_PROTOCOL]),
        (json!({"fib": {"protocol": 186}}), vec![rule::FIB_PROTOCOL]),
        (json!({"fib": {"table": 255}}), vec![rule::FIB_TABLE]),
        (json!({"fib": {"metric": 0}}), vec![rule::FIB_METRIC]),
        (
            json!({"advertise": {"prefixes": [{"prefix": "192.0.2.1/32", "communities": ["70000:1"]}]}}),
            vec![rule::COMMUNITY],
        ),
        (
            json!({"advertise": {"prefixes": [{"prefix": "10.0.0.1/8"}, {"prefix": "10.0.0.0/8"}]}}),
            vec![rule::ORIGIN_ONCE],
        ),
        (
            json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            vec![rule::SELECTOR_VALUES],
        ),
    ]
}

#[test]
fn fabrics_that_are_fine_and_fabrics_that_break_a_rule() {
    for (spec, expected) in fabrics() {
        assert_eq!(fabric(spec.clone()), Ok(expected), "{spec}");
    }
}

fn peers() -> Table {
    vec![
        (json!({"address": "10.0.1.1", "asn": 65001}), vec![]),
        (
            json!({"address": "fd00::1", "asn": "External", "families": ["IPv6"], "nextHop": "Self", "port": 1179}),
            vec![],
        ),
        (json!({"peers": {"nodeSelector": {"matchLabels": {"rack": "1"}}}, "asn": "Internal"}), vec![]),
        (
            json!({"address": "10.0.1.1", "asn": 1, "passwordSecretRef": {"name": "tor", "key": "password"},
                "limits": {"receive": {"max": 1000, "warnAt": 80, "action": "Reset"}, "send": {"max": 10}}}),
            vec![],
        ),
        (
            json!({"address": "10.0.1.1", "asn": 1, "limits": {"receive": {"max": 1, "warnAt": 0}}}),
            vec![rule::WARN_AT],
        ),
        (
            json!({"address": "10.0.1.1", "asn": 1, "passwordSecretRef": {"name": "", "key": "k"}}),
            vec![rule::SECRET_REF],
        ),
        (json!({"asn": "Any"}), vec![rule::ONE_TARGET]),
        (json!({"addressFrom": {"defaultGateway": "IPv4"}, "asn": "External"}), vec![]),
        (json!({"addressFrom": {"nodeLabel": "tor"}, "asn": "External"}), vec![]),
        (json!({"addressFrom": {"nodeAnnotation": "tors"}, "asn": "External"}), vec![]),
        (
            json!({"addressFrom": {"subnetHost": {"family": "IPv6", "hosts": [2, 3]}}, "asn": "External"}),
            vec![],
        ),
        (
            json!({"address": "10.0.0.9", "addressFrom": {"defaultGateway": "IPv4"}, "asn": 1}),
            vec![rule::ONE_TARGET],
        ),
        (json!({"addressFrom": {}, "asn": 1}), vec![rule::ADDRESS_SOURCE]),
        (
            json!({"addressFrom": {"defaultGateway": "IPv4", "nodeLabel": "tor"}, "asn": 1}),
            vec![rule::ADDRESS_SOURCE],
        ),
        (
            json!({"addressFrom": {"subnetHost": {"family": "IPv4", "hosts": []}}, "asn": 1}),
            vec![rule::SUBNET_HOSTS],
        ),
        (
            json!({"addressFrom": {"subnetHost": {"family": "IPv4", "hosts": [0]}}, "asn": 1}),
            vec![rule::SUBNET_HOSTS],
        ),
        (json!({"address": "10.0.1.1", "peers": {"nodeSelector": {}}, "asn": 1}), vec![rule::ONE_TARGET]),
        (json!({"address": "fe80::1", "asn": 1}), vec![rule::PEER_ADDRESS]),
        (json!({"address": "::ffff:10.0.0.1", "asn": 1}), vec![rule::PEER_ADDRESS]),
        (json!({"address": "224.0.0.1", "asn": 1}), vec![rule::PEER_ADDRESS]),
        (json!({"address": "10.0.1.1", "asn": 0}), vec![rule::ASN_USABLE]),
        (json!({"address": "10.0.1.1", "asn": "Internal", "routeReflectorClient": true}), vec![]),
        (
            json!({"address": "10.0.1.1", "asn": "External", "routeReflectorClient": true}),
            vec![rule::CLIENT_INTERNAL],
        ),
        (
            json!({"address": "10.0.1.1", "asn": "External", "role": "RS-Client", "strictRole": true,
                "localAS": {"asn": 65099, "noPrepend": true, "replaceAS": true}}),
            vec![],
        ),
        (json!({"address": "10.0.1.1", "asn": 1, "localAS": {"asn": 23456}}), vec![rule::LOCAL_AS]),
        (json!({"address": "10.0.1.1", "asn": 1, "localAS": {"asn": 1}}), vec![rule::LOCAL_AS_EXTERNAL]),
        (
            json!({"address": "10.0.1.1", "asn": "Internal", "localAS": {"asn": 1}}),
            vec![rule::LOCAL_AS_EXTERNAL],
        ),
        (json!({"address": "10.0.1.1", "asn": "Internal", "role": "Peer"}), vec![rule::ROLE_EXTERNAL]),
        (json!({"address": "10.0.1.1", "asn": 1, "strictRole": true}), vec![rule::STRICT_ROLE]),
        (json!({"address": "10.0.1.1", "asn": 1, "port": 0}), vec![rule::PEER_PORT]),
        (json!({"listen": {"prefix": "10.0.0.0/24", "max": 5}, "asn": "Any"}), vec![]),
        (json!({"listen": {"prefix": "10.0.0.0/24", "max": 0}, "asn": 1}), vec![rule::LISTEN_MAX]),
        (json!({"address": "10.0.1.1", "asn": 1, "ttlSecurity": {"hops": 1}}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "multihop": 4, "sourceAddressFrom": "InternalIP"}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "sourceAddressFrom": {"interface": "lo"}}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "sourceAddressFrom": {"nodeAnnotation": "bgp"}}), vec![]),
        (json!({"addressFrom": {"otherEnd": ["eth1", "eth2"]}, "asn": "External"}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "ttlSecurity": {"hops": 255}}), vec![rule::TTL_HOPS]),
        (json!({"address": "10.0.1.1", "asn": 1, "bfd": {}}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "bfd": {"interval": "50ms", "multiplier": 3}}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "bfd": {"interval": "9ms"}}), vec![rule::BFD_INTERVAL]),
        (json!({"address": "10.0.1.1", "asn": 1, "bfd": {"interval": "61s"}}), vec![rule::BFD_INTERVAL]),
        (json!({"address": "10.0.1.1", "asn": 1, "bfd": {"multiplier": 0}}), vec![rule::BFD_MULTIPLIER]),
        (json!({"listen": {"prefix": "10.0.0.0/24"}, "asn": 1, "bfd": {}}), vec![rule::BFD_NAMED]),
        (json!({"interface": "eth1", "asn": "External", "bfd": {}}), vec![rule::BFD_NAMED]),
        (json!({"address": "10.0.1.1", "asn": 1, "multihop": 0}), vec![rule::MULTIHOP]),
        (
            json!({"address": "10.0.1.1", "asn": 1, "multihop": 2, "ttlSecurity": {"hops": 1}}),
            vec![rule::ONE_DISTANCE],
        ),
        (
            json!({"address": "10.0.1.1", "asn": 1, "sourceAddressFrom": {"interface": ""}}),
            vec![rule::SOURCE_ADDRESS],
        ),
        (json!({"addressFrom": {"otherEnd": ["eth1", "eth1"]}, "asn": 1}), vec![rule::OTHER_END]),
        (json!({"interface": "eth1", "asn": "External"}), vec![]),
        (json!({"interface": "eth1", "asn": 1, "ttlSecurity": {"hops": 1}, "port": 1179}), vec![]),
        (json!({"interface": "eth1", "address": "10.0.1.1", "asn": 1}), vec![rule::ONE_TARGET]),
        (json!({"interface": "", "asn": 1}), vec![rule::INTERFACE]),
        (json!({"interface": "a name of an interface", "asn": 1}), vec![rule::INTERFACE]),
        (json!({"interface": "sixteen-letters-", "asn": 1}), vec![rule::INTERFACE]),
        (json!({"interface": "eth1/1", "asn": 1}), vec![rule::INTERFACE]),
        (json!({"interface": "eth1", "asn": 1, "multihop": 2}), vec![rule::ON_LINK]),
        (json!({"interface": "eth1", "asn": 1, "ttlSecurity": {"hops": 2}}), vec![rule::ON_LINK]),
        (
            json!({"interface": "eth1", "asn": 1, "sourceAddressFrom": "InternalIP"}),
            vec![rule::ON_LINK_SOURCE],
        ),
        (json!({"address": "10.0.1.1", "asn": 1, "addPath": {"send": 8, "receive": true}}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "addPath": {"receive": true}}), vec![]),
        (json!({"address": "10.0.1.1", "asn": 1, "addPath": {"send": 0}}), vec![rule::ADD_PATH_SEND]),
        (json!({"address": "10.0.1.1", "asn": 1, "families": []}), vec![rule::SOME_FAMILY]),
        (json!({"address": "10.0.1.1", "asn": 1, "families": ["IPv4", "IPv4"]}), vec![rule::SOME_FAMILY]),
    ]
}

#[test]
fn peers_that_are_fine_and_peers_that_break_a_rule() {
    for (spec, expected) in peers() {
        assert_eq!(peer(spec.clone()), Ok(expected), "{spec}");
    }
}

/// Lists of import rules and what they break.
fn route_rules() -> Table {
    let prefixes = |range: Value| json!({"match": {"prefixes": [range]}, "action": "Accept"});
    let path = |text: &str| json!({"match": {"asPath": text}, "action": "Reject"});
    let sets = |set: Value| json!({"action": "Accept", "set": set});
    let many: Vec<String> = (0..65).map(|number| format!("1:{number}")).collect();
    vec![
        (json!([{"action": "Reject"}]), vec![]),
        (
            json!([{"match": {"prefixes": [{"cidr": "10.244.0.0/16", "ge": 24, "le": 32}, {"cidr": "fd00::/8"}],
                "communities": ["65000:1", "no-export"], "asPath": "65001 * 64512..65534 ?", "origin": "Learned"},
                "action": "Accept", "set": {"localPreference": 200, "med": 10, "prepend": 2,
                "addCommunities": ["1:2:3"], "removeCommunities": ["65000:1"]}}]),
            vec![],
        ),
        (json!([path(""), path("*")]), vec![]),
        (
            json!([{"action": "Reject", "set": {}}, {"action": "Reject", "set": {"addCommunities": []}}]),
            vec![],
        ),
        (json!([{"action": "Reject", "set": {"med": 1}}]), vec![rule::REJECT_SETS]),
        (json!(vec![json!({"action": "Reject"}); 257]), vec![rule::RULE_COUNT]),
        (json!([{"match": {"communities": many}, "action": "Reject"}]), vec![rule::ENTRY_COUNT]),
        (json!([prefixes(json!({"cidr": "10.0.0.0/16", "ge": 8}))]), vec![rule::PREFIX_BOUNDS]),
        (json!([prefixes(json!({"cidr": "10.0.0.0/16", "ge": 24, "le": 20}))]), vec![rule::PREFIX_BOUNDS]),
        (json!([prefixes(json!({"cidr": "10.0.0.0/16", "le": 33}))]), vec![rule::PREFIX_BOUNDS]),
        (json!([path("^65001$")]), vec![rule::PATH_PATTERN]),
        (json!([path("+1")]), vec![rule::PATH_PATTERN]),
        (json!([path(&"* ".repeat(33))]), vec![rule::PATH_PATTERN]),
        (json!([{"match": {"origin": "PodCIDR"}, "action": "Reject"}]), vec![rule::IMPORT_ORIGIN]),
        (json!([sets(json!({"prepend": 17}))]), vec![rule::PREPEND]),
        (json!([sets(json!({"addCommunities": ["1"]}))]), vec![rule::COMMUNITY]),
    ]
}

#[test]
fn rules_that_are_fine_and_rules_that_break_one() {
    for (rules, expected) in route_rules() {
        let import = json!({"address": "10.0.1.1", "asn": 1, "import": rules});
        assert_eq!(peer(import.clone()), Ok(expected.clone()), "{import}");
        let expected: Vec<Rule> = expected.into_iter().filter(|rule| *rule != rule::IMPORT_ORIGIN).collect();
        assert_eq!(peer(json!({"address": "10.0.1.1", "asn": 1, "export": rules})), Ok(expected), "{rules}");
    }
    for (rules, word) in [
        (json!([{"set": {}}]), "missing field `action`"),
        (json!([{"action": "Drop"}]), "unknown variant `Drop`, expected `Accept` or `Reject`"),
        (
            json!([{"action": "Accept", "match": {"origin": "Kernel"}}]),
            "expected one of `PodCIDR`, `Service`, `Learned`",
        ),
        (json!([{"action": "Accept", "match": {"aspath": ""}}]), "unknown field `aspath`"),
    ] {
        let error = peer(json!({"address": "10.0.1.1", "asn": 1, "export": rules})).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn every_rule_has_an_object_that_breaks_it() {
    let name = |rule: &Rule| rule.name;
    let names: BTreeSet<&str> = rule::ALL.iter().map(name).collect();
    assert_eq!(names.len(), rule::ALL.len(), "each rule has a name of its own");
    let silent: Vec<&str> = rule::ALL
        .iter()
        .filter(|rule| rule.cel.is_empty() == rule.agent_alone.is_empty())
        .map(name)
        .collect();
    assert!(silent.is_empty(), "either in CEL, or with a reason: {silent:?}");
    let tables = [fabrics(), peers(), pools(), route_rules()];
    let broken: BTreeSet<&str> =
        tables.iter().flatten().flat_map(|(_, rules)| rules.iter().map(name)).collect();
    assert_eq!(broken, names);
}

#[test]
fn unknown_fields_are_refused() {
    for (result, word) in [
        (fabric(json!({"asm": {"value": 1}})), "asm"),
        (fabric(json!({"nodeSelector": {"matchLabel": {"a": "b"}}})), "matchLabel"),
        (fabric(json!({"fib": {"instal": true}})), "instal"),
        (peer(json!({"address": "10.0.0.1", "asn": 1, "nexthop": "Self"})), "nexthop"),
    ] {
        let error = result.unwrap_err();
        assert!(error.contains(&format!("unknown field `{word}`")), "{error}");
    }
    for source in [json!("ExternalIP"), json!({"interface": "lo", "nodeAnnotation": "a"}), json!({})] {
        let error = peer(json!({"address": "10.0.0.1", "asn": 1, "sourceAddressFrom": source})).unwrap_err();
        assert!(error.contains("expected InternalIP, {interface: NAME} or"), "{error}");
    }
}

#[test]
fn pending_fields_are_not_fields_of_the_types() {
    for (kind, base) in [("Fabric", json!({})), ("FabricPeer", json!({"address": "10.0.0.1", "asn": 1}))] {
        for path in pending::fields(kind) {
            let mut spec = base.clone();
            let mut at = &mut spec;
            for element in *path {
                at = &mut at[*element];
            }
            *at = json!({});
            let error = if kind == "Fabric" { fabric(spec) } else { peer(spec) }.unwrap_err();
            let last = path[path.len() - 1];
            assert!(error.contains(&format!("unknown field `{last}`")), "{kind} {path:?}: {error}");
        }
    }
}

#[test]
fn definitions_are_structural_and_carry_the_rules() {
    let definitions = serde_json::to_value(definitions()).unwrap();
    let kinds: Vec<&str> = definitions
        .as_array()
        .unwrap()
        .iter()
        .map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Fabric", "FabricPeer", "FabricPool", "FabricNode"]);
    for crd in definitions.as_array().unwrap() {
        assert_eq!(crd["spec"]["scope"], "Cluster");
        assert_eq!(crd["spec"]["names"]["categories"], json!(["underlay"]));
        assert_eq!(crd["spec"]["group"], GROUP);
        assert_eq!(crd["spec"]["versions"][0]["subresources"], json!({"status": {}}));
        assert!(crd["spec"]["names"]["shortNames"][0].is_string());
        assert_eq!(crd["spec"]["versions"][0]["name"], VERSION);
    }
    let text = definitions.to_string();
    for rule in rule::ALL.iter().filter(|rule| !rule.cel.is_empty()) {
        assert!(text.contains(rule.text), "{} is not in the definitions", rule.name);
    }
    assert!(!text.contains("\"$ref\""), "a structural schema has no references");
    assert!(!text.contains("oneOf") && !text.contains("nullable"), "what API servers of long ago cannot use");
    let bare = serde_json::to_string(&definitions_without_cel()).unwrap();
    assert!(!bare.contains("x-kubernetes-validations"), "{bare}");
    assert!(text.contains("x-kubernetes-validations"));
}
