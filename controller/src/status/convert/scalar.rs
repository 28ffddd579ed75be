//! What messages carry of single values: families, times, counts, next hops.

use api::v1::{AddressFamily, NextHop, Timestamp};
use bgp::io;
use bgp::prefix::Family;
use bgp::time::Instant;

use crate::discovery::shown;
use crate::status::clock::Moment;

/// A family's number in the messages.
pub(super) const fn family(family: Family) -> i32 {
    match family {
        Family::Ipv4 => AddressFamily::Ipv4 as i32,
        Family::Ipv6 => AddressFamily::Ipv6 as i32,
    }
}

/// The time of day at an instant, to the millisecond: what is finer is noise.
pub(super) fn timestamp(at: Instant, moment: &Moment) -> Timestamp {
    let mut timestamp = Timestamp::from(moment.time_of_day(at));
    timestamp.nanos -= timestamp.nanos % 1_000_000;
    timestamp
}

pub(super) fn next_hop(next_hop: &io::NextHop) -> NextHop {
    NextHop { address: shown(next_hop.address), via_default: next_hop.via_default }
}

/// A count as a message carries it; there are never 2³² peers.
pub(super) fn count32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
