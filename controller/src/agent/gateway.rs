//! The default gateways that peers are derived from. One that was there once
//! stays until another has taken its place for a while: a link that goes down
//! takes its routes with it, and is no change of who the neighbours are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::prefix::Family;
use bgp::time::{Duration, Instant};

/// How long another gateway has to be in a gateway's place.
const REPLACED: Duration = Duration::from_mins(1);

/// The gateways in use, and since when others have been in their place.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    known: BTreeMap<IpAddr, Option<Instant>>,
}

impl Gateways {
    /// Takes in the gateways as they are; whether those in use change.
    pub(super) fn take(&mut self, present: &[IpAddr], now: Instant) -> bool {
        let mut changed = false;
        for gateway in present {
            changed |= self.known.insert(*gateway, None).is_none();
        }
        for (gateway, replaced_at) in &mut self.known {
            let others = present.iter().any(|other| Family::of(*other) == Family::of(*gateway));
            if present.contains(gateway) || !others {
                *replaced_at = None;
            } else {
                replaced_at.get_or_insert(now);
            }
        }
        changed
    }

    /// Drops what was replaced long enough ago; whether something was.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.known.len();
        self.known.retain(|_, replaced_at| replaced_at.is_none_or(|at| now.since(at) < REPLACED));
        self.known.len() != before
    }

    /// When something is to be dropped.
    pub(super) fn due(&self) -> Option<Instant> {
        self.known.values().flatten().min().map(|at| *at + REPLACED)
    }

    /// The gateways in use, ordered.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.known.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_gateway_stays_until_another_was_in_its_place_for_a_minute() {
        let (one, two, six) = (address("10.0.0.1"), address("10.0.0.2"), address("fd00::1"));
        let mut gateways = Gateways::default();
        assert!(gateways.take(&[one, six], at(0)));
        assert!(!gateways.take(&[one, six], at(1)));
        // The link goes down: no gateway of the family is no other gateway.
        assert!(!gateways.take(&[six], at(2)));
        assert_eq!(gateways.due(), None);
        // Another one: both, until the first was away for a minute.
        assert!(gateways.take(&[two, six], at(10)));
        assert_eq!((gateways.addresses(), gateways.due()), (vec![one, two, six], Some(at(70))));
        assert!(!gateways.expire(at(69)));
        // It comes back within the minute, and goes again.
        assert!(!gateways.take(&[one, two, six], at(69)));
        assert_eq!(gateways.due(), None);
        gateways.take(&[two, six], at(80));
        assert!(gateways.expire(at(140)));
        assert_eq!(gateways.addresses(), [two, six]);
    }
}
