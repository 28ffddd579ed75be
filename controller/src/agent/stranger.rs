//! Which addresses without a peer were named lately: each is logged once an
//! hour, so that a scanner cannot fill the log.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::time::{Duration, Instant};

/// How long an address is not named again.
const REST: Duration = Duration::from_hours(1);

/// Addresses that are named within that time; more go unnamed.
const KEPT: usize = 64;

/// The addresses that were named.
#[derive(Debug, Default)]
pub(super) struct Strangers(BTreeMap<IpAddr, Instant>);

impl Strangers {
    /// Whether the address is to be named, which is noted.
    pub(super) fn is_news(&mut self, address: IpAddr, now: Instant) -> bool {
        self.0.retain(|_, named_at| now.since(*named_at) < REST);
        if self.0.contains_key(&address) || self.0.len() >= KEPT {
            return false;
        }
        self.0.insert(address, now);
        true
    }
}
