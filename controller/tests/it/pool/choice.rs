//! Which address a Service gets, or why none.

use std::collections::{BTreeMap, BTreeSet};

use bgp::prefix::Family;
use controller::pool::claim::{self, Claim};
use controller::pool::plan::{MOST, Plan, Pool, Write, plan};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::{address, claim, pool};

/// What each Service gets, by name, and what it lacks.
fn given(plan: &Plan) -> Vec<String> {
    let writes = plan.writes.iter().map(|write| {
        let addresses: Vec<String> = write.addresses.iter().map(ToString::to_string).collect();
        format!("{} {}", write.service, addresses.join(","))
    });
    writes.chain(plan.refusals.iter().map(|(service, refusal)| format!("{service}: {refusal}"))).collect()
}

fn of(pools: &[Pool], claims: &[Claim]) -> Vec<String> {
    given(&plan(pools, claims, &[]))
}

#[test]
fn the_first_free_address_of_the_first_pool_that_is_for_it() {
    let pools = [
        pool("b", "addresses: [198.51.100.0/30]"),
        pool(
            "a",
            "{addresses: [192.0.2.0-192.0.2.1], avoidEdges: true, serviceSelector: {matchLabels: {a: b}}}",
        ),
        pool("c", "{addresses: [203.0.113.7], autoAssign: false}"),
        pool("d", "{addresses: [203.0.113.9], namespaceSelector: {matchLabels: {team: x}}}"),
    ];
    let labelled = |name: &str, created: i64| Claim {
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        created,
        ..claim(name)
    };
    let named = |name: &str, of: &str| Claim { pool: Some(of.to_owned()), ..claim(name) };
    let claims = [
        labelled("l1", 1),
        labelled("l2", 2),
        claim("s1"),
        named("c1", "c"),
        named("c2", "c"),
        named("d1", "d"),
    ];
    let expected = [
        "shop/c1 203.0.113.7",
        "shop/s1 198.51.100.0",
        "shop/l1 192.0.2.1",
        "shop/l2 198.51.100.1",
        "shop/c2: no IPv4 address is left in c",
        "shop/d1: there is no pool d that selects the Service",
    ];
    assert_eq!(of(&pools, &claims), expected);
    assert_eq!(of(&pools[2..3], &[claim("s")]), ["shop/s: no pool with IPv4 addresses is for the Service"]);
}

#[test]
fn an_address_that_is_asked_for_goes_before_and_is_never_taken_from_anybody() {
    let pools = [pool("a", "addresses: [192.0.2.0/30]")];
    let asks =
        |name: &str, text: &str| Claim { requested: Ok(vec![address(text)]), created: 9, ..claim(name) };
    let holds = |name: &str, text: &str| Claim { held: vec![address(text)], ..claim(name) };
    let claims = [
        claim("any"),
        asks("first", "192.0.2.0"),
        holds("old", "192.0.2.1"),
        asks("late", "192.0.2.1"),
        asks("far", "198.51.100.1"),
        Claim { held: vec![address("192.0.2.2")], ..asks("moves", "192.0.2.3") },
        Claim { requested: Err("`x` is no address".to_owned()), ..claim("wrong") },
    ];
    let expected = [
        "shop/first 192.0.2.0",
        "shop/moves 192.0.2.3",
        "shop/far: 198.51.100.1 is in no pool that is for the Service",
        "shop/late: 192.0.2.1 is that of Service shop/old",
        "shop/any: no IPv4 address is left in a",
        "shop/wrong: `x` is no address",
    ];
    assert_eq!(of(&pools, &claims), expected);
}

#[test]
fn services_share_by_a_key_where_their_ports_differ() {
    let pools = [pool("a", "addresses: [192.0.2.0/30]")];
    let shares = |name: &str, port: i32| Claim {
        sharing_key: Some("k".to_owned()),
        ports: BTreeSet::from([("TCP".to_owned(), port)]),
        ..claim(name)
    };
    let elsewhere = Claim { name: "other/e".to_owned(), ..shares("e", 7) };
    let local = Claim { local: true, ..shares("z", 8) };
    let claims = [shares("a", 80), shares("b", 443), shares("c", 80), elsewhere, local];
    let expected =
        ["other/e 192.0.2.0", "shop/a 192.0.2.1", "shop/b 192.0.2.1", "shop/c 192.0.2.2", "shop/z 192.0.2.3"];
    assert_eq!(of(&pools, &claims), expected);
    // What two have that do not share is said, and taken from neither.
    let twice = ["x", "y"].map(|name| Claim { held: vec![address("192.0.2.3")], ..claim(name) });
    let plan = plan(&pools, &twice, &[]);
    assert_eq!(plan.conflicts, [(address("192.0.2.3"), vec!["shop/x".to_owned(), "shop/y".to_owned()])]);
    assert!(plan.writes.is_empty() && plan.refusals.is_empty());
}

#[test]
fn both_families_or_what_there_is_of_them() {
    let both = vec![Family::Ipv6, Family::Ipv4];
    let four = [pool("a", "addresses: [192.0.2.0/30]")];
    let dual = [pool("a", "addresses: [192.0.2.0/30, \"2001:db8::/126\"]")];
    let prefers = Claim { families: both.clone(), ..claim("p") };
    let requires = Claim { requires_all: true, ..prefers.clone() };
    assert_eq!(of(&dual, std::slice::from_ref(&requires)), ["shop/p 2001:db8::,192.0.2.0"]);
    let lacks = "shop/p: no pool with IPv6 addresses is for the Service";
    assert_eq!(of(&four, &[prefers]), ["shop/p 192.0.2.0", lacks]);
    assert_eq!(of(&four, &[requires]), [lacks]);
}

#[test]
fn what_is_given_stays_until_the_service_wants_none() {
    let none: [Pool; 0] = [];
    let holds = Claim { held: vec![address("192.0.2.1")], ..claim("s") };
    assert!(of(&none, std::slice::from_ref(&holds)).is_empty(), "the pool is gone");
    let pools = [pool("a", "addresses: [192.0.2.0/30]")];
    let changed = Claim { wants: false, releases: true, ..holds.clone() };
    assert_eq!(of(&pools, std::slice::from_ref(&changed)), ["shop/s "]);
    assert!(of(&none, &[changed]).is_empty(), "what is of no pool is somebody else's");
    let foreign = Claim { wants: false, ..holds };
    let external = Claim { wants: false, external: vec![address("192.0.2.0")], ..claim("e") };
    assert_eq!(of(&pools, &[foreign, external, claim("t")]), ["shop/t 192.0.2.2"]);
}

/// An intent of somebody who led before is as good as given while its Service is the one that it was for.
#[test]
fn an_intent_that_may_yet_be_carried_out_counts_as_given() {
    let pools = [pool("a", "addresses: [192.0.2.0/31]")];
    let intent = Write {
        service: "shop/s".to_owned(),
        uid: "uid-s".to_owned(),
        version: "1".to_owned(),
        addresses: vec![address("192.0.2.0")],
    };
    let intents = [intent.clone()];
    let plan_of = |claims: &[Claim]| plan(&pools, claims, &intents);
    let older = Claim { created: -1, ..claim("a") };
    let found = plan_of(&[older.clone(), claim("s")]);
    assert_eq!(given(&found), ["shop/a 192.0.2.1", "shop/s 192.0.2.0"]);
    assert_eq!(found.intents.len(), 2);
    // It asks for another one by now: both are out of reach for everybody else.
    let other = Claim { requested: Ok(vec![address("192.0.2.1")]), ..claim("s") };
    let found = plan_of(&[older.clone(), other]);
    assert_eq!(given(&found), ["shop/s 192.0.2.1", "shop/a: no IPv4 address is left in a"]);
    assert_eq!(found.intents.len(), 2, "the one of before may still come: {:?}", found.intents);
    for gone in
        [Claim { version: "2".to_owned(), ..claim("s") }, Claim { uid: "new".to_owned(), ..claim("s") }]
    {
        let found = plan_of(&[older.clone(), Claim { wants: false, ..gone }]);
        assert_eq!((given(&found), found.intents.len()), (vec!["shop/a 192.0.2.0".to_owned()], 1));
    }
}

#[test]
fn a_round_is_no_longer_than_a_lease_holds() {
    let pools = [pool("a", "addresses: [10.0.0.0/8]")];
    let claims: Vec<Claim> = (0..MOST + 1).map(|number| claim(&format!("s{number}"))).collect();
    let found = plan(&pools, &claims, &[]);
    assert_eq!((found.writes.len(), found.more), (MOST, true));
    let lease = controller::pool::record::held(
        &Default::default(),
        "me",
        std::time::Duration::from_secs(15),
        &found.intents,
        jiff::Timestamp::UNIX_EPOCH,
    );
    assert_eq!(controller::pool::record::intents(&lease).unwrap(), found.intents);
}

#[test]
fn a_service_is_read_as_kubernetes_writes_it() {
    let read = |spec: Value, annotations: Value| {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": "u", "resourceVersion": "7", "annotations": annotations},
            "spec": spec, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "x"}]}},
        }))
        .unwrap();
        let namespaces =
            BTreeMap::from([("shop".to_owned(), BTreeMap::from([("a".to_owned(), "b".to_owned())]))]);
        Claim::of(&service, &namespaces, "ours", true)
    };
    let balanced = |more: Value| {
        let mut spec = json!({"type": "LoadBalancer"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let asks = json!({claim::ADDRESSES: "192.0.2.9, 2001:db8::9", claim::POOL: "p", claim::SHARING_KEY: "k"});
    let found = read(balanced(json!({"ipFamilies": ["IPv6", "IPv4"], "loadBalancerIP": "192.0.2.5"})), asks);
    assert_eq!(found.requested, Ok(vec![address("192.0.2.9"), address("2001:db8::9")]));
    assert_eq!((found.pool.as_deref(), found.sharing_key.as_deref()), (Some("p"), Some("k")));
    assert_eq!((found.families, found.held), (vec![Family::Ipv6, Family::Ipv4], vec![address("192.0.2.1")]));
    let found = read(balanced(json!({"loadBalancerIP": "192.0.2.5", "clusterIP": "fd00::1"})), json!({}));
    assert_eq!((found.requested, found.families), (Ok(vec![address("192.0.2.5")]), vec![Family::Ipv6]));
    assert!(read(balanced(json!({})), json!({claim::ADDRESSES: "192.0.2.1,192.0.2.2"})).requested.is_err());
    let wants = |spec: Value| {
        let found = read(spec, json!({}));
        (found.wants, found.releases)
    };
    assert_eq!(wants(balanced(json!({"loadBalancerClass": "ours"}))), (true, false));
    assert_eq!(wants(balanced(json!({"loadBalancerClass": "other"}))), (false, false));
    assert_eq!(wants(json!({"type": "ClusterIP"})), (false, true));
}

#[test]
fn a_service_that_another_balancer_gave_a_name_wants_nothing() {
    let service = |status: Value| -> Service {
        let spec = json!({"type": "LoadBalancer", "ports": [{"port": 80}]});
        let status = json!({"loadBalancer": {"ingress": status}});
        serde_json::from_value(
            json!({"metadata": {"name": "s", "namespace": "shop"}, "spec": spec, "status": status}),
        )
        .unwrap()
    };
    let wants = |status| Claim::of(&service(status), &BTreeMap::new(), "underlay.dev/pool", true).wants;
    assert!(wants(json!([])) && wants(json!([{"ip": "192.0.2.1"}])));
    assert!(!wants(json!([{"hostname": "lb-7.example.com"}])));
}
