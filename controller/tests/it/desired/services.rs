//! Which addresses of Services a node originates, and how.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::config::Origination;
use bgp::prefix::{Family, Prefix};
use bgp::reason::Reason;
use bgp::rule::RouteOrigin;
use bgp::wire::community::Community;
use controller::cluster::checkpoint::Keeper;
use controller::cluster::object::Sourced;
use controller::cluster::service::{ServiceFacts, Serving, SliceFacts};
use controller::cluster::{Objects, checkpoint};
use controller::desired::derivation::Derivation;
use controller::desired::{Desired, Surroundings, compute};
use jiff::Timestamp;
use proptest::prelude::*;

use super::cluster::{addresses, desired, fabric, node};
use super::{lines, read};

/// A Fabric that advertises Services by these rules, and nodes n1 and n2.
fn advertising(rules: &str) -> String {
    fabric(
        "f",
        &format!("asn: {{value: 65001}}, mesh: None, advertise: {{podCIDRs: false, services: [{rules}]}}"),
    ) + &node(1, "1")
        + &node(2, "1")
}

/// Service `web`, with one address of each kind and family.
fn web(more: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{namespace: shop, name: web, labels: {{tier: front}}}}\n\
         spec: {{clusterIPs: [10.96.0.1, \"fd00:96::1\"], externalIPs: [198.51.100.1]{more}}}\n\
         status: {{loadBalancer: {{ingress: [{{ip: 192.0.2.1}}, {{ip: \"2001:db8::1\", ipMode: VIP}}, \
         {{ip: 192.0.2.9, ipMode: Proxy}}, {{hostname: lb.example.org}}]}}}}\n"
    )
}

/// An EndpointSlice of `web` with these endpoints, for each family.
fn slice(name: &str, endpoints: &str) -> String {
    slice_for("IPv4", name, endpoints) + &slice_for("IPv6", &format!("{name}-6"), endpoints)
}

fn slice_for(family: &str, name: &str, endpoints: &str) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{namespace: shop, name: {name}, labels: {{kubernetes.io/service-name: web}}}}\n\
         addressType: {family}\nendpoints: [{endpoints}]\nports: []\n"
    )
}

const READY: &str = "{addresses: [10.244.1.5], nodeName: n1, conditions: {ready: true}}";
const ELSEWHERE: &str = "{addresses: [10.244.2.5], nodeName: n2}";
const ENDING: &str =
    "{addresses: [10.244.1.5], nodeName: n1, conditions: {ready: false, serving: true, terminating: true}}";
const DEAD: &str =
    "{addresses: [10.244.1.6], nodeName: n1, conditions: {ready: false, serving: false, terminating: true}}";
const ALL: &str = "{addresses: [LoadBalancerIP, ExternalIP, ClusterIP]}";
const BALANCED: &str = "{addresses: [LoadBalancerIP]}";

fn originated(desired: &Desired) -> Vec<String> {
    desired.speaker.origins.iter().map(|origin| origin.prefix.to_string()).collect()
}

/// What is not originated, by prefix.
fn withheld(desired: &Desired) -> BTreeMap<String, Reason> {
    desired
        .withheld
        .iter()
        .map(|(prefix, (service, reason))| {
            assert_eq!(&**service, "shop/web");
            (prefix.to_string(), *reason)
        })
        .collect()
}

#[test]
fn addresses_are_originated_by_rule_as_host_routes_or_aggregates() {
    let of = |rules: &str| desired(&(advertising(rules) + &web("") + &slice("a", ELSEWHERE)));
    let all = ["10.96.0.1/32", "192.0.2.1/32", "198.51.100.1/32", "2001:db8::1/128", "fd00:96::1/128"];
    let whole = of(ALL);
    assert_eq!(originated(&whole), all);
    assert!(whole.speaker.origins.iter().all(|origin| origin.origin == RouteOrigin::Service));
    assert!(withheld(&whole).is_empty());
    let aggregated = of("{addresses: [LoadBalancerIP, ClusterIP], aggregate: {v4: 24}}");
    assert_eq!(
        originated(&aggregated),
        ["10.96.0.0/24", "192.0.2.0/24", "2001:db8::1/128", "fd00:96::1/128"]
    );
    assert!(originated(&of("{addresses: [ExternalIP], selector: {matchLabels: {tier: back}}}")).is_empty());
    // The first rule that names an address says how.
    let front = "{addresses: [LoadBalancerIP], selector: {matchLabels: {tier: front}}, \
                 communities: [\"65001:7\", no-export], localPreference: 300}";
    let mixed = of(&format!("{front}, {ALL}"));
    assert_eq!(originated(&mixed), all);
    let at =
        |text: &str| mixed.speaker.origins.iter().find(|it| it.prefix.to_string() == text).unwrap().clone();
    let said = |it: Origination| (it.communities, it.local_preference);
    let with = vec![Community(65_001 << 16 | 7), Community::NO_EXPORT];
    assert_eq!(said(at("192.0.2.1/32")), (with, Some(300)));
    assert_eq!(said(at("198.51.100.1/32")), (vec![], None));
}

#[test]
fn endpoints_of_one_family_serve_addresses_of_that_one() {
    let of = |family: &str| desired(&(advertising(BALANCED) + &web("") + &slice_for(family, "a", READY)));
    assert_eq!(originated(&of("IPv4")), ["192.0.2.1/32"]);
    assert_eq!(
        withheld(&of("IPv4")),
        BTreeMap::from([("2001:db8::1/128".to_owned(), Reason::NoReadyEndpoint)])
    );
    assert_eq!(originated(&of("IPv6")), ["2001:db8::1/128"]);
    assert!(originated(&of("FQDN")).is_empty());
}

#[test]
fn what_a_fabric_says_of_a_prefix_stands() {
    let text = fabric(
        "f",
        "asn: {value: 65001}, mesh: None, advertise: {podCIDRs: false, services: [{addresses: [LoadBalancerIP]}], \
         prefixes: [{prefix: 192.0.2.1/32, med: 7}]}",
    );
    let desired = desired(&(text + &node(1, "1") + &web("") + &slice("a", READY)));
    let origin = desired.speaker.origins.iter().find(|it| it.prefix.to_string() == "192.0.2.1/32").unwrap();
    assert_eq!((origin.med, origin.origin), (Some(7), RouteOrigin::Service));
}

#[test]
fn a_service_without_endpoints_and_an_excluded_node_advertise_nothing_and_say_why() {
    let of = |slices: &str| desired(&(advertising(BALANCED) + &web("") + slices));
    let both = |reason| BTreeMap::from(["192.0.2.1/32", "2001:db8::1/128"].map(|it| (it.to_owned(), reason)));
    for none in [String::new(), slice("a", ""), slice("a", DEAD)] {
        let found = of(&none);
        assert!(originated(&found).is_empty(), "{none}");
        assert_eq!(withheld(&found), both(Reason::NoReadyEndpoint), "{none}");
    }
    let text = advertising(BALANCED) + &web("") + &slice("a", READY);
    let label = "node.kubernetes.io/exclude-from-external-load-balancers: \"\"";
    let excluded = text.replace("{rack: \"1\", asn", &format!("{{{label}, rack: \"1\", asn"));
    assert_ne!(excluded, text);
    let found = desired(&excluded);
    assert!(originated(&found).is_empty());
    assert_eq!(withheld(&found), both(Reason::NodeExcluded));
}

#[test]
fn a_service_that_keeps_packets_on_a_node_is_advertised_by_nodes_with_an_endpoint() {
    let of = |policy: &str, slices: &str| {
        desired(&(advertising(ALL) + &web(&format!(", {policy}: Local")) + slices))
    };
    let (here, there) = (slice("a", READY), slice("b", ELSEWHERE));
    assert_eq!(originated(&of("externalTrafficPolicy", &(here.clone() + &there))).len(), 5);
    let away = of("externalTrafficPolicy", &there);
    assert!(originated(&away).is_empty());
    assert!(withheld(&away).values().all(|reason| *reason == Reason::NoLocalEndpoint));
    assert_eq!(withheld(&away).len(), 5);
    // Only packets to the cluster IPs stay.
    let inside = of("internalTrafficPolicy", &there);
    assert_eq!(originated(&inside), ["192.0.2.1/32", "198.51.100.1/32", "2001:db8::1/128"]);
    assert_eq!(withheld(&inside).len(), 2);
    // As discovery.k8s.io/v1beta1 says where an endpoint is.
    let older = here.replace("k8s.io/v1\n", "k8s.io/v1beta1\n");
    let older = older.replace("nodeName: n1", "topology: {kubernetes.io/hostname: n1}");
    assert_eq!(originated(&of("externalTrafficPolicy", &older)).len(), 5);
}

#[test]
fn while_the_last_endpoints_end_every_other_path_is_better() {
    let of =
        |slices: &str| desired(&(advertising(BALANCED) + &web(", externalTrafficPolicy: Local") + slices));
    let leaving = |desired: &Desired| -> Vec<bool> {
        let leaves = |it: &Origination| {
            let marked = it.communities.contains(&Community::GRACEFUL_SHUTDOWN);
            assert_eq!(it.local_preference, marked.then_some(0));
            marked
        };
        desired.speaker.origins.iter().map(leaves).collect()
    };
    assert_eq!(leaving(&of(&slice("a", READY))), [false, false]);
    assert_eq!(leaving(&of(&slice("a", ENDING))), [true, true]);
    assert_eq!(leaving(&of(&slice("a", &format!("{ENDING}, {READY}, {DEAD}")))), [false, false]);
    assert_eq!(leaving(&of(&(slice("a", ENDING) + &slice("b", ELSEWHERE)))), [true, true]);
    assert_eq!(leaving(&of(&slice("a", DEAD))), [] as [bool; 0]);
}

#[derive(Clone, Debug)]
enum Step {
    Service(u8, Option<(u8, bool)>),
    Slice(u8, Option<(u8, u8, bool)>),
    Rules(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..5_u8, prop::option::weighted(0.8, (0..4_u8, any::<bool>()))).prop_map(|(name, it)| Step::Service(name, it)),
        8 => (0..6_u8, prop::option::weighted(0.8, (0..5_u8, 1..4_u8, any::<bool>())))
            .prop_map(|(name, it)| Step::Slice(name, it)),
        1 => (0..3_usize).prop_map(Step::Rules),
    ]
}

fn sourced<T>(facts: T) -> Sourced<Arc<T>> {
    Sourced { uid: String::new(), value: Arc::new(facts), place: None, generation: 0 }
}

fn service(address: u8, local: bool) -> Sourced<Arc<ServiceFacts>> {
    let load_balancer = vec![IpAddr::from([192, 0, 2, address])];
    sourced(ServiceFacts { load_balancer, local, ..ServiceFacts::default() })
}

fn slice_of(service: &str, node: u8, ready: bool) -> Sourced<Arc<SliceFacts>> {
    let serving = if ready { Serving::Ready } else { Serving::Terminating };
    sourced(SliceFacts {
        service: service.to_owned(),
        family: Some(Family::Ipv4),
        nodes: BTreeMap::from([(format!("n{node}"), serving)]).into(),
    })
}

proptest! {
    /// What is derived from changes is what is computed anew, and what is kept of it on disk comes to the same.
    #[test]
    fn what_becomes_of_services_is_what_is_computed(steps in prop::collection::vec(step(), 1..40)) {
        let rules = ["", ALL, "{addresses: [LoadBalancerIP], aggregate: {v4: 31}}"];
        let own = addresses();
        let around = Surroundings { addresses: &own, ..Surroundings::default() };
        let mut objects = read(&advertising(rules[1])).unwrap();
        let (mut derivation, mut before) = (Derivation::default(), None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.json");
        let mut keeper = Keeper::new(path.clone(), "n1".to_owned());
        for step in steps {
            match step {
                Step::Service(name, Some((address, local))) => {
                    objects.services.insert(&format!("shop/s{name}"), service(address, local));
                }
                Step::Service(name, None) => drop(objects.services.remove(&format!("shop/s{name}"))),
                Step::Slice(name, Some((of, node, ready))) => {
                    objects.slices.insert(&format!("shop/e{name}"), slice_of(&format!("s{of}"), node, ready));
                }
                Step::Slice(name, None) => drop(objects.slices.remove(&format!("shop/e{name}"))),
                Step::Rules(number) => objects.fabrics = read(&advertising(rules[number])).unwrap().fabrics,
            }
            let objects = Arc::new(objects.clone());
            let computed = compute(&objects, "n1", around);
            match derivation.compute(&objects, "n1", around) {
                Some(derived) => prop_assert_eq!(&derived, &computed),
                None => prop_assert_eq!(before.as_ref(), Some(&computed), "nothing is told, and yet it has changed"),
            }
            before = Some(computed);
            keeper.keep(&objects, Timestamp::now()).unwrap();
        }
        let kept = checkpoint::read(&path, "n1", Timestamp::now()).unwrap().unwrap().objects;
        prop_assert_eq!(compute(&kept, "n1", around), before.unwrap());
    }
}

/// How often Services are looked at among so many, for a change of one, of one's endpoints, of endpoints of none, and for
/// nothing at all.
fn looks(services: u16) -> Vec<u64> {
    let mut objects: Objects = read(&advertising(BALANCED)).unwrap();
    for number in 0..services {
        let [high, low] = number.to_be_bytes();
        let load_balancer = vec![IpAddr::from([198, 18 + high / 250, high, low])];
        let facts = ServiceFacts { load_balancer, ..ServiceFacts::default() };
        objects.services.insert(&format!("shop/s{number}"), sourced(facts));
        objects.slices.insert(&format!("shop/e{number}"), slice_of(&format!("s{number}"), 1, true));
    }
    let own = addresses();
    let around = Surroundings { addresses: &own, ..Surroundings::default() };
    let mut derivation = Derivation::default();
    let mut look = |objects: &Objects| {
        let before = derivation.looked_at();
        let told = derivation.compute(&Arc::new(objects.clone()), "n1", around);
        let told =
            told.map(|outcome| outcome.map_err(|problems| lines(&problems)).unwrap().speaker.origins.len());
        (told, derivation.looked_at() - before)
    };
    let all = usize::from(services);
    assert_eq!(look(&objects), (Some(all), u64::from(services) + 2));
    let mut found = Vec::new();
    objects.services.insert("shop/s7", service(1, true));
    let (told, count) = look(&objects);
    assert_eq!(told, Some(all));
    found.push(count);
    objects.slices.insert("shop/e7", slice_of("s7", 2, true));
    let (told, count) = look(&objects);
    assert_eq!(told, Some(all - 1), "it has no endpoint here");
    found.push(count);
    objects.slices.insert("shop/e-none", slice_of("none", 1, true));
    let (told, count) = look(&objects);
    assert_eq!(told, None);
    found.push(count);
    assert_eq!(look(&objects), (None, 0));
    found
}

#[test]
fn a_service_that_changes_is_looked_at_alone_however_many_there_are() {
    let few = looks(1_000);
    assert_eq!(few, [1, 1, 1]);
    assert_eq!(looks(4_000), few);
}

#[test]
fn a_prefix_of_two_services_is_that_of_the_one_that_is_ready() {
    let mut objects = read(&advertising("{addresses: [LoadBalancerIP], aggregate: {v4: 24}}")).unwrap();
    let own = addresses();
    let around = Surroundings { addresses: &own, ..Surroundings::default() };
    objects.services.insert("shop/s1", service(1, false));
    objects.services.insert("shop/s2", service(2, false));
    objects.slices.insert("shop/e1", slice_of("s1", 1, false));
    let leaves = |objects: &Objects| {
        let desired = compute(objects, "n1", around).unwrap();
        let [origin] = &desired.speaker.origins[..] else { panic!("{:?}", desired.speaker.origins) };
        assert_eq!(origin.prefix, "192.0.2.0/24".parse::<Prefix>().unwrap());
        origin.communities.contains(&Community::GRACEFUL_SHUTDOWN)
    };
    assert!(leaves(&objects));
    objects.slices.insert("shop/e2", slice_of("s2", 1, true));
    assert!(!leaves(&objects));
}

/// The story of a Service says the same as what is originated: each address, its rule, and why it is withheld.
#[test]
fn the_story_of_a_service_names_rules_and_reasons() {
    let local = web(", externalTrafficPolicy: Local, internalTrafficPolicy: Cluster");
    let rules =
        format!("{{selector: {{matchLabels: {{tier: back}}}}, addresses: [ClusterIP]}}, {BALANCED}, {ALL}");
    let objects = read(&(advertising(&rules) + &local + &slice("a", ELSEWHERE))).unwrap();
    let own = addresses();
    let around = Surroundings { addresses: &own, ..Surroundings::default() };
    let mut derivation = Derivation::default();
    assert!(derivation.compute(&Arc::new(objects), "n1", around).is_some_and(|outcome| outcome.is_ok()));
    let story = derivation.service("shop/web").unwrap();
    let told: Vec<String> = story
        .addresses
        .iter()
        .map(|(address, kind, served)| {
            let served = served.as_ref().unwrap();
            let why = served.serving.map_or_else(Reason::word, |_| "served");
            format!("{address} {kind:?} {} {} {} {why}", served.fabric, served.rule, served.prefix)
        })
        .collect();
    let expected = [
        "192.0.2.1 LoadBalancerIP f 2 192.0.2.1/32 no-local-endpoint",
        "2001:db8::1 LoadBalancerIP f 2 2001:db8::1/128 no-local-endpoint",
        "198.51.100.1 ExternalIP f 3 198.51.100.1/32 no-local-endpoint",
        "10.96.0.1 ClusterIP f 3 10.96.0.1/32 no-local-endpoint",
        "fd00:96::1 ClusterIP f 3 fd00:96::1/128 no-local-endpoint",
    ];
    assert_eq!(told, expected);
    let endpoints = [Family::Ipv4, Family::Ipv6].map(|family| ("n2".to_owned(), family, Serving::Ready));
    assert_eq!(story.endpoints, endpoints);
    assert_eq!(derivation.service("shop/other"), None);
}
