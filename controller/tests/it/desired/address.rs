//! Which of a node's own addresses are used.

use controller::desired::{Desired, Surroundings, compute};
use controller::kernel::LocalAddress;

use super::cluster::{addresses, fabric, node};
use super::{lines, read};

/// What a node with these InternalIPs is, on a link that has them and a lasting address.
fn passing(internal: &str, passing: &[&str]) -> Desired {
    let status = format!("status: {{addresses: [{internal}]}}");
    let own = "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n".to_owned() + &status + "\n";
    let text = fabric("f", "asn: {value: 1}, routerID: {value: 10.0.0.1}") + &node(2, "1") + &own;
    let passing: Vec<std::net::IpAddr> = passing.iter().map(|text| text.parse().unwrap()).collect();
    let addresses: Vec<LocalAddress> =
        addresses().into_iter().filter(|own| !passing.contains(&own.address)).collect();
    let around = Surroundings {
        addresses: &addresses,
        gateways: &[],
        passing: &passing,
        hosts: &[],
        ..Surroundings::default()
    };
    compute(&read(&text).unwrap(), "n1", around).unwrap()
}

#[test]
fn an_address_that_passes_is_never_chosen_though_the_node_reports_it() {
    let both = "{type: InternalIP, address: 10.0.1.2}, {type: InternalIP, address: \"fd00:1::bad\"}";
    let lasting = passing(both, &[]);
    assert_eq!(lasting.kernel.preferred_source.ipv6, Some("fd00:1::bad".parse().unwrap()));
    let desired = passing(both, &["fd00:1::bad"]);
    assert_eq!(desired.kernel.preferred_source.ipv6, None);
    assert_eq!(desired.speaker.peers[0].own_next_hop.ipv6, None);
    assert_eq!(desired.speaker.peers[0].source, Some("10.0.1.2".parse().unwrap()));
    let told: Vec<String> = lines(&desired.warnings);
    assert!(
        told.iter().any(|text| text.contains("InternalIP fd00:1::bad of Node \"n1\" is a temporary")),
        "{told:?}"
    );
    // Nobody is to take it over, either.
    assert!(desired.speaker.protected.addresses.contains(&"fd00:1::bad".parse().unwrap()));

    // With IPv6 alone there is no session: the other side would only know this address.
    let desired = passing("{type: InternalIP, address: \"fd00:1::bad\"}", &["fd00:1::bad"]);
    assert_eq!(desired.speaker.peers, []);
    let told = lines(&desired.warnings);
    assert!(told.iter().any(|text| text.contains("share no family of InternalIP")), "{told:?}");
}
