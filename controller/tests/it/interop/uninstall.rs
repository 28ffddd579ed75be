//! The end of a node: the agent, the plugin and its pods were there, and everything is as it was before, but what
//! others have put there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use labs::bird::Bird;
use labs::{Netns, Sandbox, program, wait};
use serde_json::json;

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, config, manifest, rack, until_bird};
use super::node::{LIMIT, Node};

/// A node, and where its files are.
struct Place {
    netns: Netns,
    folder: PathBuf,
}

impl Place {
    fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// `underlay uninstall` of what is below the folder.
    fn uninstall(&self, more: &str) -> Output {
        let mut command = self.netns.exec(env!("CARGO_BIN_EXE_underlay"), ["uninstall"]);
        command.args([
            "--cni-conf-dir",
            &self.at("net.d"),
            "--checkpoint",
            &self.at("state/checkpoint.json"),
        ]);
        command.args(["--cni-state", &self.at("state/cni"), "--socket", &self.at("state/status.sock")]);
        command.args(more.split_whitespace());
        if !more.contains("--bin-dir") {
            command.args(["--bin-dir", &self.at("bin")]);
        }
        command.output().unwrap()
    }

    /// Its exit code, and what it prints.
    fn says(&self, more: &str) -> (Option<i32>, String) {
        let output = self.uninstall(more);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// The plugin's ADD of a pod with everything that a pod may have.
    fn pod(&self, sandbox: &Sandbox, name: &str, port: u16) -> Netns {
        let pod = sandbox.netns(name);
        let network = json!({
            "cniVersion": "1.0.0", "name": "underlay", "type": "underlay-cni", "readyFile": "",
            "subnets": [POD_V4, POD_V6], "mtu": 1500, "stateDir": self.at("state/cni"), "masquerade": {},
            "runtimeConfig": {
                "portMappings": [{"hostPort": port, "containerPort": 80, "protocol": "tcp"}],
                "bandwidth": {"ingressRate": 80_000_000, "ingressBurst": 8_000_000,
                              "egressRate": 80_000_000, "egressBurst": 8_000_000},
            },
        });
        let mut command: Command = self.netns.exec(self.folder.join("bin/underlay-cni"), [""; 0]);
        command.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", name).env("CNI_IFNAME", "eth0");
        command.env("CNI_NETNS", pod.path()).env("CNI_PATH", self.at("bin"));
        command.env("CNI_ARGS", format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(network.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        pod
    }

    /// Everything that is there: routes of all tables, rules, next-hop objects, links, the packet filter, files.
    fn inventory(&self) -> String {
        let run = |program: &str, words: &str| {
            let output = self.netns.exec(program, words.split(' ')).output().unwrap();
            assert!(output.status.success(), "{program} {words}: {output:?}");
            format!("# {program} {words}\n{}", String::from_utf8_lossy(&output.stdout))
        };
        let mut text: String = [
            "-d route show table all",
            "-6 -d route show table all",
            "rule",
            "-6 rule",
            "nexthop",
            "-br link",
            "-6 neigh show proxy",
        ]
        .map(|words| run("ip", words))
        .concat();
        text += &run("nft", "list ruleset");
        for folder in [self.folder.clone(), "/run".into(), "/var/lib".into()] {
            list(&folder, &mut text);
        }
        text
    }
}

fn list(folder: &Path, text: &mut String) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    // The test's own.
    entries.retain(|entry| !["/run/netns", "/run/sandbox"].iter().any(|own| entry == Path::new(own)));
    for entry in entries {
        *text += &format!("{}\n", entry.display());
        list(&entry, text);
    }
}

/// What others have put on the node, in the places where we put things.
fn furnish(netns: &Netns, folder: &Path) {
    for name in ["net.d", "bin", "other"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::write(folder.join("net.d/99-loopback.conf"), "{}").unwrap();
    fs::write(folder.join("other/underlay-cni"), "#!/bin/sh\n").unwrap();
    netns.ip("route add 192.0.2.0/24 via 10.0.1.1 table 100 proto static");
    netns.ip("nexthop add id 7 via 10.0.1.1 dev eth0");
    netns.ip("route add 198.51.100.0/24 nhid 7 proto static");
    for rule in [
        "add table ip filter",
        "add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }",
        "add rule ip filter FORWARD ip daddr 192.0.2.9 accept comment \"somebody's\"",
    ] {
        let output = netns.exec("nft", rule.split(' ')).output().unwrap();
        assert!(output.status.success(), "{rule}: {output:?}");
    }
}

#[test]
fn nothing_is_left_but_what_was_there_before() {
    labs::require!("root", "bird", "nft");
    labs::sandbox!(|sandbox| {
        let (netns, router) = rack(sandbox);
        let folder = sandbox.folder().join("host");
        furnish(&netns, &folder);
        // What the kernel makes for a link comes a moment after it.
        wait::until("link-local addresses", LIMIT, || {
            let shown = netns.ip("-6 addr show dev eth0");
            if shown.contains("fe80") && !shown.contains("tentative") { Ok(()) } else { Err(shown) }
        });
        let bird = Bird::start(sandbox, &router, "bird", &config("10.0.1.2", true));
        let place = Place { netns, folder };
        assert_eq!(place.says(""), (Some(0), "nothing of underlay is on this node\n".to_owned()));
        let before = place.inventory();

        let plugin = program::program("underlay-cni").display().to_string();
        let install = ["install", "--plugin", &plugin, "--bin-dir", &place.at("bin")];
        assert!(place.netns.exec(env!("CARGO_BIN_EXE_underlay"), install).status().unwrap().success());
        let lists = place.at("net.d");
        let manifest = manifest("10.0.1.1", "fib: {nextHopGroups: Always, table: 200, protocol: 181}");
        let again = Netns::open(place.netns.name()).unwrap();
        let more = ["--cni-conf-dir", &lists];
        let mut node = Node::start_in(sandbox, again, "node", &manifest, place.folder.join("state"), &more);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop"));
        until_bird(&node, &bird, POD_V6, Some("BGP.next_hop"));
        let list = place.folder.join("net.d/10-underlay.conflist");
        node.until("the network configuration", || list.is_file());
        let _pods = [place.pod(sandbox, "web", 8080), place.pod(sandbox, "db", 8081)];
        let full = place.inventory();
        assert!(full.contains("underlay-cni: from pods") && full.contains("\nub"), "{full}");

        // Pods are not cut off unasked.
        let (code, said) = place.says("");
        assert!(code == Some(1) && said.contains("default/web") && said.contains("default/db"), "{said}");
        assert!(said.contains("drain the node, or --force"), "{said}");
        // The agent says goodbye, and is not worked against.
        let (code, said) = place.says("--force");
        assert!(code == Some(1) && said.contains("has left its peers and still runs: stop it"), "{said}");
        until_bird(&node, &bird, POD_V4, None);
        until_bird(&node, &bird, POD_V6, None);
        assert!(node.agent.terminate().success(), "{}", node.agent.log());
        node.until("BIRD to know why", || {
            let log = bird.log();
            let word = "Received: Administrative shutdown: \"drained of its pods: underlay is uninstalled\"";
            if log.contains(word) { Ok(()) } else { Err(log) }
        });

        // One that is killed leaves everything that it wrote.
        node.restart_with(sandbox, "node", &more);
        node.until("routes in the table", || {
            let routes = format!(
                "{}{}",
                place.netns.try_ip("route show table 200").unwrap_or_default(),
                place.netns.try_ip("-6 route show table 200").unwrap_or_default()
            );
            if routes.contains(FAR_V4) && routes.contains(FAR_V6) { Ok(()) } else { Err(routes) }
        });
        node.agent.kill();
        let full = place.inventory();
        let (code, dry) = place.says("--force --dry-run");
        assert_eq!(code, Some(3), "{dry}");
        for word in
            ["protocol 181 in table 200", "table inet underlay-cni", "rule ip filter FORWARD", "default/web"]
        {
            assert!(dry.contains(word), "{word}: {dry}");
        }
        assert_eq!(place.inventory(), full);
        // A socket that nobody listens on was left, too.
        let (code, said) = place.says("--force");
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(place.inventory(), before, "{said}");
        assert_eq!(place.says("--dry-run"), (Some(0), "nothing of underlay is on this node\n".to_owned()));

        // What has our name and is another's stays, and is named.
        let other = place.at("other");
        let (code, said) = place.says(&format!("--bin-dir {other}"));
        assert!(code == Some(0) && said.contains("has our name and is not ours"), "{said}");
        // What cannot be removed is named: a folder in the place of a file.
        fs::create_dir_all(place.folder.join("state/drain.json")).unwrap();
        let (code, said) = place.says("");
        assert!(code == Some(1) && said.contains("failed") && said.contains("drain.json"), "{said}");
    });
}
