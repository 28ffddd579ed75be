//! The address of a Service comes and goes with the endpoints that stand behind it: what BIRD sees of it.

use labs::bird::Bird;

use super::bird::{self, manifest, rack, routes_to};
use super::drain::until_shown;
use super::node::Node;

/// The address of the load balancer, and an external one.
const ADDRESSES: [&str; 2] = ["198.51.100.1/32", "2001:db8::1/128"];

const READY: &str = "{ready: true}";
const ENDING: &str = "{ready: false, serving: true, terminating: true}";
const OVER: &str = "{ready: false, serving: false, terminating: true}";

/// A node, another one, and a Service with endpoints on them.
fn scene(policy: &str, labels: &str, endpoints: &[(&str, &str)]) -> String {
    let advertise =
        "advertise: {services: [{addresses: [LoadBalancerIP, ExternalIP], communities: [\"65000:80\"]}]}";
    let named = "metadata: {name: node}";
    let text = manifest("10.0.1.1", advertise);
    assert!(text.contains(named));
    let slice = |family: &str, prefix: &str| {
        let endpoint = |(number, (node, conditions)): (usize, &(&str, &str))| {
            format!("{{addresses: [\"{prefix}{number}\"], nodeName: {node}, conditions: {conditions}}}")
        };
        let endpoints: Vec<String> = endpoints.iter().enumerate().map(endpoint).collect();
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{namespace: shop, name: web-{}, \
             labels: {{kubernetes.io/service-name: web}}}}\naddressType: {family}\nports: []\nendpoints: [{}]\n",
            family.to_lowercase(),
            endpoints.join(", ")
        )
    };
    text.replace(named, &format!("metadata: {{name: node, labels: {{{labels}}}}}"))
        + "---\napiVersion: v1\nkind: Node\nmetadata: {name: other}\nspec: {podCIDRs: [10.244.9.0/24]}\n"
        + &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{namespace: shop, name: web}}\nspec: {{clusterIPs: [10.96.0.1], \
             externalTrafficPolicy: {policy}, externalIPs: [\"2001:db8::1\"]}}\nstatus: {{loadBalancer: {{ingress: [{{ip: \
             198.51.100.1}}]}}}}\n"
        )
        + &slice("IPv4", "10.244.1.")
        + &slice("IPv6", "fd00:10:244:1::")
}

/// Waits until BIRD has each address as it should: with the community of its rule, and shunned or not; or not at all.
#[track_caller]
fn until_served(node: &Node, bird: &Bird, shunned: Option<bool>) {
    node.until(&format!("BIRD's routes to the Service, shunned: {shunned:?}"), || {
        for prefix in ADDRESSES {
            let (routes, shown) = routes_to(bird, prefix);
            let is = match shunned {
                None => routes.is_empty(),
                Some(shunned) => routes.contains("(65000,80)") && routes.contains("(65535,0)") == shunned,
            };
            if !is {
                return Err(format!("{prefix}: {shown}"));
            }
        }
        Ok(())
    });
}

#[test]
fn bird_has_an_address_where_and_while_endpoints_serve() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (netns, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let mut node =
            Node::start(sandbox, netns, "node", &scene("Cluster", "", &[("node", OVER), ("other", READY)]));
        until_served(&node, &bird, Some(false));

        // Packets stay on a node: those without an endpoint of their own do not ask for any.
        let becomes = |node: &mut Node, labels: &str, endpoints: &[(&str, &str)], shunned, why: &str| {
            node.apply(&scene("Local", labels, endpoints));
            until_served(node, &bird, shunned);
            for prefix in ADDRESSES {
                until_shown(node, &format!("explain {prefix}"), why);
            }
        };
        becomes(&mut node, "", &[("other", READY)], None, "no-local-endpoint");
        let served = "is originated by the node itself";
        becomes(&mut node, "", &[("node", READY), ("other", READY)], Some(false), served);
        // One that ends is no matter while another is ready here; the last goes with a warning to the routers.
        becomes(&mut node, "", &[("node", ENDING), ("node", READY)], Some(false), served);
        becomes(&mut node, "", &[("node", ENDING), ("other", READY)], Some(true), served);
        becomes(&mut node, "", &[("node", OVER), ("other", READY)], None, "no-local-endpoint");
        becomes(&mut node, "", &[("node", READY)], Some(false), served);
        becomes(&mut node, "", &[("node", OVER)], None, "no-ready-endpoint");

        // With the label of a node that takes no packets from outside, and without it.
        let excluded = "node.kubernetes.io/exclude-from-external-load-balancers: ''";
        becomes(&mut node, "", &[("node", READY)], Some(false), served);
        becomes(&mut node, excluded, &[("node", READY)], None, "node-excluded");
        becomes(&mut node, "", &[("node", READY)], Some(false), served);
        assert_eq!(node.transitions("Established"), 1, "one session throughout");
    });
}
