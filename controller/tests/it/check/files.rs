//! Findings in the runtime's folders.

use super::{Host, OURS};

const OTHER: &str = r#"{"cniVersion": "1.0.0", "name": "other", "plugins": [{"type": "bridge"}]}"#;

#[test]
fn the_order_of_network_configurations() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        host.put("etc/cni/net.d/87-podman-bridge.conflist", OTHER, 0o644);
        host.put("etc/cni/net.d/05-notes.txt", "no configuration", 0o644);
        let checked = host.check();
        ["cni-order", "cni-network"].iter().for_each(|check| checked.well(check));
        host.put("etc/cni/net.d/05-other.conflist", OTHER, 0o644);
        host.put("etc/cni/net.d/06-broken.conf", "{", 0o644);
        let checked = host.check();
        let remedy = "mv /etc/cni/net.d/05-other.conflist /etc/cni/net.d/05-other.conflist.disabled";
        checked.ill("cni-order", "bad", "05-other.conflist", remedy);
        checked.ill("cni-order", "bad", "06-broken.conf", "disabled");
        // Before the agent has written ours.
        for file in ["05-other.conflist", "06-broken.conf", "10-underlay.conflist"] {
            std::fs::remove_file(host.root.join("etc/cni/net.d").join(file)).unwrap();
        }
        let checked = host.check();
        checked.ill("cni-order", "warning", "87-podman-bridge.conflist", "");
        checked.ill("cni-network", "warning", "/etc/cni/net.d/10-underlay.conflist", "underlay status");
        host.put("etc/cni/net.d/09-other.conf", OTHER, 0o644);
        host.check().ill("cni-order", "bad", "09-other.conf", "mv ");
    });
}

#[test]
fn the_plugin_and_the_folders() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        host.check().well("cni-plugin");
        let path = "/opt/cni/bin/underlay-cni";
        host.put("opt/cni/bin/underlay-cni", "\x7fELF", 0o644);
        host.check().ill("cni-plugin", "bad", path, "underlay install");
        host.put("opt/cni/bin/underlay-cni", "#!/bin/sh", 0o755);
        host.check().ill("cni-plugin", "bad", path, "underlay install");
        std::fs::remove_file(host.root.join("opt/cni/bin/underlay-cni")).unwrap();
        host.check().ill("cni-plugin", "bad", path, "underlay install");
        // A runtime that looks elsewhere.
        let containerd = |bin: &str, conf: &str| {
            let text = format!(
                "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\n  # bin_dir = \"/nowhere\"\n  \
                 bin_dir = \"{bin}\"\n  conf_dir = \"{conf}\"\n"
            );
            host.put("etc/containerd/config.toml", &text, 0o644);
        };
        host.check().well("cni-folders");
        containerd("/opt/cni/bin", "/etc/cni/net.d");
        host.check().well("cni-folders");
        containerd("/usr/lib/cni", "/etc/cni/net.d");
        host.check().ill("cni-folders", "bad", "/etc/containerd/config.toml", "--bin-dir");
        containerd("/opt/cni/bin", "/etc/k/net.d");
        host.check().ill("cni-folders", "bad", "/etc/containerd/config.toml", "--cni-conf-dir");
        // What is imported counts.
        let imports = |pattern: &str| {
            let text = format!(
                "imports = [\"{pattern}\"]\nbin_dir = \"/opt/cni/bin\"\nconf_dir = \"/etc/k/net.d\"\n"
            );
            host.put("etc/containerd/config.toml", &text, 0o644);
        };
        host.put("etc/containerd/conf.d/1.toml", "conf_dir = \"/nowhere\"\n", 0o644);
        host.put("etc/containerd/conf.d/2.toml", "conf_dir = \"/etc/cni/net.d\"\n", 0o644);
        host.put("etc/containerd/conf.d/3.toml.old", "conf_dir = \"/nowhere\"\n", 0o644);
        for pattern in ["/etc/containerd/conf.d/*.toml", "conf.d/2.toml"] {
            imports(pattern);
            host.check().well("cni-folders");
        }
        imports("/etc/containerd/conf.d/1.toml");
        host.check().ill("cni-folders", "bad", "/etc/containerd/conf.d/1.toml", "--cni-conf-dir");
        containerd("/opt/cni/bin", "/etc/k/net.d");
        // The same is said of another place, if that is where ours are.
        let checked = host.check_with(&["--cni-conf-dir", "/etc/k/net.d", "--bin-dir", "/opt/cni/bin"]);
        checked.well("cni-folders");
    });
}

#[test]
fn the_pods_prefixes_are_those_of_the_last_good_configuration() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        host.netns.ip("route add 10.99.3.0/24 via 192.0.2.2 proto static");
        // Those of our network configuration, where there is nothing else.
        host.check_with(&[]).well("foreign-route");
        let checkpoint = r#"{"version": 1, "node": "n1", "writtenTime": "2026-01-01T00:00:00Z", "objects": [
            {"apiVersion": "underlay.dev/v1alpha1", "kind": "Fabric", "metadata": {"name": "f"},
             "spec": {"podPrefixes": ["10.99.0.0/16"]}}]}"#;
        host.put("var/lib/underlay/checkpoint.json", checkpoint, 0o600);
        host.check_with(&[]).ill("foreign-route", "bad", "10.99.3.0/24", "ip route del 10.99.3.0/24");
        host.put("var/lib/underlay/checkpoint.json", "{", 0o600);
        let checked = host.check_with(&[]);
        assert!(
            checked.of("foreign-route").iter().any(|said| said.0 == "unknown"),
            "{:?}",
            checked.of("foreign-route")
        );
        // An MTU that somebody set.
        host.put(
            "etc/cni/net.d/10-underlay.conflist",
            &OURS.replace("\"subnets\"", "\"mtu\": 9000, \"subnets\""),
            0o644,
        );
        host.check().ill("mtu", "bad", "10-underlay.conflist", "by hand");
    });
}
