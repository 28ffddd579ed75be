//! Findings on the kernel's own objects: each is made, seen, and gone when its cause is.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use labs::wait;
use labs::{Netns, Sandbox};

use super::{Host, PODS, program};

fn second_uplink(sandbox: &Sandbox, host: &Host) -> Netns {
    let tor = sandbox.netns("tor2");
    sandbox.link(&host.netns, "eth1", &tor, "eth1");
    host.netns.ip("addr add 198.51.100.1/24 dev eth1");
    host.netns.ip("route add 203.0.113.0/24 via 198.51.100.2 proto 171");
    tor
}

#[test]
fn a_host_that_is_well_is_told_so() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        let checked = host.check();
        let ills: Vec<_> = checked.findings.iter().filter(|finding| finding["state"] != "ok").collect();
        assert!(ills.is_empty(), "{ills:#?}");
        assert_eq!(checked.exit, 0);
        let output = host.command(&PODS).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("STATE  CHECK "), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(output.stderr.is_empty());
    });
}

/// The page shows what is printed.
#[test]
fn the_readme_shows_a_host_that_is_ill() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        let far = sandbox.netns("far");
        sandbox.link(&host.netns, "flannel.1", &far, "eth0");
        host.netns.sysctl("net/ipv4/ip_forward", "0");
        host.netns.ip("route add 10.244.3.0/24 via 192.0.2.2 proto static");
        let other = "{\"name\": \"x\", \"plugins\": [{\"type\": \"bridge\"}]}";
        host.put("etc/cni/net.d/05-other.conflist", other, 0o644);
        let output = host.command(&PODS).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, rest) = page.split_once("    $ underlay check\n").unwrap();
        let shown = rest.lines().map_while(|line| line.strip_prefix("    "));
        assert_eq!(
            shown.collect::<Vec<_>>().join("\n"),
            printed.trim_end(),
            "the README is to show\n{printed}"
        );
    });
}

#[test]
fn switches_of_the_kernel() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        for (family, key, sysctl) in [
            ("IPv4", "net/ipv4/ip_forward", "net.ipv4.ip_forward"),
            ("IPv6", "net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"),
        ] {
            host.netns.sysctl(key, "0");
            host.check().ill("ip-forward", "bad", family, &format!("sysctl -w {sysctl}=1"));
            host.netns.sysctl(key, "1");
        }
        // With one uplink strict checking and the simple hash hurt nobody.
        host.netns.sysctl("net/ipv4/conf/eth0/rp_filter", "1");
        host.netns.sysctl("net/ipv4/fib_multipath_hash_policy", "0");
        let checked = host.check();
        ["ip-forward", "rp-filter", "hash-policy"].iter().for_each(|check| checked.well(check));
        let _tor = second_uplink(sandbox, &host);
        let checked = host.check();
        checked.ill("rp-filter", "bad", "eth0", "sysctl -w net.ipv4.conf.eth0.rp_filter=2");
        checked.ill("hash-policy", "warning", "IPv4", "net.ipv4.fib_multipath_hash_policy=1");
        host.netns.sysctl("net/ipv4/conf/eth0/rp_filter", "2");
        for family in ["ipv4", "ipv6"] {
            host.netns.sysctl(&format!("net/{family}/fib_multipath_hash_policy"), "1");
        }
        host.netns.sysctl("net/ipv4/conf/eth1/rp_filter", "0");
        host.netns.sysctl("net/ipv4/conf/all/rp_filter", "0");
        let checked = host.check();
        ["rp-filter", "hash-policy"].iter().for_each(|check| checked.well(check));
        // A route by an advertisement, which a host that forwards does not hear again.
        host.netns.sysctl("net/ipv6/conf/eth0/accept_ra", "1");
        host.check().well("accept-ra");
        host.netns.ip("-6 route add 2001:db8:5::/48 via fe80::9 dev eth0 proto ra");
        host.check().ill("accept-ra", "bad", "eth0", "sysctl -w net.ipv6.conf.eth0.accept_ra=2");
        host.netns.sysctl("net/ipv6/conf/eth0/accept_ra", "2");
        host.check().well("accept-ra");
    });
}

#[test]
fn routes_and_addresses_of_others_among_the_pods() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        // Ours, and one that lies outside.
        host.netns.ip("route add 10.244.1.5/32 dev eth0 proto 172");
        host.netns.ip("route add 10.244.2.0/24 via 192.0.2.2 proto 171 metric 190");
        host.netns.ip("route add 10.0.0.0/8 via 192.0.2.2 proto static");
        let checked = host.check();
        ["foreign-route", "foreign-address"].iter().for_each(|check| checked.well(check));
        host.netns.ip("route add 10.244.3.0/24 via 192.0.2.2 proto static");
        host.netns.ip("-6 route add fd00:10:244:3::/64 via 2001:db8::2 proto bird table 7");
        let checked = host.check();
        checked.ill("foreign-route", "bad", "10.244.3.0/24", "ip route del 10.244.3.0/24 dev eth0");
        checked.ill("foreign-route", "bad", "fd00:10:244:3::/64", "dev eth0 table 7");
        host.netns.ip("route del 10.244.3.0/24 dev eth0");
        host.netns.ip("-6 route del fd00:10:244:3::/64 dev eth0 table 7");
        host.check().well("foreign-route");
        host.netns.ip("addr add 10.244.1.1/24 dev eth0");
        let checked = host.check();
        checked.ill("foreign-address", "bad", "eth0", "ip addr del 10.244.1.1/24 dev eth0");
        checked.well("foreign-route");
        host.netns.ip("addr del 10.244.1.1/24 dev eth0");
        host.check().well("foreign-address");
        // Nobody has said which prefixes are pods'.
        std::fs::remove_file(host.root.join("etc/cni/net.d/10-underlay.conflist")).unwrap();
        assert!(host.check_with(&[]).of("foreign-route").iter().all(|said| said.0 == "unknown"));
    });
}

#[test]
fn packets_that_do_not_fit() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        let pod = sandbox.netns("pod");
        sandbox.link(&host.netns, "ul0123456789abc", &pod, "eth0");
        host.check().well("mtu");
        host.netns.ip("link set ul0123456789abc mtu 1400");
        host.check().ill("mtu", "warning", "ul0123456789abc", "make the pod anew");
        host.netns.ip("link set eth0 mtu 1300");
        host.check().ill("mtu", "bad", "ul0123456789abc", "make the pod anew");
        host.netns.ip("link set ul0123456789abc mtu 1300");
        host.check().well("mtu");
        let _tor = second_uplink(sandbox, &host);
        host.check().ill("mtu", "warning", "eth1", "one MTU");
    });
}

#[test]
fn who_has_the_port_and_who_runs() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        host.check().well("bgp-port");
        let listener = host.netns.enter(|| TcpListener::bind("[::]:179")).unwrap();
        let checked = host.check();
        let said = checked.of("bgp-port");
        assert!(said[0].0 == "bad" && said[0].1 == "[::]:179" && said[0].2.starts_with("stop "), "{said:?}");
        drop(listener);
        host.check().well("bgp-port");

        // Programs by the names that the kernel keeps.
        let start = |name: &str| {
            let path = sandbox.folder().join(name);
            std::fs::copy(program("sleep"), &path).unwrap();
            host.netns.exec(&path, ["600"]).stdin(Stdio::null()).spawn().unwrap()
        };
        host.check().well("networkd");
        let mut networkd = start("systemd-networkd");
        wait::until("networkd to be seen", crate::kernel::LIMIT, || {
            host.check().of("networkd").iter().any(|said| said.0 == "bad")
        });
        let checked = host.check();
        checked.ill("networkd", "bad", "ManageForeignRoutes", "ManageForeignRoutes=no");
        checked.ill("networkd", "bad", "ManageForeignRoutingPolicyRules", "networkd.conf.d");
        host.put(
            "etc/systemd/networkd.conf",
            "[Network]\n#ManageForeignRoutes=no\nManageForeignRoutes=yes\n",
            0o644,
        );
        host.put(
            "etc/systemd/networkd.conf.d/underlay.conf",
            "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules = false\n",
            0o644,
        );
        host.check().well("networkd");
        networkd.kill().unwrap();
        networkd.wait().unwrap();
        let mut manager = start("NetworkManager");
        wait::until("NetworkManager to be seen", crate::kernel::LIMIT, || {
            host.check().of("network-manager").iter().any(|said| said.0 == "warning")
        });
        host.put(
            "etc/NetworkManager/conf.d/u.conf",
            "[keyfile]\nunmanaged-devices=interface-name:ul*;mac:1\n",
            0o644,
        );
        host.check().well("network-manager");
        manager.kill().unwrap();
        manager.wait().unwrap();
    });
}

#[test]
fn who_drops_what_is_forwarded() {
    labs::require!("root", "nft", "iptables-legacy");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        let tables = || host.netns.enter(|| std::fs::read_to_string("/proc/thread-self/net/ip_tables_names"));
        let before = tables().ok();
        host.check().well("forward-policy");
        assert_eq!(tables().ok(), before, "no table is made by looking");
        host.run("nft", "add table inet wall");
        host.run(
            "nft",
            "add chain inet wall passing { type filter hook forward priority 0 ; policy drop ; }",
        );
        let remedy = "nft insert rule inet wall passing iifname \"ul*\" accept";
        host.check().ill("forward-policy", "warning", "inet wall passing", remedy);
        host.run("nft", "delete table inet wall");
        // The one that the plugin deals with.
        host.run("nft", "add table ip filter");
        host.run(
            "nft",
            "add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }",
        );
        host.check().well("forward-policy");
        host.run("iptables-legacy", "-P FORWARD DROP");
        host.check().ill(
            "forward-policy",
            "bad",
            "ip filter FORWARD",
            "iptables-legacy -A FORWARD -i ul+ -j ACCEPT",
        );
        host.run("iptables-legacy", "-P FORWARD ACCEPT");
        host.check().well("forward-policy");
    });
}

#[test]
fn what_other_networks_have_left() {
    labs::require!("root", "nft", "iptables-nft", "iptables-legacy", "ipset");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        host.check().well("leftovers");
        let far = sandbox.netns("far");
        let links = ["flannel.1", "cni0", "cali0123456789a", "vxlan.calico", "kube-bridge", "kube-dummy-if"];
        for (number, link) in links.iter().enumerate() {
            sandbox.link(&host.netns, link, &far, &format!("e{number}"));
        }
        host.run("iptables-nft", "-t nat -N KIND-MASQ-AGENT");
        host.run("iptables-nft", "-t nat -A POSTROUTING -j KIND-MASQ-AGENT");
        host.run("iptables-nft", "-N FLANNEL-FWD");
        host.run("iptables-legacy", "-N cali-FORWARD");
        host.run("iptables-legacy", "-N cali-INPUT");
        host.run("nft", "add table ip flannel-ipv4");
        host.run("nft", "add chain ip flannel-ipv4 postrtg");
        host.run("nft", "add table inet kindnet-ipmasq");
        host.run("nft", "add chain inet kindnet-ipmasq postrouting");
        host.run("nft", "add table ip6 kube-router-filter-ipv6");
        host.run("ipset", "create cali40all-ipam-pools hash:net");
        host.run("ipset", "create inet6:kube-router-pod-subnets hash:net family inet6");
        host.run("ipset", "create mine hash:net");
        host.run("iptables-legacy", "-A cali-INPUT -m set --match-set cali40all-ipam-pools src -j ACCEPT");
        host.put("etc/iproute2/rt_tables.d/kube-router.conf", "# nothing\n77 kube-router\n78 mine\n", 0o644);
        host.netns.ip("rule add pref 500 from 10.244.1.0/24 lookup 77");
        host.netns.ip("-6 rule add pref 501 fwmark 7 lookup 77");
        host.netns.ip("rule add pref 502 fwmark 7 lookup 78");
        host.netns.ip("route add 172.30.0.0/16 via 192.0.2.2 proto 80");
        for (file, kind) in [
            ("10-calico.conflist", "calico"),
            ("10-flannel.conflist", "flannel"),
            ("10-kindnet.conflist", "ptp"),
            ("10-kuberouter.conf", "bridge"),
            ("50-mine.conflist", "flannel"),
        ] {
            let list = format!("{{\"name\": \"x\", \"plugins\": [{{\"type\": \"{kind}\"}}]}}");
            host.put(&format!("etc/cni/net.d/{file}"), &list, 0o644);
        }
        let checked = host.check();
        for link in links {
            checked.ill("leftovers", "bad", link, &format!("ip link del {link}"));
        }
        for (subject, remedy) in [
            (
                "ip nat KIND-MASQ-AGENT",
                "iptables-nft-save -t nat | grep -Ev 'KIND-MASQ-AGENT' | iptables-nft-restore -T nat",
            ),
            ("ip filter FLANNEL-FWD", "iptables-nft-save -t filter | grep -Ev 'FLANNEL-'"),
            ("ip filter cali-FORWARD", "iptables-legacy-save -t filter | grep -Ev 'cali-'"),
            ("ip flannel-ipv4", "nft delete table ip flannel-ipv4"),
            ("inet kindnet-ipmasq", "nft delete table inet kindnet-ipmasq"),
            ("ip6 kube-router-filter-ipv6", "nft delete table ip6 kube-router-filter-ipv6"),
            ("cali40all-ipam-pools", "ipset destroy cali40all-ipam-pools"),
            ("inet6:kube-router-pod-subnets", "ipset destroy inet6:kube-router-pod-subnets"),
            ("rule 500", "ip rule del pref 500 table 77"),
            ("rule 501", "ip -6 rule del pref 501 table 77"),
            ("protocol 80", "ip route flush proto 80"),
            ("10-calico.conflist", "rm /etc/cni/net.d/10-calico.conflist"),
            ("10-flannel.conflist", "rm /etc/cni/net.d/10-flannel.conflist"),
            ("10-kindnet.conflist", "rm /etc/cni/net.d/10-kindnet.conflist"),
            ("10-kuberouter.conf", "rm /etc/cni/net.d/10-kuberouter.conf"),
            ("50-mine.conflist", "rm /etc/cni/net.d/50-mine.conflist"),
        ] {
            checked.ill("leftovers", "bad", subject, remedy);
        }
        // What the remedies say clears all of it, and nothing else.
        for finding in checked.findings.iter().filter(|finding| finding["check"] == "leftovers") {
            let remedy = finding["remedy"].as_str().unwrap();
            let remedy = remedy.replace(" /etc", &format!(" {}/etc", host.root.display()));
            let output = host.netns.exec("sh", ["-c", &remedy]).output().unwrap();
            assert!(output.status.success(), "{remedy}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let checked = host.check();
        checked.well("leftovers");
        assert_eq!(checked.exit, 0, "{:#?}", checked.findings);
    });
}

#[test]
fn what_the_process_may_do() {
    labs::require!("root", "setpriv");
    labs::sandbox!(|sandbox| {
        let host = Host::well(sandbox);
        host.check().well("capabilities");
        let lacking = |capability: &str| {
            let mut command: Command =
                host.netns.exec("setpriv", ["--bounding-set", capability, "--inh-caps", capability]);
            command
                .arg(env!("CARGO_BIN_EXE_underlay"))
                .args(["check", "-o", "json", "--root"])
                .arg(&host.root)
                .args(PODS);
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let all: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
            let said = all.into_iter().find(|finding| finding["check"] == "capabilities").unwrap();
            (said["state"].as_str().unwrap().to_owned(), said["found"].as_str().unwrap().to_owned())
        };
        let (state, found) = lacking("-net_bind_service");
        assert_eq!(
            (state.as_str(), found.as_str()),
            ("bad", "lacks NET_BIND_SERVICE: listening on port 179")
        );
        assert_eq!(lacking("-net_admin").1, "lacks NET_ADMIN: writing routes and the packet filter");
    });
}
