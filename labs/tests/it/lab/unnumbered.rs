//! The lab `unnumbered`: links without addresses, behind underlay and behind FRR.

use super::fabric::{Fabric, folder};
use super::{left, shows_what_is_printed};

const UPLINKS: [&str; 2] = ["eth1", "eth2"];

#[test]
fn pods_reach_each_other_over_links_without_addresses() {
    labs::require!("root", "ping", "frr");
    labs::sandbox!(|_| {
        let fabric = Fabric::up("unnumbered", "unnumbered");
        fabric.until_ways("n1", "n2", &UPLINKS);
        fabric.until_ways("n2", "n1", &UPLINKS);
        fabric.ping_all();
        shows_what_is_printed(&folder("unnumbered").join("README.md"), &[]);

        // One cable is pulled at the node's end, and the other at the ToR's; each comes back.
        for (node, port, left) in [("n1", "eth1", "eth2"), ("tor2", "eth1", "eth1")] {
            fabric.lab.run(node, &["ip", "link", "set", port, "down"]).unwrap();
            fabric.until_ways("n1", "n2", &[left]);
            fabric.until_flows("n1", "n2");
            fabric.lab.run(node, &["ip", "link", "set", port, "up"]).unwrap();
            fabric.until_ways("n1", "n2", &UPLINKS);
        }
        fabric.until_flows("n2", "n1");
        fabric.ping_all();

        drop(fabric);
        left().unwrap();
    });
}
