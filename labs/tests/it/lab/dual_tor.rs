//! The lab `dual-tor`: two uplinks a node, and what becomes of them.

use super::fabric::{FLOWS, Fabric, folder};
use super::{left, shows_what_is_printed};

const UPLINKS: [&str; 2] = ["eth1", "eth2"];

/// Whether both uplinks of n11 carry a fair part of many flows to n21, in both families.
fn both_uplinks_carry(fabric: &Fabric) {
    let (from, to) = (fabric.pod("n11"), fabric.pod("n21"));
    for address in &to.addresses {
        let before = UPLINKS.map(|uplink| fabric.sent("n11", uplink));
        assert_eq!(fabric.flows(from, to, address), FLOWS, "{address}");
        let after = UPLINKS.map(|uplink| fabric.sent("n11", uplink));
        for ((uplink, before), after) in UPLINKS.iter().zip(before).zip(after) {
            let carried = after - before;
            assert!(carried >= FLOWS as u64 / 4, "{uplink} carried {carried} of {FLOWS} flows to {address}");
        }
    }
}

#[test]
fn both_uplinks_carry_and_either_is_enough() {
    labs::require!("root", "ping");
    labs::sandbox!(|_| {
        let fabric = Fabric::up("dual-tor", "dual-tor");
        for (node, others) in [("n11", ["n12", "n21", "n22"]), ("n22", ["n11", "n12", "n21"])] {
            for other in others {
                fabric.until_ways(node, other, &UPLINKS);
            }
        }
        for (tor, far) in [("tor11", "n21"), ("tor22", "n12")] {
            fabric.until_ways(tor, far, &["eth3", "eth4"]);
        }
        fabric.until_ways("spine1", "n11", &UPLINKS);
        fabric.ping_all();
        fabric.until_flows("n11", "n21");
        both_uplinks_carry(&fabric);
        shows_what_is_printed(&folder("dual-tor").join("README.md"), &[]);

        // One uplink is cut, at the node's end; then it is mended.
        fabric.lab.run("n11", &["ip", "link", "set", "eth1", "down"]).unwrap();
        fabric.until_flows("n11", "n21");
        fabric.until_ways("n11", "n21", &["eth2"]);
        fabric.until_ways("tor11", "n11", &["eth3", "eth4"]);
        fabric.ping_all();
        fabric.lab.run("n11", &["ip", "link", "set", "eth1", "up"]).unwrap();
        fabric.until_ways("n11", "n21", &UPLINKS);
        fabric.until_ways("tor11", "n11", &["eth1"]);
        fabric.until_flows("n11", "n21");
        both_uplinks_carry(&fabric);

        // The same cable, cut at the ToR's end: the node sees only its carrier go.
        fabric.lab.run("tor11", &["ip", "link", "set", "eth1", "down"]).unwrap();
        fabric.until_flows("n11", "n21");
        fabric.until_ways("n11", "n21", &["eth2"]);
        fabric.lab.run("tor11", &["ip", "link", "set", "eth1", "up"]).unwrap();
        fabric.until_ways("n11", "n21", &UPLINKS);

        // The agent of a ToR is killed: its kernel still forwards, and nobody sends to it any more.
        fabric.lab.run("tor11", &["sh", "-c", "kill -9 -1"]).unwrap();
        for node in ["n11", "n12"] {
            fabric.until_ways(node, "n21", &["eth2"]);
        }
        fabric.until_ways("spine1", "n11", &["eth2"]);
        fabric.until_flows("n11", "n21");
        // Then the rest of it goes too.
        for port in ["eth1", "eth2", "eth3", "eth4"] {
            fabric.lab.run("tor11", &["ip", "link", "set", port, "down"]).unwrap();
        }
        fabric.until_flows("n11", "n21");
        fabric.until_flows("n11", "n12");
        fabric.ping_all();

        drop(fabric);
        left().unwrap();
    });
}
