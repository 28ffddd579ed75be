//! `explain` of a pod: its addresses as the CNI plugin keeps them, the kernel's route, the prefix that is announced.

use std::fs;
use std::path::Path;

use labs::bird::Bird;

use super::bird::{POD_V4, config, manifest, rack, until_bird};
use super::node::Node;

/// The plugin's file with one pod and a container of no pod.
fn keep(state_dir: &Path) {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let folder = state_dir.join("underlay");
    fs::create_dir_all(&folder).unwrap();
    let entry = |container: &str, link: &str, host: u8, pod: &str| {
        format!(
            r#"{{"containerID": "{container}", "interface": "eth0", "link": "{link}",
                "addresses": ["10.244.1.{host}", "fd00:10:244:1::{host}"]{pod}}}"#
        )
    };
    let web = entry("0123456789abcdef0123", "ul0", 2, r#", "pod": "default/web-0""#);
    let other = entry("ffff", "ul1", 3, "");
    let text = format!(
        r#"{{"layout": 1, "bootID": "{}", "last": {{}}, "reservations": [{web}, {other}]}}"#,
        boot_id.trim()
    );
    fs::write(folder.join("reservations.json"), text).unwrap();
    fs::write(state_dir.join("a file"), "").unwrap();
}

#[test]
fn addresses_routes_and_the_prefix_that_covers_them() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let pod = sandbox.netns("pod");
        for (host, end) in [("ul0", "eth0"), ("ul9", "eth1")] {
            sandbox.link(&node, host, &pod, end);
        }
        node.ip("route add 10.244.1.2 dev ul0 proto 172");
        let bird = Bird::start(sandbox, &router, "bird", &config("10.0.1.2", true));
        let kept = sandbox.folder().join("cni");
        let (state, more) = (sandbox.folder().join("node"), ["--cni-state", kept.to_str().unwrap()]);
        let node = Node::start_in(sandbox, node, "node", &manifest("10.0.1.1", ""), state, &more);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop"));

        // Before the plugin has made its folder.
        let output = node.run("explain default/web-0");
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("no pod `default/web-0` is known on node: ") && said.contains("/cni: "),
            "{said}"
        );

        keep(&kept);
        let story = node.ask("explain default/web-0");
        let expected = "\
default/web-0 on node has 10.244.1.2, fd00:10:244:1::2: this node has NO route to fd00:10:244:1::2

  address      10.244.1.2           eth0 of container 0123456789abc, network underlay
  host route   10.244.1.2/32        over ul0, protocol 172
  covered by   10.244.1.0/24        originated here
  sent to      tor 10.0.1.1         path 65001   next hop 10.0.1.2
  address      fd00:10:244:1::2     eth0 of container 0123456789abc, network underlay
  host route   -                    none: the kernel has no route to the address
  covered by   fd00:10:244:1::/64   originated here
  sent to      tor 10.0.1.1         path 65001   next hop fd00:1::2
";
        assert_eq!(story, expected);
        node.netns.ip("-6 route add fd00:10:244:1::2 dev ul0 proto 172");
        let summary =
            "default/web-0 on node has 10.244.1.2, fd00:10:244:1::2: reached by this node, and announced";
        let story = node.ask("explain default/web-0");
        assert!(story.starts_with(summary), "{story}");
        let story: serde_json::Value =
            serde_json::from_str(&node.ask("explain default/web-0 -o json")).unwrap();
        assert_eq!(story["pod"]["addresses"][0]["host_route"]["interfaces"][0], "ul0");

        // A route that leads past the pod's link.
        node.netns.ip("route replace 10.244.1.2 dev ul9 proto 172");
        let story = node.ask("explain default/web-0");
        assert!(story.contains("over ul9, protocol 172; NOT over the pod's link ul0"), "{story}");

        // One that is not there, with the nearest that is.
        let output = node.run("explain default/web-1");
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("no pod `default/web-1` has an address on node; nearest: default/web-0"),
            "{said}"
        );
    });
}
