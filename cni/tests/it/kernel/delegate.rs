//! Addresses by the reference IPAM plugins, with every verb.

use std::fs;

use serde_json::{Value, json};

use crate::node::{Node, Pod, REFERENCE, addresses, ping};

/// The network with an `ipam` section in the place of the subnets.
fn delegated(node: &mut Node, ipam: Value) {
    node.conf.as_object_mut().expect("an object").remove("subnets");
    node.conf["ipam"] = ipam;
}

fn host_local() -> Value {
    let range = |subnet: &str| json!([{"subnet": subnet}]);
    json!({"type": "host-local", "ranges": [range("10.244.1.0/24"), range("fd00:10:244:1::/64")],
           "routes": [{"dst": "10.96.0.0/12"}]})
}

/// The addresses that host-local holds.
fn held() -> Vec<String> {
    let entries = fs::read_dir("/var/lib/cni/networks/net").expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.parse::<std::net::IpAddr>().is_ok()).collect();
    names.sort();
    names
}

#[test]
fn host_local_gives_and_takes_back() {
    labs::require!("root", "ping", "cni-plugins");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        delegated(&mut node, host_local());
        let pod = node.pod(sandbox, "c1");
        let result = node.add(&pod);
        assert_eq!(addresses(&result), ["10.244.1.2", "fd00:10:244:1::2"]);
        // The plugin's gateways are the pod's, though no interface holds them.
        assert_eq!(
            result["routes"],
            json!([{"dst": "0.0.0.0/0", "gw": "10.244.1.1"}, {"dst": "10.96.0.0/12", "gw": "10.244.1.1"},
                   {"dst": "::/0", "gw": "fd00:10:244:1::1"}])
        );
        for to in ["192.0.2.254", "2001:db8::fe"] {
            ping(&pod.netns, to);
        }
        addresses(&result).iter().for_each(|to| ping(&node.router, to));
        node.check(&pod, &result).silent();
        // A second ADD takes nothing from the first one.
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(100, "eth0");
        assert_eq!(held(), ["10.244.1.2", "fd00:10:244:1::2"]);
        node.del(&pod);
        assert_eq!(held(), [""; 0]);
        node.del(&pod);
        node.is_empty();

        // The host answers for the plugin's gateways when the kernel has dropped the entries.
        let other = node.pod(sandbox, "c2");
        let result = node.add(&other);
        other.netns.ip("link set eth0 address 02:00:00:00:00:77");
        addresses(&result).iter().for_each(|to| ping(&node.netns, to));
    });
}

#[test]
fn what_a_failed_add_was_given_is_given_back() {
    labs::require!("root", "cni-plugins");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        delegated(&mut node, host_local());
        let pod = node.pod(sandbox, "c1");
        pod.netns.ip("route add blackhole default");
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(5, "default route");
        assert_eq!(held(), [""; 0]);
        node.is_empty();
        pod.netns.ip("route del blackhole default");
        // An address outside of the subnets that stand beside the section.
        node.conf["subnets"] = json!(["10.245.0.0/24"]);
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(7, "10.244.1.");
        assert_eq!(held(), [""; 0]);
        node.conf["hostRoutes"] = true.into();
        node.add(&pod);
    });
}

#[test]
fn check_gc_and_status_are_forwarded() {
    labs::require!("root", "cni-plugins");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        delegated(&mut node, host_local());
        node.conf["readyFile"] = "".into();
        node.call("STATUS", None, &node.conf, &[]).silent();
        let pods: [Pod; 2] = ["c1", "c2"].map(|id| node.pod(sandbox, id));
        let results = pods.each_ref().map(|pod| node.add(pod));
        // Debian's host-local speaks 1.0.0, and has no GC: each attachment is given back by DEL.
        let valid = node.with("cni.dev/valid-attachments", json!([{"containerID": "c2", "ifname": "eth0"}]));
        node.call("GC", None, &valid, &[]).silent();
        assert_eq!(held(), ["10.244.1.3", "fd00:10:244:1::3"]);
        node.check(&pods[1], &results[1]).silent();
        fs::remove_file("/var/lib/cni/networks/net/10.244.1.3").expect("removed");
        fs::remove_file("/var/lib/cni/networks/net/fd00:10:244:1::3").expect("removed");
        node.check(&pods[1], &results[1]).fails(102, "host-local");
    });
}

#[test]
fn static_addresses() {
    labs::require!("root", "ping", "cni-plugins");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        let ipam = json!({"type": "static", "addresses": [{"address": "10.244.1.9/24"},
                          {"address": "fd00:10:244:1::9/64"}], "dns": {"nameservers": ["10.96.0.10"]}});
        delegated(&mut node, ipam);
        let pod = node.pod(sandbox, "c1");
        let result = node.add(&pod);
        assert_eq!(addresses(&result), ["10.244.1.9", "fd00:10:244:1::9"]);
        assert_eq!(result["dns"], json!({"nameservers": ["10.96.0.10"]}));
        assert_eq!(result["routes"][0], json!({"dst": "0.0.0.0/0", "gw": "169.254.1.1"}));
        ping(&node.router, "10.244.1.9");
        node.check(&pod, &result).silent();
        node.del(&pod);
        node.is_empty();
    });
}

#[test]
fn a_plugin_that_is_not_there_or_fails() {
    labs::require!("root", "cni-plugins");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        delegated(&mut node, json!({"type": "none-such"}));
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(5, "none-such");
        node.call("ADD", Some(&pod), &node.conf, &[("CNI_PATH", "")]).fails(4, "CNI_PATH");
        node.call("STATUS", None, &node.with("readyFile", ""), &[]).fails(50, "none-such");
        node.conf["ipam"] = json!({"type": "static", "addresses": [{"address": "nonsense"}]});
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(105, "ipam plugin static");
        // dhcp asks a daemon that is not running.
        node.conf["ipam"] = json!({"type": "dhcp"});
        let (_, text) = node.call("ADD", Some(&pod), &node.conf, &[]).error();
        assert!(text.contains("ipam plugin dhcp") && text.contains("dhcp.sock"), "{text}");
        // One that runs asks on the container's interface, which is not there yet; every other verb is answered.
        let mut daemon = sandbox.daemon("dhcp", node.netns.exec(format!("{REFERENCE}/dhcp"), ["daemon"]));
        daemon.wait_ready(|| std::path::Path::new("/run/cni/dhcp.sock").exists());
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(105, "error looking up \"eth0\"");
        node.del(&pod);
        node.call("STATUS", None, &node.with("readyFile", ""), &[]).silent();
        node.call("GC", None, &node.with("cni.dev/valid-attachments", json!([])), &[]).silent();
        node.is_empty();
        assert!(REFERENCE.starts_with('/'));
    });
}

#[test]
fn pods_of_host_local_before_us_keep_their_addresses() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let folder = "/var/lib/cni/networks/net";
        fs::create_dir_all(folder).expect("made");
        for (address, content) in
            [("10.244.1.2", "old1\r\neth0"), ("10.244.1.3", "old2\r\neth0"), ("lock", "")]
        {
            fs::write(format!("{folder}/{address}"), content).expect("written");
        }
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        assert_eq!(addresses(&node.add(&a))[0], "10.244.1.4");
        let asked = node.with("runtimeConfig", json!({"ips": ["10.244.1.2"]}));
        node.call("ADD", Some(&b), &asked, &[]).fails(101, "host-local's container old1");
        // The runtime takes the old pod down with the configuration that there is.
        node.call("DEL", None, &node.conf, &[("CNI_CONTAINERID", "old1")]).silent();
        node.call("ADD", Some(&b), &asked, &[]).result();
        let valid = node.with("cni.dev/valid-attachments", json!([]));
        node.call("GC", None, &valid, &[]).silent();
        assert_eq!(held(), [""; 0]);
    });
}

#[test]
fn ranges_exclusions_and_requests() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        node.conf["subnets"] = json!([
            {"subnet": "10.244.1.0/24", "rangeStart": "10.244.1.10", "rangeEnd": "10.244.1.13"},
            {"subnet": "10.244.2.0/30"}]);
        node.conf["exclude"] = json!(["10.244.1.11", "10.244.2.1/32"]);
        let pods: Vec<Pod> = (0..5).map(|n| node.pod(sandbox, &format!("c{n}"))).collect();
        let given: Vec<String> =
            pods[..4].iter().map(|pod| addresses(&node.add(pod)).swap_remove(0)).collect();
        assert_eq!(given, ["10.244.1.10", "10.244.1.12", "10.244.1.13", "10.244.2.2"]);
        node.call("ADD", Some(&pods[4]), &node.conf, &[]).fails(11, "4 of 4 addresses");
        // What is excluded is kept for those who ask for it.
        let asked = node.with("args", json!({"cni": {"ips": ["10.244.1.11"]}}));
        node.call("ADD", Some(&pods[4]), &asked, &[]).result();
        node.del(&pods[4]);
        let outside = node.with("runtimeConfig", json!({"ips": ["10.9.9.9"]}));
        node.call("ADD", Some(&pods[4]), &outside, &[]).fails(7, "hostRoutes");
        node.conf["hostRoutes"] = true.into();
        let outside = node.with("runtimeConfig", json!({"ips": ["10.9.9.9"]}));
        assert_eq!(addresses(&node.call("ADD", Some(&pods[4]), &outside, &[]).result()), ["10.9.9.9"]);
    });
}

#[test]
fn routes_gateways_and_names_are_honoured_and_returned() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        node.conf["gateway"] = json!(["10.244.1.1", "fd00:10:244:1::1"]);
        node.conf["routes"] = json!([{"dst": "198.51.100.0/24", "mtu": 1400, "priority": 7},
                                     {"dst": "2001:db8:9::/48"}]);
        node.conf["dns"] = json!({"nameservers": ["10.96.0.10"], "search": ["a.example"]});
        let pod = node.pod(sandbox, "c1");
        let result = node.add(&pod);
        assert_eq!(result["dns"], node.conf["dns"]);
        assert_eq!(result["ips"][0]["gateway"], "10.244.1.1");
        assert_eq!(
            result["routes"][1],
            json!({"dst": "198.51.100.0/24", "gw": "10.244.1.1", "mtu": 1400, "priority": 7})
        );
        let route = pod.netns.ip("route show 198.51.100.0/24");
        assert!(route.contains("via 10.244.1.1") && route.contains("mtu 1400"), "{route}");
        for to in ["192.0.2.254", "2001:db8::fe"] {
            ping(&pod.netns, to);
        }
        node.check(&pod, &result).silent();
        pod.netns.ip("route del 198.51.100.0/24");
        node.check(&pod, &result).fails(102, "route to 198.51.100.0/24");
        let asked = node.with("runtimeConfig", json!({"dns": {"servers": ["10.96.0.11"]}}));
        let other = node.pod(sandbox, "c2");
        let result = node.call("ADD", Some(&other), &asked, &[]).result();
        assert_eq!(result["dns"], json!({"nameservers": ["10.96.0.11"]}));
        let mut quiet = node.conf.clone();
        quiet["defaultRoute"] = false.into();
        let third = node.pod(sandbox, "c3");
        let result = node.call("ADD", Some(&third), &quiet, &[]).result();
        assert_eq!(third.netns.ip("route show default"), "");
        quiet["prevResult"] = result;
        node.call("CHECK", Some(&third), &quiet, &[]).silent();
    });
}
