//! The images of other routing daemons, each started with its configuration bound where the image reads it.

use std::path::Path;

use super::{LIMIT, left, ok};
use labs::wait;

#[test]
fn frr_gobgp_and_openbgpd_start_by_their_images() {
    labs::require!("root", "frr", "gobgp", "openbgpd");
    labs::sandbox!(|_| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/images/images.clab.yml");
        ok(&["up", file.to_str().unwrap()]);
        let status = ok(&["status", "images"]);
        assert_eq!(status.matches(" running ").count(), 3, "{status}");
        wait::until("FRR's prefix at OpenBGPD", 2 * LIMIT, || {
            let output = super::run(&["exec", "images", "openbgpd", "bgpctl", "show", "rib"]);
            let table = String::from_utf8_lossy(&output.stdout).into_owned();
            if table.contains("198.51.100.0/24") && table.contains("65002 65001 i") {
                Ok(())
            } else {
                Err(table)
            }
        });
        let summary = ok(&["exec", "images", "frr", "vtysh", "-c", "show bgp summary json"]);
        assert!(summary.contains("\"state\":\"Established\""), "{summary}");
        let neighbors = ok(&["exec", "images", "gobgp", "gobgp", "neighbor"]);
        assert_eq!(neighbors.matches(" Establ ").count(), 2, "{neighbors}");
        ok(&["down", "images"]);
        left().unwrap();
    });
}
