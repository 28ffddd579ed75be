//! Peers behind links without addresses, found by router advertisements, and IPv4 by
//! IPv6 next hops (RFC 8950): with FRR, BIRD and another agent as the other end.

use labs::bird::Bird;
use labs::frr::Frr;
use labs::gobgp::Gobgp;
use labs::{Netns, Sandbox, wait};

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, manifest, until_bird};
use super::frr::until_frr;
use super::node::{LIMIT, Node};

/// A node and a router with a link that has link-local addresses alone; what others send
/// to and from lies on their loopbacks.
pub(super) fn link(sandbox: &Sandbox) -> (Netns, Netns) {
    let (node, router) = (sandbox.router("node"), sandbox.router("router"));
    sandbox.link(&node, "eth0", &router, "eth0");
    node.ip("addr add 10.0.1.2/32 dev lo");
    node.ip("addr add fd00:1::2/128 dev lo");
    for (netns, v4, v6) in [(&node, POD_V4, POD_V6), (&router, FAR_V4, FAR_V6)] {
        netns.ip(&format!("addr add {}/32 dev lo", first(v4)));
        netns.ip(&format!("addr add {}/128 dev lo", first(v6)));
    }
    (node, router)
}

/// The first host of a prefix.
fn first(prefix: &str) -> String {
    let subnet = prefix.split('/').next().unwrap();
    if let Some(subnet) = subnet.strip_suffix("::") {
        format!("{subnet}::1")
    } else {
        subnet.replace(".0", ".1")
    }
}

/// The node's manifest: its peer is whoever is behind eth0.
fn behind_eth0(more: &str) -> String {
    let peer = format!("interface: eth0, asn: External{more}");
    manifest("PEER", "").replace("address: \"PEER\", asn: 65100", &peer)
}

/// FRR's configuration as its users write it for such links.
fn frr(more: &str) -> String {
    format!(
        "router bgp 65100
 bgp router-id 10.0.1.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 neighbor eth0 interface remote-as external
 neighbor eth0 timers 1 3
 neighbor eth0 timers connect 1
 neighbor eth0 advertisement-interval 0
 {more}
 address-family ipv4 unicast
  neighbor eth0 activate
  network {FAR_V4}
 exit-address-family
 address-family ipv6 unicast
  neighbor eth0 activate
  network {FAR_V6}
 exit-address-family
"
    )
}

/// The link-local address of an interface.
pub(super) fn link_local(netns: &Netns, interface: &str) -> String {
    let shown = netns.ip(&format!("-6 -o addr show dev {interface} scope link"));
    let address = shown.split_whitespace().find(|word| word.starts_with("fe80::")).expect("an address");
    address.split('/').next().unwrap().to_owned()
}

/// Packets of a pod reach the far host, in both families, and their answers come back.
#[track_caller]
fn assert_reached(node: &Node) {
    for (from, to) in [(POD_V4, FAR_V4), (POD_V6, FAR_V6)] {
        let (from, to) = (first(from), first(to));
        node.until(&format!("{to} answers {from}"), || {
            let output = node.netns.exec("ping", ["-c1", "-W1", "-I", &from, &to]).output().unwrap();
            if output.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&output.stdout).into_owned())
            }
        });
    }
}

#[test]
fn with_frr_both_ways_and_over_a_link_that_goes_down() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, router) = link(sandbox);
        let frr = Frr::start(sandbox, &router, "frr", &frr(""));
        let mut node = Node::start(sandbox, node, "node", &behind_eth0(""));
        let (own, peer) = (link_local(&node.netns, "eth0"), link_local(&router, "eth0"));
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);
        node.until_route(&format!("{FAR_V6} via {peer} dev eth0"), true);
        for pod in [POD_V4, POD_V6] {
            until_frr(&node, &frr, pod, Some(&format!("\"ip\":\"{own}\"")));
        }
        let capability = frr.vtysh("show bgp neighbors eth0 json");
        assert!(capability.contains("\"extendedNexthop\":\"advertisedAndReceived\""), "{capability}");
        assert_reached(&node);
        // What people are shown.
        node.until("the peer with its link", || {
            let shown = node.ask("peers");
            if shown.contains(&format!("{peer}%eth0")) { Ok(()) } else { Err(shown) }
        });
        // And by that name it can be asked for.
        let told = node.ask(&format!("explain {peer}%eth0"));
        assert!(told.contains(&format!("{peer}%eth0 on node")), "{told}");
        let story = node.ask(&format!("explain {FAR_V4}"));
        assert!(story.contains(&format!("{peer}%eth0")), "{story}");

        // The link goes: at once, with its reason, and comes back.
        router.ip("link set eth0 down");
        node.until_route(FAR_V4, false);
        node.until("the reason", || {
            let shown = node.ask("peers");
            if shown.contains("interface eth0 is down") { Ok(()) } else { Err(shown) }
        });
        router.ip("link set eth0 up");
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);

        // A new process adopts what the old one left.
        node.kill_and_restart(sandbox, "node");
        node.until("the session", || {
            let log = node.agent.log();
            let adopted = log.contains("after a restart, with 2 IPv4 and 2 IPv6 routes");
            if adopted && node.transitions("Established") > 0 { Ok(()) } else { Err(log) }
        });
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);
        assert_reached(&node);
    });
}

#[test]
fn with_frr_by_a_key_and_with_proof_of_being_a_neighbour() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, router) = link(sandbox);
        let guarded = frr("neighbor eth0 password hidden\n neighbor eth0 ttl-security hops 1");
        let frr = Frr::start(sandbox, &router, "frr", &guarded);
        let manifest = behind_eth0(", ttlSecurity: {hops: 1}, passwordSecretRef: {name: tor, key: password}");
        let secret =
            "---\napiVersion: v1\nkind: Secret\nmetadata: {name: tor}\nstringData: {password: hidden}\n";
        let node = Node::start(sandbox, node, "node", &(manifest + secret));
        let (own, peer) = (link_local(&node.netns, "eth0"), link_local(&router, "eth0"));
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);
        until_frr(&node, &frr, POD_V4, Some(&format!("\"ip\":\"{own}\"")));
    });
}

/// BIRD's configuration: it has to be told who its neighbour is, and advertises itself all the same.
fn bird(own: &str, more: &str) -> String {
    format!(
        r#"log stderr all;
router id 10.0.1.1;
protocol device {{ scan time 1; }}
protocol kernel k4 {{ ipv4 {{ export where source = RTS_BGP; }}; }}
protocol kernel k6 {{ ipv6 {{ export where source = RTS_BGP; }}; }}
protocol static far4 {{ ipv4; route {FAR_V4} blackhole; }}
protocol static far6 {{ ipv6; route {FAR_V6} blackhole; }}
protocol radv {{ interface "eth0" {{ max ra interval 4; default lifetime 0; }}; }}
protocol bgp node {{
    local as 65100;
    neighbor {own}%eth0 as 65001;
    {more}
    hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    ipv4 {{ import all; export where source = RTS_STATIC; extended next hop on; }};
    ipv6 {{ import all; export where source = RTS_STATIC; }};
}}
"#
    )
}

#[test]
fn with_bird_both_ways() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = link(sandbox);
        let (own, peer) = (link_local(&node, "eth0"), link_local(&router, "eth0"));
        // It is found by its advertisements alone.
        let bird = Bird::start(sandbox, &router, "bird", &bird(&own, "passive on;"));
        let node = Node::start(sandbox, node, "node", &behind_eth0(""));
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);
        node.until_route(&format!("{FAR_V6} via {peer} dev eth0"), true);
        for pod in [POD_V4, POD_V6] {
            until_bird(&node, &bird, pod, Some(&format!("via {own} on eth0")));
        }
        assert_reached(&node);
    });
}

#[test]
fn without_the_right_to_raw_sockets_whoever_connects_is_the_neighbour() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (netns, router) = link(sandbox);
        let (own, peer) = (link_local(&netns, "eth0"), link_local(&router, "eth0"));
        let without = ["setpriv", "--bounding-set", "-net_raw", "--"];
        let node = Node::start_under(sandbox, netns, "node", &behind_eth0(""), &without);
        node.until("what is missing", || {
            let shown = node.ask("status") + &node.ask("peers");
            let named = shown.contains("raw ICMPv6 needs CAP_NET_RAW");
            let down = shown.contains("no router advertisement was heard on eth0");
            if named && down { Ok(()) } else { Err(shown) }
        });
        let bird = Bird::start(sandbox, &router, "bird", &bird(&own, ""));
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);
        until_bird(&node, &bird, POD_V6, Some(&format!("via {own} on eth0")));
    });
}

/// The manifest of the other end, which is a node as well.
fn far_end() -> String {
    let names = [(POD_V4, FAR_V4), (POD_V6, FAR_V6), ("65001", "65100"), ("name: node", "name: far")];
    let renamed = names.into_iter().fold(behind_eth0(""), |text, (from, to)| text.replace(from, to));
    renamed.replace("10.0.1.2", "10.0.1.1").replace("fd00:1::2", "fd00:1::1")
}

#[test]
fn two_nodes_find_each_other_and_ignore_a_third() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, switch) = (sandbox.router("node"), sandbox.netns("switch"));
        switch.ip("link add bridge type bridge");
        switch.ip("link set bridge up");
        let ends = ["far", "third"].map(|name| sandbox.router(name));
        for (number, end) in [&node, &ends[0], &ends[1]].into_iter().enumerate() {
            sandbox.link(end, "eth0", &switch, &format!("port{number}"));
            switch.ip(&format!("link set port{number} master bridge"));
        }
        node.ip(&format!("addr add {}/32 dev lo", first(POD_V4)));
        node.ip(&format!("addr add {}/128 dev lo", first(POD_V6)));
        let [far, third] = ends;
        far.ip(&format!("addr add {}/32 dev lo", first(FAR_V4)));
        far.ip(&format!("addr add {}/128 dev lo", first(FAR_V6)));
        let (own, peer) = (link_local(&node, "eth0"), link_local(&far, "eth0"));
        let node = Node::start(sandbox, node, "node", &behind_eth0(""));
        let far = Node::start(sandbox, far, "far", &far_end());
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);
        far.until_route(&format!("{POD_V4} via inet6 {own} dev eth0"), true);
        far.until_route(&format!("{POD_V6} via {own} dev eth0"), true);
        assert_reached(&node);

        let stranger = link_local(&third, "eth0");
        let third = Node::start(sandbox, third, "third", &far_end().replace("name: far", "name: third"));
        let named = format!("router {stranger}%eth0 is ignored: the link's neighbour is {peer}%eth0");
        wait::until("the third is named", LIMIT, || {
            let log = node.agent.log();
            if log.contains(&named) { Ok(()) } else { Err(format!("{log}\n{}", third.agent.log())) }
        });
        assert_eq!(node.transitions("Established"), 1, "{}", node.agent.log());
    });
}

/// GoBGP finds its neighbour in the kernel's table, once, and does not advertise itself: the node has heard of nobody
/// when it connects.
#[test]
fn with_gobgp_which_connects_before_it_was_heard() {
    labs::require!("root", "gobgp");
    labs::sandbox!(|sandbox| {
        let (node, router) = link(sandbox);
        let (own, peer) = (link_local(&node, "eth0"), link_local(&router, "eth0"));
        let node = Node::start(sandbox, node, "node", &behind_eth0(""));
        wait::until("the node in the router's table of neighbours", LIMIT, || {
            let _ = router.exec("ping", ["-c1", "-W1", &format!("{own}%eth0")]).output();
            let known = router.ip("-6 neigh show dev eth0");
            if known.contains(&own) && !known.contains("FAILED") { Ok(()) } else { Err(known) }
        });
        let family = |name: &str| {
            format!(
                "  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{name}-unicast\"\n"
            )
        };
        let config = format!(
            "[global.config]\n  as = 65100\n  router-id = \"10.0.1.1\"\n[[neighbors]]\n  [neighbors.config]\n    \
             neighbor-interface = \"eth0\"\n    peer-as = 65001\n  [neighbors.timers.config]\n    connect-retry = 1\n    \
             hold-time = 9\n    keepalive-interval = 3\n    idle-hold-time-after-reset = 1\n{}{}",
            family("ipv4"),
            family("ipv6")
        );
        let gobgp = Gobgp::start(sandbox, &router, "gobgp", &config);
        gobgp.gobgp(&format!("global rib -a ipv4 add {FAR_V4}"));
        gobgp.gobgp(&format!("global rib -a ipv6 add {FAR_V6}"));
        node.until_route(&format!("{FAR_V4} via inet6 {peer} dev eth0"), true);
        node.until_route(&format!("{FAR_V6} via {peer} dev eth0"), true);
        for (name, pod) in [("ipv4", POD_V4), ("ipv6", POD_V6)] {
            node.until(&format!("GoBGP's route to {pod}"), || {
                let shown = gobgp.gobgp(&format!("global rib -a {name}"));
                let found = shown.lines().any(|line| line.contains(pod) && line.contains(&own));
                if found { Ok(()) } else { Err(shown) }
            });
        }
    });
}
