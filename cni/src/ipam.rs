//! Which address is next: a pure picker over the network's subnets.
//!
//! Next-fit: the search starts behind the address that was handed out last and goes
//! round once, so that a freed address rests as long as the pool allows. Reserved and
//! never handed out:
//!
//! | family | reserved | where |
//! |---|---|---|
//! | IPv4 | network and broadcast address | prefixes up to /30 |
//! | IPv4 | the first host, which others take for a gateway | prefixes up to /29 |
//! | IPv6 | the first address (subnet-router anycast, RFC 4291 §2.6.1) and the second | prefixes up to /126 |
//!
//! Invariant: what [`pick`] returns is inside the pool, not reserved, not taken, and
//! not live in the kernel.

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

/// First and last address of a subnet that may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u128,
    last: u128,
}

/// The addresses of one family, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    family: Family,
    subnets: Vec<IpNet>,
    ranges: Vec<Range>,
}

impl Pool {
    /// The pool of the subnets of `family` among `subnets`; none if there is none.
    pub fn new(family: Family, subnets: &[IpNet]) -> Option<Self> {
        let subnets: Vec<IpNet> =
            subnets.iter().filter(|net| Family::of(net.addr()) == family).map(IpNet::trunc).collect();
        if subnets.is_empty() {
            return None;
        }
        let ranges = subnets.iter().filter_map(|net| range(family, net)).collect();
        Some(Self { family, subnets, ranges })
    }

    /// The family of every address in it.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The subnets as configured, without host bits.
    pub fn subnets(&self) -> &[IpNet] {
        &self.subnets
    }

    /// Whether `address` may be handed out at all.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.family
            .number(address)
            .is_some_and(|n| self.ranges.iter().any(|range| (range.first..=range.last).contains(&n)))
    }

    /// How many addresses can be handed out; `u128::MAX` if there are more.
    pub fn size(&self) -> u128 {
        self.ranges
            .iter()
            .fold(0_u128, |sum, range| sum.saturating_add(range.last - range.first).saturating_add(1))
    }

    /// Each address once, starting behind `after`.
    fn round(&self, after: Option<IpAddr>) -> impl Iterator<Item = IpAddr> {
        let position = after.and_then(|address| self.family.number(address)).and_then(|n| {
            self.ranges.iter().position(|range| (range.first..=range.last).contains(&n)).map(|at| (at, n))
        });
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

fn range(family: Family, net: &IpNet) -> Option<Range> {
    let host_bits = family.bits() - net.prefix_len();
    let first = family.number(net.network())?;
    let last = first | if host_bits == 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
    let (below, above) = match (family, host_bits) {
        (_, 0 | 1) => (0, 0),
        (Family::V4, 2) => (1, 1),
        (Family::V4, _) => (2, 1),
        (Family::V6, _) => (2, 0),
    };
    Some(Range { first: first + below, last: last - above })
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
