//! What is asked for, what collides, and what becomes of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parsed(list: Value) -> Result<Vec<Mapping>> {
    parse(&serde_json::from_value::<Vec<Asked>>(list).unwrap())
}

#[test]
fn shapes_that_runtimes_write() {
    let list = json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""},
        {"hostPort": 8080, "containerPort": 80},
        {"hostPort": 53, "containerPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"},
        {"hostPort": 53, "containerPort": 5353, "protocol": "udp", "hostIP": "[::1]"},
        {"hostPort": 9, "containerPort": 9, "protocol": "sctp", "hostIP": "0.0.0.0"}]);
    let mappings = parsed(list).unwrap();
    assert_eq!(mappings.len(), 4, "the second says the same as the first");
    assert_eq!(mappings[2].host_ip, Some("::1".parse().unwrap()));
}

#[test]
fn what_is_invalid_is_named() {
    for (mapping, needle) in [
        (json!({"hostPort": 0, "containerPort": 80}), "portMappings[1].hostPort is 0"),
        (json!({"hostPort": 65536, "containerPort": 80}), "hostPort is 65536"),
        (json!({"hostPort": -1, "containerPort": 80}), "hostPort is -1"),
        (json!({"hostPort": 1}), "containerPort is 0"),
        (json!({"hostPort": 1, "containerPort": 1, "protocol": "icmp"}), "protocol is \"icmp\""),
        (json!({"hostPort": 1, "containerPort": 1, "hostIP": "node"}), "hostIP is \"node\""),
        (json!({"hostPort": 1, "containerPort": 1, "hostIP": "224.0.0.1"}), "multicast"),
        (json!({"hostPort": 7, "containerPort": 8}), "like another of the list, which leads to port 7"),
    ] {
        let error = parsed(json!([{"hostPort": 7, "containerPort": 7}, mapping])).unwrap_err();
        assert!(error.code == Code::Config && error.message.contains(needle), "{needle}: {error}");
    }
}

#[test]
fn collisions() {
    let mapping = |ip: Option<&str>, port, protocol| Mapping {
        host_port: port,
        container_port: 1,
        protocol,
        host_ip: ip.map(|ip| ip.parse().unwrap()),
    };
    let any = mapping(None, 80, Protocol::Tcp);
    let own = |ip| mapping(Some(ip), 80, Protocol::Tcp);
    for (a, b, expected) in [
        (any, any, true),
        (any, mapping(None, 81, Protocol::Tcp), false),
        (any, mapping(None, 80, Protocol::Udp), false),
        (any, own("192.0.2.1"), true),
        (own("0.0.0.0"), own("192.0.2.1"), true),
        (own("0.0.0.0"), own("2001:db8::1"), false),
        (own("::"), own("2001:db8::1"), true),
        (own("192.0.2.1"), own("192.0.2.2"), false),
        (own("192.0.2.1"), own("192.0.2.1"), true),
    ] {
        assert_eq!((collide(&a, &b), collide(&b, &a)), (expected, expected), "{a:?} {b:?}");
    }
}

#[test]
fn one_element_a_family() {
    let addresses: [IpAddr; 2] = ["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
    let mappings = parsed(json!([
        {"hostPort": 8080, "containerPort": 80},
        {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
        {"hostPort": 54, "containerPort": 53, "protocol": "udp", "hostIP": "::"}]))
    .unwrap();
    let elements = elements(&mappings, &addresses, "c");
    let shown: Vec<(&str, Vec<u8>)> =
        elements.iter().map(|(map, element)| (map.name(), element.key.clone())).collect();
    assert_eq!(
        shown,
        [
            ("port4", vec![6, 0, 0, 0, 0x1f, 0x90, 0, 0]),
            ("address-port4", vec![127, 0, 0, 1, 17, 0, 0, 0, 0, 53, 0, 0]),
            ("port6", vec![6, 0, 0, 0, 0x1f, 0x90, 0, 0]),
            ("port6", vec![17, 0, 0, 0, 0, 54, 0, 0]),
        ]
    );
    for (map, element) in &elements {
        let read = read(*map, element).unwrap();
        assert!(
            mappings
                .iter()
                .any(|mapping| collide(mapping, &read) && mapping.container_port == read.container_port)
        );
        assert_eq!(pod(*map, element), Some(addresses[usize::from(map.family == Family::V6)]));
    }
    assert_eq!(elements[0].1.value, [10, 0, 0, 5, 0, 80, 0, 0]);
    assert!(loopback(&mappings[1..2], Family::V4) && !loopback(&mappings[1..2], Family::V6));
    assert!(reachable(&mappings, &addresses[..1]).unwrap_err().message.contains("hostIP ::"));
    reachable(&mappings, &addresses).unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(protocol in ".*", ip in ".*", host in any::<i64>(), pod in any::<i64>()) {
        let _ = parsed(json!([{"hostPort": host, "containerPort": pod, "protocol": protocol, "hostIP": ip}]));
    }
}
