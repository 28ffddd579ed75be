//! A drained node waits for its peers to go elsewhere, then withdraws the addresses of its Services: what BIRD and FRR
//! see of it.

use labs::bird::Bird;
use labs::frr::Frr;

use super::bird::{self, POD_V4, POD_V6, manifest, rack, until_bird};
use super::drain::{OWN, SHUNNED, sessions, told, until_shown};
use super::frr::{passive, until_frr};
use super::node::Node;

const SERVICE_V4: &str = "198.51.100.1/32";
const SERVICE_V6: &str = "2001:db8::1/128";
const THERE: Option<&str> = Some("BGP.next_hop");

/// A node that has an endpoint of a Service. `says` are annotations of the Node, which is cordoned if there are any.
fn serving(says: &str) -> String {
    let advertise =
        "advertise: {prefixes: [{prefix: 10.244.200.1/32}], services: [{addresses: [LoadBalancerIP]}]}";
    let slice = |family: &str, address: &str| {
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{namespace: shop, name: web-{}, \
             labels: {{kubernetes.io/service-name: web}}}}\naddressType: {family}\nendpoints: \
             [{{addresses: [\"{address}\"], nodeName: node, conditions: {{ready: true}}}}]\nports: []\n",
            family.to_lowercase()
        )
    };
    let (named, spec) = ("metadata: {name: node}", "spec: {podCIDRs");
    let text = manifest("10.0.1.1", advertise);
    assert!(text.contains(named) && text.contains(spec));
    text.replace(named, &format!("metadata: {{name: node, annotations: {{{says}}}}}"))
        .replace(spec, &format!("spec: {{unschedulable: {}, podCIDRs", !says.is_empty()))
        + "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: web}\nspec: {clusterIPs: [10.96.0.1]}\n\
           status: {loadBalancer: {ingress: [{ip: 198.51.100.1}, {ip: \"2001:db8::1\"}]}}\n"
        + &slice("IPv4", "10.244.1.5")
        + &slice("IPv6", "fd00:10:244:1::5")
}

#[test]
fn bird_has_services_shunned_then_withdrawn_and_pods_shunned() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (netns, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let mut node = Node::start(sandbox, netns, "node", &serving(""));
        for prefix in [POD_V4, POD_V6, OWN, SERVICE_V4, SERVICE_V6] {
            until_bird(&node, &bird, prefix, THERE);
        }
        let said = told(&node, "drain --wait 1h");
        assert!(said.ends_with("\n  addresses of Services are withdrawn in 1h00m\n"), "{said}");
        for prefix in [POD_V4, POD_V6, OWN, SERVICE_V4, SERVICE_V6] {
            until_bird(&node, &bird, prefix, Some(SHUNNED));
        }
        until_shown(&node, "status", "; addresses of Services are withdrawn in ");

        let withdrawn = |node: &Node, pods: Option<&str>| {
            until_bird(node, &bird, SERVICE_V4, None);
            until_bird(node, &bird, SERVICE_V6, None);
            until_bird(node, &bird, OWN, Some(SHUNNED));
            until_bird(node, &bird, POD_V4, pods);
            until_bird(node, &bird, POD_V6, pods);
        };
        told(&node, "drain --wait 1s");
        withdrawn(&node, Some(SHUNNED));
        until_shown(&node, "status", "; addresses of Services are withdrawn)");
        until_shown(&node, "events", "the addresses of Services are withdrawn");
        let why = "not advertised: drained: the node is drained, and has waited for peers to go elsewhere";
        until_shown(&node, &format!("explain {SERVICE_V4}"), why);
        // Another drain, with another wait, does not bring them back.
        let said = told(&node, "drain --pods --wait 1h");
        assert!(said.ends_with("\n  addresses of Services are withdrawn\n"), "{said}");
        withdrawn(&node, None);
        assert_eq!(sessions(&bird), 1, "one session throughout: {}", bird.log());
        told(&node, "drain --wait 1h");
        node.kill_and_restart(sandbox, "node");
        until_shown(&node, "peers", "Established");
        withdrawn(&node, Some(SHUNNED));
        told(&node, "undrain");
        let in_service = |node: &Node| {
            for prefix in [POD_V4, POD_V6, OWN, SERVICE_V4, SERVICE_V6] {
                until_bird(node, &bird, prefix, THERE);
            }
            node.until("no community at BIRD", || !bird.birdc("show route all").contains(SHUNNED));
        };
        in_service(&node);

        // The Node says the same.
        node.apply(&serving("underlay.dev/drain: 'true', underlay.dev/drain-wait: soon"));
        until_bird(&node, &bird, SERVICE_V4, Some(SHUNNED));
        until_shown(&node, "status", "`soon` is not a time such as 30s or 5m; taken as 30s");
        node.apply(&serving("underlay.dev/drain: 'true', underlay.dev/drain-wait: 1s"));
        withdrawn(&node, Some(SHUNNED));
        node.kill_and_restart(sandbox, "node");
        until_shown(&node, "peers", "Established");
        withdrawn(&node, Some(SHUNNED));
        node.apply(&serving(""));
        in_service(&node);
    });
}

#[test]
fn frr_has_services_shunned_then_withdrawn_and_pods_shunned() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (netns, router) = rack(sandbox);
        let frr = Frr::start(sandbox, &router, "frr", &passive("10.0.1.2"));
        let node = Node::start(sandbox, netns, "node", &serving(""));
        let community = Some("\"community\":{\"string\":\"graceful-shutdown\"");
        until_frr(&node, &frr, SERVICE_V4, Some("\"paths\""));
        told(&node, "drain --wait 1h");
        for prefix in [POD_V4, OWN, SERVICE_V4, SERVICE_V6] {
            until_frr(&node, &frr, prefix, community);
        }
        told(&node, "drain --wait 0s");
        until_frr(&node, &frr, SERVICE_V4, None);
        until_frr(&node, &frr, SERVICE_V6, None);
        until_frr(&node, &frr, POD_V4, community);
        until_frr(&node, &frr, POD_V6, community);
        told(&node, "undrain");
        until_frr(&node, &frr, SERVICE_V4, Some("\"paths\""));
        let shown = frr.vtysh("show bgp neighbors 10.0.1.2 json").split_whitespace().collect::<String>();
        assert!(shown.contains("\"connectionsEstablished\":1,"), "{shown}");
    });
}
