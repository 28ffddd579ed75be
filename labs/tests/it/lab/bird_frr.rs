//! The lab `two-racks-bird-frr`: underlay between a BIRD and an FRR.

use super::fabric::{Fabric, folder};
use super::{left, shows_what_is_printed};

#[test]
fn pods_behind_bird_and_frr_reach_each_other() {
    labs::require!("root", "ping", "bird", "frr");
    labs::sandbox!(|_| {
        let fabric = Fabric::up("two-racks-bird-frr", "two-racks");
        fabric.ping_all();
        shows_what_is_printed(&folder("two-racks-bird-frr").join("README.md"), &[]);

        // The spine loses FRR and finds it again; what is in rack 1 stays.
        fabric.lab.run("spine", &["ip", "link", "set", "eth2", "down"]).unwrap();
        fabric.until_ways("n11", "n21", &[]);
        fabric.until_ways("n11", "n12", &["eth1"]);
        fabric.until_ways("n21", "n11", &[]);
        fabric.lab.run("spine", &["ip", "link", "set", "eth2", "up"]).unwrap();
        fabric.until_ways("n11", "n21", &["eth1"]);
        fabric.until_ways("n21", "n11", &["eth1"]);
        fabric.until_flows("n11", "n21");
        fabric.ping_all();

        drop(fabric);
        left().unwrap();
    });
}
