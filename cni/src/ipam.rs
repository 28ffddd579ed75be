//! Which address is next: a pure picker over the network's subnets.
//!
//! Next-fit: the search starts behind the address that was handed out last and goes
//! round once, so that a freed address rests as long as the pool allows. No pod needs a
//! gateway out of the pool: all but these are handed out.
//!
//! | family | never | where |
//! |---|---|---|
//! | IPv4 | network and broadcast address | prefixes up to /30 |
//! | IPv6 | the first address (subnet-router anycast, RFC 4291 §2.6.1) | prefixes up to /126 |
//!
//! The first host of a subnet is its last choice: others take it for a gateway.
//!
//! Invariant: what [`pick`] returns is inside a range of the pool, not excluded, not taken,
//! and not live in the kernel.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// How many addresses may turn out to be live in the kernel though nobody reserved
/// them before the search gives up: more than a node has pods, few enough to end.
const LIVE_MAX: usize = 65_536;

/// An address family; the order is that of the result, IPv4 first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, in the order of results.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// "IPv4" or "IPv6".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    fn number(self, address: IpAddr) -> Option<u128> {
        match (self, address) {
            (Self::V4, IpAddr::V4(address)) => Some(u32::from(address).into()),
            (Self::V6, IpAddr::V6(address)) => Some(address.into()),
            _ => None,
        }
    }

    fn address(self, number: u128) -> IpAddr {
        match self {
            // A number of this family came from 32 bits; the cut loses nothing.
            Self::V4 => IpAddr::V4(Ipv4Addr::from(number as u32)),
            Self::V6 => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }
}

/// First and last address of a run of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u128,
    last: u128,
}

impl Range {
    fn holds(&self, number: u128) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// What is left of it on both sides of `hole`.
    fn without(self, hole: Self) -> impl Iterator<Item = Self> {
        let below =
            hole.first.checked_sub(1).map(|last| Self { first: self.first, last: last.min(self.last) });
        let above =
            hole.last.checked_add(1).map(|first| Self { first: first.max(self.first), last: self.last });
        let apart = hole.last < self.first || hole.first > self.last;
        let parts = if apart { [Some(self), None] } else { [below, above] };
        parts.into_iter().flatten().filter(|part| part.first <= part.last)
    }
}

/// A subnet, and the part of it that is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The prefix; host bits do not count.
    pub net: IpNet,
    /// First address handed out, if not all are.
    pub start: Option<IpAddr>,
    /// Last address handed out, if not all are.
    pub end: Option<IpAddr>,
}

impl From<IpNet> for Subnet {
    fn from(net: IpNet) -> Self {
        Self { net, start: None, end: None }
    }
}

/// The addresses of one family, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    family: Family,
    subnets: Vec<IpNet>,
    /// What may be asked for by name.
    hosts: Vec<Range>,
    /// What is handed out.
    ranges: Vec<Range>,
}

impl Pool {
    /// The pool of the subnets of `family` among `subnets`, without `exclude`; none if there is none.
    pub fn new(family: Family, subnets: &[Subnet], exclude: &[IpNet]) -> Option<Self> {
        let own = || subnets.iter().filter(|subnet| Family::of(subnet.net.addr()) == family);
        let nets: Vec<IpNet> = own().map(|subnet| subnet.net.trunc()).collect();
        if nets.is_empty() {
            return None;
        }
        let hosts = nets.iter().filter_map(|net| hosts(family, net)).collect();
        let mut ranges: Vec<Range> = own().flat_map(|subnet| handed_out(family, subnet)).collect();
        for hole in exclude.iter().filter_map(|net| whole(family, net)) {
            ranges = ranges.into_iter().flat_map(|range| range.without(hole)).collect();
        }
        Some(Self { family, subnets: nets, hosts, ranges })
    }

    /// The family of every address in it.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The subnets as configured, without host bits.
    pub fn subnets(&self) -> &[IpNet] {
        &self.subnets
    }

    /// Whether `address` is handed out to somebody who does not ask for one.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.family.number(address).is_some_and(|n| self.ranges.iter().any(|range| range.holds(n)))
    }

    /// Whether a pod may have `address`: it is a host of a subnet, if perhaps outside of the
    /// ranges or excluded, which keep addresses for those who ask for them.
    pub fn is_host(&self, address: IpAddr) -> bool {
        self.family.number(address).is_some_and(|n| self.hosts.iter().any(|range| range.holds(n)))
    }

    /// How many addresses can be handed out; `u128::MAX` if there are more.
    pub fn size(&self) -> u128 {
        self.ranges
            .iter()
            .fold(0_u128, |sum, range| sum.saturating_add(range.last - range.first).saturating_add(1))
    }

    /// Each address once, starting behind `after`.
    fn round(&self, after: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let position = after
            .and_then(|address| self.family.number(address))
            .and_then(|n| self.ranges.iter().position(|range| range.holds(n)).map(|at| (at, n)));
        let (at, n) = position.unwrap_or((0, 0));
        let (behind, before) = match (position, self.ranges.get(at)) {
            (Some(_), Some(range)) => (
                (n < range.last).then(|| Range { first: n + 1, last: range.last }),
                Some(Range { first: range.first, last: n }),
            ),
            (None, Some(range)) => (Some(*range), None),
            (_, None) => (None, None),
        };
        let others = self.ranges.iter().skip(at + 1).chain(self.ranges.iter().take(at)).copied();
        let family = self.family;
        behind
            .into_iter()
            .chain(others)
            .chain(before)
            .flat_map(|range| range.first..=range.last)
            .map(move |number| family.address(number))
    }
}

/// All addresses of `net`; none of another family.
fn whole(family: Family, net: &IpNet) -> Option<Range> {
    let first = family.number(net.network())?;
    let host_bits = family.bits() - net.prefix_len();
    let last = first | if host_bits == 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
    Some(Range { first, last })
}

/// Those that an interface may have.
fn hosts(family: Family, net: &IpNet) -> Option<Range> {
    let Range { first, last } = whole(family, net)?;
    let (below, above) = match (family, family.bits() - net.prefix_len()) {
        (_, 0 | 1) => (0, 0),
        (Family::V4, _) => (1, 1),
        (Family::V6, _) => (1, 0),
    };
    Some(Range { first: first + below, last: last - above })
}

/// Those of `subnet` that are handed out: the second host and all behind it, then the first.
fn handed_out(family: Family, subnet: &Subnet) -> impl Iterator<Item = Range> {
    let hosts = hosts(family, &subnet.net.trunc());
    let large = family.bits() - subnet.net.prefix_len() > 2;
    let bound = |address: Option<IpAddr>| address.and_then(|address| family.number(address));
    let parts = hosts.map(|all| {
        let first_host = Range { first: all.first, last: all.first };
        let rest = Range { first: all.first + u128::from(large), last: all.last };
        let clip = |range: Range| Range {
            first: bound(subnet.start).unwrap_or(range.first).max(range.first),
            last: bound(subnet.end).unwrap_or(range.last).min(range.last),
        };
        [Some(clip(rest)), large.then(|| clip(first_host))]
    });
    parts.into_iter().flatten().flatten().filter(|range| range.first <= range.last)
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAddress<E> {
    /// Every address of the pool is taken.
    Exhausted,
    /// The question to the kernel failed.
    Unknown(E),
}

/// The first address behind `after` that is neither in `taken` nor live.
///
/// `is_live` asks the kernel; it is called only for addresses that nobody reserved.
///
/// # Errors
/// See [`NoAddress`].
pub fn pick<E>(
    pool: &Pool,
    after: Option<IpAddr>,
    taken: &BTreeSet<IpAddr>,
    mut is_live: impl FnMut(IpAddr) -> Result<bool, E>,
) -> Result<IpAddr, NoAddress<E>> {
    for candidate in pool.round(after).filter(|address| !taken.contains(address)).take(LIVE_MAX) {
        if !is_live(candidate).map_err(NoAddress::Unknown)? {
            return Ok(candidate);
        }
    }
    Err(NoAddress::Exhausted)
}

#[cfg(test)]
#[path = "ipam_tests.rs"]
mod tests;
