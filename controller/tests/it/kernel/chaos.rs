//! Whatever happens to links, tables and wishes at once: when it is over, the kernel holds what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use bgp::io::{SetChange, SetId, Tracking};
use controller::kernel::{Command, KernelConfig, NextHopGroups};
use labs::{Netns, Sandbox};

use super::{Driver, hop, node};

const PREFIXES: u64 = 8;
/// The last of them belong to somebody else, at our metric.
const TAKEN: [u64; 2] = [7, 8];
const FAMILIES: [&str; 2] = ["-4", "-6"];

/// A generator whose seed is the test's parameter (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn destination(family: &str, number: u64) -> String {
    if family == "-4" { format!("10.10.{number}.0/24") } else { format!("fd10:{number}::/64") }
}

fn gateway(family: &str, link: u64) -> String {
    if family == "-4" { format!("10.0.{link}.2") } else { format!("fd00:{link}::2") }
}

/// Our routes: destination to gateways.
fn installed(namespace: &Netns, family: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = namespace.ip(&format!("{family} -o route show proto 171"));
    let mut routes = BTreeMap::new();
    for line in output.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let gateways = words.windows(2).filter(|pair| pair[0] == "via").map(|pair| pair[1].to_owned());
        routes.insert(words[0].to_owned(), gateways.collect());
    }
    routes
}

/// The routes of others that nobody but us could have touched.
fn taken(namespace: &Netns) -> Vec<String> {
    FAMILIES
        .iter()
        .map(|family| namespace.ip(&format!("{family} route show proto static metric 190")))
        .collect()
}

/// What is wanted of one family: sets by their number, and the set of each destination.
#[derive(Default)]
struct Wishes {
    sets: BTreeMap<u64, BTreeSet<u64>>,
    routes: BTreeMap<String, u64>,
}

fn act(chance: &mut Chance, node: &Netns, tor: &Netns, driver: &mut Driver, wishes: &mut [Wishes; 2]) {
    let at = usize::try_from(chance.below(2)).unwrap();
    let (family, wishes) = (FAMILIES[at], &mut wishes[at]);
    let link = chance.below(2) + 1;
    let target = destination(family, 1 + chance.below(PREFIXES));
    match chance.below(15) {
        0..=4 => {
            let set = chance.below(3);
            driver.route(&[target.as_str()], Some(id(at, set).0));
            wishes.routes.insert(target, set);
        }
        5 => {
            driver.route(&[target.as_str()], None);
            wishes.routes.remove(&target);
        }
        6 | 7 => {
            let links: BTreeSet<u64> =
                [[1].as_slice(), &[2], &[1, 2]][chance.below(3) as usize].iter().copied().collect();
            let set = chance.below(3);
            send_set(driver, at, set, &links);
            wishes.sets.insert(set, links);
        }
        8 => node.ip(&format!("link set eth{link} down")).clear(),
        9 => tor.ip(&format!("link set eth{link} down")).clear(),
        10 => both_up(node, tor, link),
        // What is removed here may be gone, or be written again meanwhile.
        11 => drop(node.try_ip(&format!("{family} route flush proto 171"))),
        12 => drop(node.try_ip(&format!("{family} route del {target} metric 190 proto 171"))),
        13 => drop(node.try_ip("nexthop flush proto 171")),
        _ => {
            let metric = 50 + chance.below(2);
            drop(node.try_ip(&format!("{family} route add {target} dev lo metric {metric} proto static")));
            drop(node.try_ip(&format!("{family} route del {target} dev lo metric 50 proto static")));
        }
    }
}

fn both_up(node: &Netns, tor: &Netns, link: u64) {
    node.ip(&format!("link set eth{link} up"));
    tor.ip(&format!("link set eth{link} up"));
}

fn id(family: usize, set: u64) -> SetId {
    SetId(u32::try_from(set).unwrap() + 10 * u32::try_from(family).unwrap())
}

fn send_set(driver: &Driver, family: usize, set: u64, links: &BTreeSet<u64>) {
    let members = links.iter().map(|link| hop(&gateway(FAMILIES[family], *link))).collect();
    driver.handle.send(Command::Sets(vec![SetChange { id: id(family, set), members }]));
}

fn run(sandbox: &Sandbox, seed: u64, next_hop_groups: NextHopGroups) {
    eprintln!("seed {seed}");
    let (node, tor) = node(sandbox);
    for namespace in [&node, &tor] {
        namespace.sysctl("net.ipv6.conf.all.keep_addr_on_down", "1");
    }
    for (family, number) in FAMILIES.iter().flat_map(|family| TAKEN.map(|number| (family, number))) {
        let target = destination(family, number);
        node.ip(&format!("{family} route add {target} dev lo metric 190 proto static"));
    }
    let others = taken(&node);
    let mut driver = Driver::configured(&node, KernelConfig { next_hop_groups, ..KernelConfig::default() });
    let mut wishes = [Wishes::default(), Wishes::default()];
    let hops = FAMILIES.iter().flat_map(|family| [1, 2].map(|link| hop(&gateway(family, link))));
    driver.handle.send(Command::Tracking(hops.map(Tracking::Start).collect()));
    for (family, wishes) in wishes.iter_mut().enumerate() {
        for set in 0..3 {
            let links = BTreeSet::from([1 + set % 2]);
            send_set(&driver, family, set, &links);
            wishes.sets.insert(set, links);
        }
    }
    let mut chance = Chance(seed);
    for _ in 0..150 {
        act(&mut chance, &node, &tor, &mut driver, &mut wishes);
    }
    // One link stays as it is, the other works.
    both_up(&node, &tor, 1);
    let up =
        |link: u64| [&node, &tor].iter().all(|end| end.ip(&format!("link show eth{link}")).contains(",UP"));
    let second = up(2);
    for (family, wishes) in FAMILIES.iter().zip(&wishes) {
        let legs = |set: &u64| -> BTreeSet<String> {
            let live = wishes.sets[set].iter().filter(|link| **link == 1 || second);
            live.map(|link| gateway(family, *link)).collect()
        };
        let wanted = wishes.routes.iter().map(|(target, set)| (target.clone(), legs(set)));
        let wanted: BTreeMap<_, _> = wanted.filter(|(_, legs)| !legs.is_empty()).collect();
        let refused = TAKEN.map(|number| destination(family, number));
        let (refused, wanted): (BTreeMap<_, _>, BTreeMap<_, _>) =
            wanted.into_iter().partition(|(target, _)| refused.contains(target));
        driver.until("the kernel to hold what is wanted", |_| {
            let installed = installed(&node, family);
            if installed == wanted { Ok(()) } else { Err(format!("{installed:?}, wanted {wanted:?}")) }
        });
        for target in wanted.keys() {
            driver.until_acked(target, 0);
        }
        for target in refused.keys() {
            driver.until_acked(target, libc::EEXIST);
        }
    }
    assert_eq!(taken(&node), others);
    driver.stop();
}

#[test]
fn chaos_of_the_first_kind() {
    labs::require!("root");
    labs::sandbox!(|sandbox| run(sandbox, 0x9e37_79b9_7f4a_7c15, NextHopGroups::Never));
}

#[test]
fn chaos_of_the_second_kind() {
    labs::require!("root");
    labs::sandbox!(|sandbox| run(sandbox, 0xd1b5_4a32_d192_ed03, NextHopGroups::Never));
}

#[test]
fn chaos_of_the_third_kind() {
    labs::require!("root");
    labs::sandbox!(|sandbox| run(sandbox, 0x2545_f491_4f6c_dd1d, NextHopGroups::Never));
}

#[test]
fn chaos_with_objects_of_the_first_kind() {
    labs::require!("root");
    labs::sandbox!(|sandbox| run(sandbox, 0x9e37_79b9_7f4a_7c15, NextHopGroups::Always));
}

#[test]
fn chaos_with_objects_of_the_second_kind() {
    labs::require!("root");
    labs::sandbox!(|sandbox| run(sandbox, 0xbf58_476d_1ce4_e5b9, NextHopGroups::Always));
}

#[test]
fn chaos_with_objects_of_the_third_kind() {
    labs::require!("root");
    labs::sandbox!(|sandbox| run(sandbox, 0x94d0_49bb_1331_11eb, NextHopGroups::Always));
}
