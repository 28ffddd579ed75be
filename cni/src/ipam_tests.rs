//! The picker: bounds, order, and that no address is ever handed out twice.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

fn pool(subnets: &[&str]) -> Pool {
    let nets: Vec<IpNet> = subnets.iter().map(|s| s.parse().unwrap()).collect();
    of(&nets)
}

fn of(nets: &[IpNet]) -> Pool {
    let subnets: Vec<Subnet> = nets.iter().copied().map(Subnet::from).collect();
    Pool::new(Family::of(nets[0].addr()), &subnets, &[]).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn next(pool: &Pool, after: Option<&str>, taken: &[&str]) -> Option<String> {
    let taken = taken.iter().map(|t| ip(t)).collect();
    pick(pool, after.map(ip), &taken, |_| Ok::<_, Infallible>(false)).ok().map(|a| a.to_string())
}

fn all(pool: &Pool) -> Vec<String> {
    pool.round(None).map(|a| a.to_string()).collect()
}

#[test]
fn reserved_addresses_by_prefix_length() {
    assert_eq!(pool(&["10.0.0.0/24"]).size(), 254);
    assert_eq!(
        all(&pool(&["10.0.0.8/29"])),
        ["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.9"]
    );
    assert_eq!(all(&pool(&["10.0.0.8/30"])), ["10.0.0.9", "10.0.0.10"]);
    assert_eq!(all(&pool(&["10.0.0.8/31"])), ["10.0.0.8", "10.0.0.9"]);
    assert_eq!(all(&pool(&["10.0.0.8/32"])), ["10.0.0.8"]);
    assert_eq!(all(&pool(&["fd00::/126"])), ["fd00::1", "fd00::2", "fd00::3"]);
    assert_eq!(all(&pool(&["fd00::/127"])), ["fd00::", "fd00::1"]);
    assert_eq!(all(&pool(&["fd00::5/128"])), ["fd00::5"]);
}

#[test]
fn host_bits_of_a_subnet_do_not_count() {
    assert_eq!(pool(&["10.0.0.77/24"]), pool(&["10.0.0.0/24"]));
}

#[test]
fn whole_address_spaces_do_not_overflow() {
    assert_eq!(pool(&["0.0.0.0/0"]).size(), (1 << 32) - 2);
    let v6 = pool(&["::/0"]);
    assert_eq!(v6.size(), u128::MAX);
    assert_eq!(next(&v6, Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), &[]).as_deref(), Some("::1"));
    assert_eq!(pool(&["::/0", "::/0"]).size(), u128::MAX);
}

#[test]
fn next_fit_goes_round_and_skips_what_is_taken() {
    let p = pool(&["10.0.0.0/29"]);
    assert_eq!(next(&p, None, &[]).as_deref(), Some("10.0.0.2"));
    assert_eq!(next(&p, Some("10.0.0.2"), &["10.0.0.3"]).as_deref(), Some("10.0.0.4"));
    assert_eq!(next(&p, Some("10.0.0.6"), &["10.0.0.2"]).as_deref(), Some("10.0.0.1"));
    assert_eq!(next(&p, Some("10.0.0.1"), &["10.0.0.2"]).as_deref(), Some("10.0.0.3"));
    assert_eq!(
        next(&p, Some("10.0.0.4"), &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"]).as_deref(),
        Some("10.0.0.4")
    );
    assert_eq!(next(&p, Some("192.0.2.1"), &[]).as_deref(), Some("10.0.0.2"));
    let all = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"];
    assert_eq!(next(&p, None, &all), None);
}

#[test]
fn subnets_follow_each_other() {
    let p = pool(&["10.0.1.0/30", "10.0.0.0/30", "fd00::/64"]);
    assert_eq!(all(&p), ["10.0.1.1", "10.0.1.2", "10.0.0.1", "10.0.0.2"]);
    assert_eq!(next(&p, Some("10.0.0.2"), &[]).as_deref(), Some("10.0.1.1"));
    assert_eq!(next(&p, Some("10.0.1.2"), &["10.0.0.1"]).as_deref(), Some("10.0.0.2"));
    assert!(!p.contains(ip("fd00::2")) && !p.contains(ip("10.0.1.3")) && p.contains(ip("10.0.1.2")));
}

#[test]
fn ranges_and_exclusions() {
    let range = |start: &str, end: &str| Subnet {
        net: "10.0.0.0/24".parse().unwrap(),
        start: Some(ip(start)),
        end: Some(ip(end)),
    };
    let nets = |texts: &[&str]| -> Vec<IpNet> { texts.iter().map(|t| t.parse().unwrap()).collect() };
    let pool = |subnet: Subnet, exclude: &[&str]| Pool::new(Family::V4, &[subnet], &nets(exclude)).unwrap();
    let p = pool(range("10.0.0.20", "10.0.0.26"), &["10.0.0.22/31", "fd00::/64", "10.0.0.26/32"]);
    assert_eq!(all(&p), ["10.0.0.20", "10.0.0.21", "10.0.0.24", "10.0.0.25"]);
    assert_eq!(next(&p, Some("10.0.0.21"), &[]).as_deref(), Some("10.0.0.24"));
    // Who asks for one gets it all the same, network and broadcast address excepted.
    assert!(p.is_host(ip("10.0.0.22")) && p.is_host(ip("10.0.0.200")) && p.is_host(ip("10.0.0.1")));
    assert!(!p.is_host(ip("10.0.0.0")) && !p.is_host(ip("10.0.0.255")) && !p.is_host(ip("10.0.1.1")));
    assert_eq!(all(&pool(range("10.0.0.0", "10.0.0.2"), &[])), ["10.0.0.2", "10.0.0.1"]);
    assert_eq!(all(&pool(range("10.0.0.254", "10.0.0.255"), &[])), ["10.0.0.254"]);
    assert_eq!(pool(range("10.0.0.7", "10.0.0.9"), &["10.0.0.0/24"]).size(), 0);
}

#[test]
fn live_addresses_are_skipped_and_a_failed_question_is_no_address() {
    let p = pool(&["fd00::/64"]);
    let live = |a: IpAddr| Ok::<_, Infallible>(a < ip("fd00::100") && a != ip("fd00::"));
    assert_eq!(pick(&p, None, &BTreeSet::new(), live), Ok(ip("fd00::100")));
    assert_eq!(pick(&p, None, &BTreeSet::new(), |_| Err("no kernel")), Err(NoAddress::Unknown("no kernel")));
    assert_eq!(pick(&p, None, &BTreeSet::new(), |_| Ok::<_, Infallible>(true)), Err(NoAddress::Exhausted));
}

fn subnets() -> impl Strategy<Value = Vec<IpNet>> {
    // Disjoint by construction: the third byte counts.
    (1_usize..4, proptest::collection::vec(24_u8..=32, 4)).prop_map(|(count, lengths)| {
        (0..count).map(|n| format!("10.0.{n}.64/{}", lengths[n]).parse::<IpNet>().unwrap().trunc()).collect()
    })
}

proptest! {
    #[test]
    fn a_round_is_each_address_once(nets in subnets(), start in 0_u8..255) {
        let p = of(&nets);
        let round: Vec<IpAddr> = p.round(Some(ip(&format!("10.0.0.{start}")))).collect();
        let distinct: BTreeSet<IpAddr> = round.iter().copied().collect();
        prop_assert_eq!(round.len() as u128, p.size());
        prop_assert_eq!(distinct.len(), round.len());
        prop_assert!(round.iter().all(|a| p.contains(*a)));
    }

    /// Any order of taking and freeing: never an address that is held, full only when all are held.
    #[test]
    fn never_twice_in_any_order(nets in subnets(), steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 1..400)) {
        let p = of(&nets);
        let mut held: Vec<IpAddr> = Vec::new();
        let mut last = None;
        for (take, which) in steps {
            if take || held.is_empty() {
                let taken: BTreeSet<IpAddr> = held.iter().copied().collect();
                match pick(&p, last, &taken, |_| Ok::<_, Infallible>(false)) {
                    Ok(address) => {
                        prop_assert!(p.contains(address) && !taken.contains(&address));
                        held.push(address);
                        last = Some(address);
                    }
                    Err(_) => prop_assert_eq!(held.len() as u128, p.size()),
                }
            } else {
                held.swap_remove(which % held.len());
            }
        }
    }

    /// A freed address rests until every other free address was handed out.
    #[test]
    fn freed_addresses_rest(size in 26_u8..=29) {
        let p = pool(&[&format!("10.0.0.0/{size}")]);
        let mut last = None;
        let mut seen = BTreeSet::new();
        for _ in 0..p.size() {
            let address = pick(&p, last, &BTreeSet::new(), |_| Ok::<_, Infallible>(false)).unwrap();
            prop_assert!(seen.insert(address));
            last = Some(address);
        }
    }
}
