//! One table over both sources: an object in a manifest and the same object
//! from the API server are read alike, and refused in the same words.

use controller::cluster::kubernetes::item::{Item, Kind};
use controller::cluster::{Objects, manifest};
use serde_json::{Value, json};

pub(super) fn objects() -> Vec<(Kind, Value)> {
    let fabric = |spec: Value| (Kind::Fabric, spec);
    let peer = |spec: Value| (Kind::FabricPeer, spec);
    vec![
        fabric(json!({"asn": {"value": 64512}, "podPrefixes": ["10.244.0.0/16"], "timers": {"hold": "9s"}})),
        fabric(json!({"asn": {"value": 1, "fromLabel": "asn"}})),
        fabric(json!({"asn": {"value": "many"}})),
        fabric(json!({"asn": {"valeu": 1}})),
        fabric(json!({"asn": 64512})),
        fabric(json!({"fib": {"maxPaths": 300}})),
        fabric(json!({"fib": {"table": 255, "metric": 0}})),
        fabric(json!({"nodeSelector": {"matchLabel": {"a": "b"}}})),
        fabric(json!({"podPrefixes": ["10.244.0.0/33"]})),
        fabric(json!({"masquerade": {"enabled": true, "except": ["10.0.0.0/8"]}})),
        fabric(json!({"masquerade": {"except": ["ten"]}})),
        fabric(json!({"fib": {"nextHopGroups": "Sometimes"}})),
        fabric(json!({"mesh": "Half"})),
        peer(json!({"address": "10.0.0.9", "asn": "External", "families": ["IPv4"], "port": 1179})),
        peer(json!({"address": "10.0.0.9"})),
        peer(json!({"asn": 1})),
        peer(json!({"address": "fe80::1", "asn": 1})),
        peer(json!({"address": "ten", "asn": 1})),
        peer(json!({"address": "10.0.0.9", "asn": -1})),
        peer(json!({"address": "10.0.0.9", "asn": 1, "bfd": {"interval": "1ms"}})),
        peer(json!({"address": "10.0.0.9", "asn": 1, "passwordSecretRef": {"name": "a"}})),
        peer(json!({"address": "10.0.0.9", "asn": 1, "import": [{"action": "Reject", "set": {"med": 1}}]})),
    ]
}

#[test]
fn objects_are_read_alike_and_refused_in_the_same_words() {
    let mut refused = 0;
    for (kind, spec) in objects() {
        let object = json!({"apiVersion": "underlay.dev/v1alpha1", "kind": kind.name(),
            "metadata": {"name": "x", "uid": "u", "resourceVersion": "7"}, "spec": spec});
        let (mut read, mut problems) = (Objects::default(), Vec::new());
        manifest::read("a.json", &object.to_string(), &mut read, &mut problems);
        let item: Item = serde_json::from_value(object).unwrap();
        match item.read(kind) {
            Ok(objects) => {
                assert!(problems.is_empty(), "{spec}: {problems:?}");
                let values = |objects: Objects| {
                    let fabrics: Vec<_> =
                        objects.fabrics.into_values().map(|sourced| sourced.value).collect();
                    let peers: Vec<_> = objects.peers.into_values().map(|sourced| sourced.value).collect();
                    (fabrics, peers)
                };
                assert_eq!(values(objects), values(read), "{spec}");
            }
            Err(wrong) => {
                refused += 1;
                assert!(wrong.iter().all(|problem| problem.place.is_none()), "{wrong:?}");
                let texts = |problems: Vec<controller::cluster::Problem>| {
                    problems.into_iter().map(|problem| problem.text).collect::<Vec<_>>()
                };
                assert_eq!(texts(wrong), texts(problems), "{spec}");
            }
        }
    }
    assert_eq!(refused, objects().len() - 3);
}
