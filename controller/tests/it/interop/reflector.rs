//! Route reflection (RFC 4456) among BIRD, FRR and the agent, all of one AS.

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Netns, Sandbox};

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, until_bird};
use super::frr::until_frr;
use super::node::Node;

/// What FRR originates.
const EDGE_V4: &str = "10.244.8.0/24";
const EDGE_V6: &str = "fd00:10:244:8::/64";

/// Three routers in a line: the middle one has 10.0.1.2 and 10.0.2.2, the others 10.0.1.1 and 10.0.2.1.
fn line(sandbox: &Sandbox, names: [&str; 3]) -> [Netns; 3] {
    let [left, middle, right] = names.map(|name| sandbox.router(name));
    for (subnet, (netns, end)) in [(1, (&left, "eth0")), (2, (&right, "eth1"))] {
        sandbox.link(&middle, end, netns, "eth0");
        for (netns, end, host) in [(&middle, end, 2), (netns, "eth0", 1)] {
            netns.ip(&format!("addr add 10.0.{subnet}.{host}/24 dev {end}"));
            netns.ip(&format!("addr add fd00:{subnet}::{host}/64 dev {end} nodad"));
        }
        // Next hops stay as they are, so that each end has a way to the other's subnet.
        let other = 3 - subnet;
        netns.ip(&format!("route add 10.0.{other}.0/24 via 10.0.{subnet}.2"));
        netns.ip(&format!("route add fd00:{other}::/64 via fd00:{subnet}::2"));
    }
    [left, middle, right]
}

/// The node's manifest with one peer an address.
fn manifest(internal: u8, peers: &[&str], client: bool) -> String {
    let fabric = r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: rack}
spec:
  asn: {value: 65001}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {hold: 3s, keepalive: 1s, connectRetry: 1s}
"#;
    let peer = |address: &&str| {
        format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: peer-{address}}}\n\
             spec: {{address: {address}, asn: Internal, routeReflectorClient: {client}}}\n"
        )
    };
    let peers: String = peers.iter().map(peer).collect();
    format!(
        "{fabric}{peers}---\napiVersion: v1\nkind: Node\nmetadata: {{name: node}}\n\
         spec: {{podCIDRs: [{POD_V4}, \"{POD_V6}\"]}}\n\
         status: {{addresses: [{{type: InternalIP, address: 10.0.1.{internal}}}, {{type: InternalIP, address: \"fd00:1::{internal}\"}}]}}\n"
    )
}

fn bird_config(peers: &[(&str, &str)], router_id: &str, own: u8) -> String {
    let protocols: String = peers
        .iter()
        .map(|(neighbor, more)| {
            format!(
                "protocol bgp {{ local as 65001; neighbor {neighbor} as 65001; {more}
                 hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
                 error wait time 1, 2; error forget time 1;
                 ipv4 {{ import all; export where source = RTS_STATIC || source = RTS_BGP; }};
                 ipv6 {{ import all; export where source = RTS_STATIC || source = RTS_BGP; }}; }}\n"
            )
        })
        .collect();
    format!(
        "log stderr all; router id {router_id}; protocol device {{}}
         protocol direct {{ ipv4; ipv6; interface \"eth*\"; }}
         protocol kernel {{ ipv4 {{ import all; export none; }}; learn; }}
         protocol kernel {{ ipv6 {{ import all; export none; }}; learn; }}
         protocol static {{ ipv4; route {FAR_V4} via 10.0.1.{own}; }}
         protocol static {{ ipv6; route {FAR_V6} via fd00:1::{own}; }}
         {protocols}"
    )
}

fn frr_config(neighbor: &str) -> String {
    format!(
        "router bgp 65001
 bgp router-id 10.0.2.1
 no bgp network import-check
 no bgp default ipv4-unicast
 neighbor {neighbor} remote-as 65001
 neighbor {neighbor} timers 1 3
 neighbor {neighbor} timers connect 1
 neighbor {neighbor} passive
 neighbor {neighbor} advertisement-interval 0
 address-family ipv4 unicast
  neighbor {neighbor} activate
  network {EDGE_V4}
 exit-address-family
 address-family ipv6 unicast
  neighbor {neighbor} activate
  neighbor {neighbor} route-map GLOBAL out
  network {EDGE_V6}
 exit-address-family
!
route-map GLOBAL permit 10
 set ipv6 next-hop global fd00:2::1
"
    )
}

#[test]
fn two_clients_hear_of_each_other_and_of_who_reflected() {
    labs::require!("root", "bird", "frr");
    labs::sandbox!(|sandbox| {
        let [left, middle, right] = line(sandbox, ["bird", "node", "frr"]);
        let bird = Bird::start(sandbox, &left, "bird", &bird_config(&[("10.0.1.2", "")], "10.0.1.1", 1));
        let frr = Frr::start(sandbox, &right, "frr", &frr_config("10.0.2.2"));
        let peers = ["10.0.1.1", "10.0.2.1"];
        let node = Node::start(sandbox, middle, "node", &manifest(2, &peers, true));
        for (prefix, hop) in [(EDGE_V4, "10.0.2.1"), (EDGE_V6, "fd00:2::1")] {
            until_bird(&node, &bird, prefix, Some(&format!("BGP.next_hop: {hop}")));
            until_bird(&node, &bird, prefix, Some("BGP.originator_id: 10.0.2.1"));
            until_bird(&node, &bird, prefix, Some("BGP.cluster_list: 10.0.1.2"));
        }
        for prefix in [FAR_V4, FAR_V6] {
            until_frr(&node, &frr, prefix, Some("\"originatorId\":\"10.0.1.1\""));
            until_frr(&node, &frr, prefix, Some("\"clusterList\":{\"list\":[\"10.0.1.2\"]"));
        }
        until_frr(&node, &frr, FAR_V4, Some("\"ip\":\"10.0.1.1\""));
        until_frr(&node, &frr, POD_V4, Some("\"ip\":\"10.0.2.2\""));
        node.until_route(&format!("{FAR_V4} via 10.0.1.1 dev eth0"), true);

        // Without clients there is no reflection, and no other session.
        node.apply(&manifest(2, &peers, false));
        until_bird(&node, &bird, EDGE_V4, None);
        until_frr(&node, &frr, FAR_V6, None);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
        assert_eq!(node.transitions("Established"), 2, "{}", node.agent.log());
    });
}

#[test]
fn the_node_as_the_client_of_a_reflector() {
    labs::require!("root", "bird", "frr");
    labs::sandbox!(|sandbox| {
        let [left, middle, right] = line(sandbox, ["node", "bird", "frr"]);
        let reflector = "rr client; rr cluster id 10.9.9.9;";
        let peers = [("10.0.1.1", reflector), ("10.0.2.1", reflector)];
        let bird = Bird::start(sandbox, &middle, "bird", &bird_config(&peers, "10.9.9.9", 2));
        let frr = Frr::start(sandbox, &right, "frr", &frr_config("10.0.2.2"));
        let node = Node::start(sandbox, left, "node", &manifest(1, &["10.0.1.2"], false));
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.1"));
        node.until_route(&format!("{EDGE_V4} via 10.0.1.2 dev eth0"), true);
        node.until_route(&format!("{EDGE_V6} via fd00:1::2 dev eth0"), true);
        until_frr(&node, &frr, POD_V4, Some("\"originatorId\":\"10.0.1.1\""));
        let story = node.ask(&format!("explain {EDGE_V4}"));
        assert!(story.contains("10.0.2.1"), "the next hop stays: {story}");
    });
}
