//! Masquerading: as a plan, and as hosts beyond the node see it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bgp::prefix::{Family, PerFamily, Prefix};
use controller::kernel::masquerade::rules::{RuleSet, rule_set};
use controller::kernel::masquerade::{Handle, LEARNED_MAX, Masquerade, spawn};
use labs::{Netns, Sandbox, wait};
use proptest::prelude::*;

use super::{LIMIT, prefix};

const PORT: u16 = 9;

/// A node between a pod and a host beyond, which stands for all others.
struct Scene {
    node: Netns,
    pod: Netns,
    beyond: Netns,
}

impl Scene {
    fn new(sandbox: &Sandbox) -> Self {
        let (node, pod, beyond) = (sandbox.netns("node"), sandbox.netns("pod"), sandbox.netns("beyond"));
        sandbox.link(&node, "pod", &pod, "eth0");
        sandbox.link(&node, "eth1", &beyond, "eth1");
        sandbox.link(&node, "eth2", &beyond, "eth2");
        node.forward();
        node.ip("addr add 10.0.0.1/32 dev lo");
        node.ip("addr add fd00::1/128 dev lo");
        for (namespace, link, addresses) in [
            (&node, "pod", ["10.244.1.1/24", "fd00:10:244:1::1/64"]),
            (&pod, "eth0", ["10.244.1.5/24", "fd00:10:244:1::5/64"]),
            (&node, "eth1", ["192.0.2.1/24", "2001:db8::1/64"]),
            (&beyond, "eth1", ["192.0.2.2/24", "2001:db8::2/64"]),
        ] {
            for address in addresses {
                let nodad = if address.contains(':') { "nodad" } else { "" };
                namespace.ip(&format!("addr add {address} dev {link} {nodad}"));
            }
        }
        pod.ip("route add default via 10.244.1.1");
        pod.ip("-6 route add default via fd00:10:244:1::1");
        // Another pod's, a host's that is excepted, somebody's, a learned one's, one by an uplink without address.
        for address in ["10.244.9.9", "203.0.113.9", "198.51.100.1", "198.18.0.1", "198.51.100.2"] {
            beyond.ip(&format!("addr add {address}/32 dev lo"));
        }
        for address in
            ["fd00:10:244:9::9", "2001:db8:e::9", "2001:db8:f::1", "2001:db8:1e::1", "2001:db8:f::2"]
        {
            beyond.ip(&format!("addr add {address}/128 dev lo nodad"));
        }
        node.ip("route add default via 192.0.2.2");
        node.ip("-6 route add default via 2001:db8::2");
        node.ip("route add 198.51.100.2/32 dev eth2");
        node.ip("-6 route add 2001:db8:f::2/128 via inet6 fe80::2 dev eth2 onlink");
        beyond.ip("-6 addr add fe80::2/64 dev eth2 nodad");
        wait::until("carriers", LIMIT, || !node.ip("link show").contains("NO-CARRIER"));
        Self { node, pod, beyond }
    }

    /// The source that the host beyond sees in a packet of the pod to one of its addresses.
    #[track_caller]
    fn source(&self, to: &str) -> IpAddr {
        let to: IpAddr = to.parse().unwrap();
        let far = self.beyond.enter(|| UdpSocket::bind((to, PORT))).unwrap();
        far.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let any: SocketAddr =
            if to.is_ipv4() { "0.0.0.0:0".parse().unwrap() } else { "[::]:0".parse().unwrap() };
        let mut seen = None;
        wait::until(&format!("a packet to {to}"), LIMIT, || {
            // A fresh port each time: what was decided for a connection stays.
            let near = self.pod.enter(|| UdpSocket::bind(any)).unwrap();
            near.send_to(b"x", (to, PORT)).map_err(|error| error.to_string())?;
            let (_, from) = far.recv_from(&mut [0; 8]).map_err(|error| error.to_string())?;
            seen = Some(from.ip());
            Ok::<_, String>(())
        });
        seen.unwrap()
    }

    #[track_caller]
    fn sees(&self, to: &str, source: &str) {
        assert_eq!(self.source(to).to_string(), source, "as {to} sees it");
    }
}

fn wanted() -> Masquerade {
    let prefixes = |all: &[&str]| all.iter().copied().map(prefix).collect::<BTreeSet<_>>();
    let named = BTreeSet::from(["eth1".to_owned(), "pod".to_owned()]);
    Masquerade {
        pods: prefixes(&["10.244.1.0/24", "fd00:10:244:1::/64"]),
        keep: prefixes(&["10.244.0.0/16", "fd00:10:244::/48", "203.0.113.0/24", "2001:db8:e::/48"]),
        learned: BTreeSet::new(),
        addressed: PerFamily { ipv4: named.clone(), ipv6: named },
        source: PerFamily { ipv4: "10.0.0.1".parse().ok(), ipv6: "fd00::1".parse().ok() },
    }
}

/// A driver, and what it complains of.
struct Driver {
    handle: Handle,
    why: Arc<Mutex<Option<String>>>,
    told: Arc<Mutex<usize>>,
}

impl Driver {
    fn start(node: &Netns) -> Self {
        let (why, told) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(0)));
        let (cell, count) = (Arc::clone(&why), Arc::clone(&told));
        let tell = move |text| {
            *cell.lock().unwrap() = text;
            *count.lock().unwrap() += 1;
        };
        Self { handle: node.enter(|| spawn(tell)).unwrap(), why, told }
    }

    /// Asks for something, and waits until it was done.
    #[track_caller]
    fn want(&self, wanted: Option<Masquerade>) {
        let before = *self.told.lock().unwrap();
        self.handle.want(wanted);
        wait::until("the driver to have done it", LIMIT, || {
            if *self.told.lock().unwrap() > before { Ok(()) } else { Err("not yet") }
        });
        assert_eq!(*self.why.lock().unwrap(), None);
    }

    #[track_caller]
    fn until_why(&self, words: Option<&str>) {
        wait::until(&format!("the driver to say {words:?}"), LIMIT, || {
            match (self.why.lock().unwrap().as_deref(), words) {
                (None, None) => Ok(()),
                (Some(said), Some(words)) if said.contains(words) => Ok(()),
                (said, _) => Err(format!("{said:?}")),
            }
        });
    }
}

#[track_caller]
fn nft(netns: &Netns, words: &str) -> String {
    let output = netns.exec("nft", words.split(' ')).output().expect("nft runs");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `nft` that reads from a pipe, and stays until that ends.
fn nft_reading(netns: &Netns, text: &str) -> Child {
    let mut child = netns.exec("nft", ["-i"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    child
}

/// Our table, with handles: what is written anew has others.
fn ours(node: &Netns) -> String {
    nft(node, "-a list table inet underlay")
}

fn rules(node: &Netns) -> usize {
    ours(node).lines().filter(|line| line.contains(" saddr ")).count()
}

#[test]
fn hosts_that_know_pods_see_them_and_others_see_the_node() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let scene = Scene::new(sandbox);
        scene.sees("198.51.100.1", "10.244.1.5");
        let driver = Driver::start(&scene.node);
        driver.want(Some(wanted()));
        // Somebody: the address of the uplink.
        scene.sees("198.51.100.1", "192.0.2.1");
        scene.sees("2001:db8:f::1", "2001:db8::1");
        // By an uplink that has no address: the InternalIP.
        scene.sees("198.51.100.2", "10.0.0.1");
        scene.sees("2001:db8:f::2", "fd00::1");
        // Other pods, and what is excepted.
        for (four, six) in [("10.244.9.9", "fd00:10:244:9::9"), ("203.0.113.9", "2001:db8:e::9")] {
            scene.sees(four, "10.244.1.5");
            scene.sees(six, "fd00:10:244:1::5");
        }
        // What is learned, only where that is wanted.
        scene.sees("198.18.0.1", "192.0.2.1");
        scene.sees("2001:db8:1e::1", "2001:db8::1");
        let learned = BTreeSet::from([prefix("198.18.0.0/15"), prefix("2001:db8:1e::/48")]);
        driver.want(Some(Masquerade { learned, ..wanted() }));
        scene.sees("198.18.0.1", "10.244.1.5");
        scene.sees("2001:db8:1e::1", "fd00:10:244:1::5");
        scene.sees("198.51.100.1", "192.0.2.1");
        // A family by itself.
        let pods = BTreeSet::from([prefix("10.244.1.0/24")]);
        driver.want(Some(Masquerade { pods, ..wanted() }));
        scene.sees("198.51.100.1", "192.0.2.1");
        scene.sees("2001:db8:f::1", "fd00:10:244:1::5");
        driver.want(None);
        scene.sees("198.51.100.1", "10.244.1.5");
        assert!(!nft(&scene.node, "list tables").contains("underlay"));
        driver.handle.join();
    });
}

#[test]
fn what_somebody_takes_away_comes_back_and_theirs_is_left_alone() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = sandbox.netns("node");
        let others = || {
            nft(&node, "add table inet firewall");
            nft(
                &node,
                "add chain inet firewall input { type filter hook input priority 0 ; policy accept ; }",
            );
            nft(&node, "add rule inet firewall input tcp dport 22 counter accept");
            nft(&node, "add table ip nat");
            nft(&node, "add chain ip nat POSTROUTING { type nat hook postrouting priority 100 ; }");
            nft(&node, "add rule ip nat POSTROUTING ip saddr 10.9.0.0/16 masquerade");
            nft(&node, "add table ip underlay");
        };
        let theirs = || {
            let list = |table: &str| nft(&node, &format!("-a list table {table}"));
            ["inet firewall", "ip nat", "ip underlay"].map(list).concat()
        };
        others();
        let before = theirs();
        let driver = Driver::start(&node);
        driver.want(Some(wanted()));
        assert_eq!(theirs(), before);
        let whole = nft(&node, "list table inet underlay");
        for spoil in [
            "flush ruleset",
            "delete table inet underlay",
            "flush chain inet underlay outgoing",
            "add rule inet underlay outgoing accept",
            "flush set inet underlay keep4",
            "delete element inet underlay named6 { \"eth1\" }",
            "add element inet underlay pods6 { 2001:db8:5::/64 }",
        ] {
            let flushed = spoil == "flush ruleset";
            nft(&node, spoil);
            wait::until(&format!("repair after {spoil}"), LIMIT, || {
                let output = node.exec("nft", ["list", "table", "inet", "underlay"]).output().unwrap();
                let seen = String::from_utf8_lossy(&output.stdout).into_owned();
                if seen == whole { Ok(()) } else { Err(seen) }
            });
            if flushed {
                assert!(!nft(&node, "list tables").contains("firewall"));
                others();
            }
        }
        let before = theirs();
        driver.want(Some(Masquerade { keep: BTreeSet::new(), ..wanted() }));
        driver.want(None);
        assert_eq!(theirs(), before);
        assert!(!nft(&node, "list tables").contains("inet underlay"));
        driver.handle.join();
    });
}

#[test]
fn an_agent_that_restarts_finds_its_table_and_writes_only_what_differs() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = sandbox.netns("node");
        let driver = Driver::start(&node);
        driver.want(Some(wanted()));
        let before = ours(&node);
        driver.handle.join();
        assert_eq!(ours(&node), before, "the table stays");
        let driver = Driver::start(&node);
        driver.want(Some(wanted()));
        assert_eq!(ours(&node), before, "nothing was written anew");
        // Elements change in their sets; rules stay what they are.
        let mut keep = wanted().keep;
        keep.extend((0..2000_u32).map(|n| Prefix::host(IpAddr::from((0xac10_0000 + 2 * n).to_be_bytes()))));
        driver.want(Some(Masquerade { keep, ..wanted() }));
        let after = ours(&node);
        assert!(after.contains("172.16.15.158"), "{after}");
        let chain = |text: &str| text[text.find("chain outgoing").unwrap()..].to_owned();
        assert_eq!(chain(&after), chain(&before));
        assert_eq!(rules(&node), 4);
        driver.handle.join();
    });
}

#[test]
fn what_the_kernel_refuses_is_told_until_it_is_done() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = sandbox.netns("node");
        // A table of our name that the kernel keeps for its owner.
        let mut owner = nft_reading(&node, "add table inet underlay { flags owner ; }\n");
        wait::until("the owner's table", LIMIT, || nft(&node, "list tables").contains("inet underlay"));
        let driver = Driver::start(&node);
        driver.handle.want(Some(wanted()));
        driver.until_why(Some("table underlay: Operation not permitted"));
        drop(owner.stdin.take());
        owner.wait().unwrap();
        driver.until_why(None);
        assert_eq!(rules(&node), 4);
        // More than can be left out: what stands stays.
        let (before, mut learned) = (ours(&node), BTreeSet::new());
        learned.extend((0..=LEARNED_MAX as u32).map(|n| Prefix::host(IpAddr::from((n << 2).to_be_bytes()))));
        driver.handle.want(Some(Masquerade { learned: learned.clone(), ..wanted() }));
        driver.until_why(Some("exceptLearned: at least 16385 prefixes are learned, and 16384"));
        assert_eq!(ours(&node), before);
        learned.pop_first();
        driver.want(Some(Masquerade { learned, ..wanted() }));
        assert!(ours(&node).contains("0.0.255.252"));
        driver.handle.join();
    });
}

/// Which elements the kernel tells of for each of these changes beside so many destinations: one more, two that
/// touch it and become one interval with it, one of those gone again, all as before, and nothing.
fn told(sandbox: &Sandbox, many: u32) -> Vec<usize> {
    let node = sandbox.netns(&format!("node-{many}"));
    let driver = Driver::start(&node);
    let mut base = wanted().keep;
    base.extend((0..many).map(|n| Prefix::host(IpAddr::from((0xac10_0000 + 2 * n).to_be_bytes()))));
    let want = |more: &[&str]| {
        let keep = base.iter().copied().chain(more.iter().copied().map(prefix)).collect();
        driver.want(Some(Masquerade { keep, ..wanted() }));
    };
    want(&[]);
    let file = sandbox.folder().join(format!("monitor-{many}"));
    let mut command = node.exec("nft", ["monitor"]);
    let mut monitor = command.stdout(std::fs::File::create(&file).unwrap()).spawn().unwrap();
    let read = || std::fs::read_to_string(&file).unwrap();
    // What the monitor tells comes in order: all before a table of this name has been told.
    let mut number = 0;
    let mut mark = || {
        number += 1;
        wait::until("the monitor", LIMIT, || {
            let table = format!("table ip mark-{number}");
            nft(&node, &format!("add {table}"));
            nft(&node, &format!("delete {table}"));
            if read().contains(&format!("delete {table}")) { Ok(()) } else { Err(read()) }
        });
        read().lines().filter(|line| line.contains("element inet underlay")).count()
    };
    let mut seen = vec![mark()];
    for more in
        [&["10.8.0.0/16"][..], &["10.8.0.0/16", "10.9.0.0/16", "10.7.0.0/16"], &["10.9.0.0/16"], &[], &[]]
    {
        want(more);
        seen.push(mark());
    }
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    driver.handle.join();
    seen.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn what_changes_is_written_alone_however_much_there_is() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let few = told(sandbox, 500);
        assert!(few[..4].iter().all(|changes| (1..=4).contains(changes)) && few[4] == 0, "{few:?}");
        assert_eq!(told(sandbox, 2_000), few);
    });
}

#[test]
fn step_by_step_it_becomes_what_it_is_when_made_anew() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let (node, fresh) = (sandbox.netns("node"), sandbox.netns("fresh"));
        let (steps, anew) = (Driver::start(&node), Driver::start(&fresh));
        // Prefixes that touch, hold and equal each other.
        let pool = [
            "10.0.0.0/8",
            "10.0.0.0/9",
            "10.128.0.0/9",
            "10.128.0.0/24",
            "10.128.1.0/24",
            "10.128.2.0/24",
            "10.127.255.255/32",
            "11.0.0.0/8",
            "223.0.0.0/8",
            "240.0.0.0/8",
            "fd00::/8",
            "fe00::/7",
            "fd00::1/128",
        ];
        let mut state = 7_u32;
        for _ in 0..24 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let chosen = pool.iter().enumerate().filter(|(bit, _)| state >> (bit + 8) & 1 == 1);
            let keep = chosen.map(|(_, text)| prefix(text)).collect();
            let wanted = Masquerade { keep, ..wanted() };
            steps.want(Some(wanted.clone()));
            anew.want(None);
            anew.want(Some(wanted.clone()));
            let list = |node: &Netns| nft(node, "list table inet underlay");
            assert_eq!(list(&node), list(&fresh), "{wanted:?}");
        }
        steps.handle.join();
        anew.handle.join();
    });
}

/// Whether an address is in a set of intervals as the kernel reads it.
fn holds(set: &str, rules: &RuleSet, address: IpAddr) -> bool {
    let at = rules.table.sets.iter().position(|wanted| wanted.name == set).unwrap();
    let key = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let ends: BTreeMap<_, _> =
        rules.elements[at].iter().map(|element| (element.key.clone(), element.end)).collect();
    ends.range(..=key).next_back().is_some_and(|(_, end)| !end)
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    let four =
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(address, len)| Prefix::new(address.into(), len).unwrap());
    let six =
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(address, len)| Prefix::new(address.into(), len).unwrap());
    // Few first octets, so that prefixes meet.
    let near = (0..4_u8, any::<u8>(), 8..=16_u8)
        .prop_map(|(a, b, len)| Prefix::new(IpAddr::from([a, b, 0, 0]), len).unwrap());
    prop_oneof![four, near, six]
}

proptest! {
    /// Sets hold what the prefixes hold, and the rules are the same however many of them there are.
    #[test]
    fn the_plan_is_the_prefixes_and_a_constant_number_of_rules(
        pods in prop::collection::btree_set(any_prefix(), 0..4),
        keep in prop::collection::btree_set(any_prefix(), 0..20),
        learned in prop::collection::btree_set(any_prefix(), 0..20),
        addresses in prop::collection::vec((any_prefix(), any::<bool>()), 1..20),
        source in any::<Option<[u8; 4]>>(),
    ) {
        let wanted = Masquerade {
            pods: pods.clone(),
            keep: keep.clone(),
            learned: learned.clone(),
            addressed: PerFamily::default(),
            source: PerFamily { ipv4: source.map(IpAddr::from), ipv6: None },
        };
        let families: BTreeSet<_> = pods.iter().map(|prefix| prefix.family()).collect();
        let Some(plan) = rule_set(&wanted) else {
            prop_assert!(families.is_empty());
            return Ok(());
        };
        let few = Masquerade { keep: BTreeSet::new(), learned: BTreeSet::new(), ..wanted.clone() };
        prop_assert_eq!(&plan.table, &rule_set(&few).unwrap().table);
        prop_assert_eq!(plan.table.chains[0].rules.len(), 2 * families.len());
        for (at, _) in addresses.iter().chain(&keep.iter().map(|prefix| (*prefix, true)).collect::<Vec<_>>()) {
            let address = at.address();
            if !families.contains(&Family::of(address)) {
                continue;
            }
            let digit = if address.is_ipv4() { '4' } else { '6' };
            let within = |all: &BTreeSet<Prefix>| all.iter().any(|prefix| prefix.covers(address));
            let never = match address {
                IpAddr::V4(address) => address.octets()[0] >= 224,
                IpAddr::V6(address) => address.octets()[0] == 0xff,
            };
            prop_assert_eq!(holds(&format!("pods{digit}"), &plan, address), within(&pods));
            let known = never || within(&keep) || within(&learned);
            prop_assert_eq!(holds(&format!("keep{digit}"), &plan, address), known);
        }
    }
}
