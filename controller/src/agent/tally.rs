//! What the loop counts, where it passes by.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::bfd;
use bgp::io::{Note, RouteAck, RouteChange};
use bgp::prefix::Prefix;
use bgp::time::Instant;

use crate::status::counter::{Counters, Operation};

/// Routes at a time whose way into the kernel is timed: one of each turn, while the kernel is busy with this many turns.
const TIMED: usize = 64;

/// The counters, and the routes that are being timed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counters: Counters,
    turn_began_at: Instant,
    timed: BTreeMap<Prefix, Instant>,
}

impl Tally {
    /// A turn begins: what it takes in, it takes in now.
    pub(super) const fn turn(&mut self, now: Instant) {
        self.turn_began_at = now;
    }

    /// A session has changed its state.
    pub(super) fn session(&mut self, note: &Note) {
        let reason = note.cause.as_ref().map(|cause| cause.reason);
        *self.counters.transitions.entry((note.address, note.to, reason)).or_default() += 1;
    }

    /// A BFD session is in a state where it was in another.
    pub(super) fn bfd(&mut self, peer: IpAddr, before: Option<bfd::State>, state: bfd::State) {
        if before.unwrap_or_default() != state {
            *self.counters.bfd.entry((peer, state)).or_default() += 1;
        }
    }

    /// The kernel is asked for changes. The last of a turn's is timed: it is in the kernel when all are.
    pub(super) fn asked(&mut self, changes: &[RouteChange]) {
        if let Some(last) = changes.last().filter(|_| self.timed.len() < TIMED) {
            self.timed.entry(last.prefix).or_insert(self.turn_began_at);
        }
    }

    /// The kernel has answered.
    pub(super) fn answered(&mut self, acks: &[RouteAck], now: Instant) {
        let mut counts = [0; 4];
        for ack in acks {
            let done = ack.errno == 0;
            counts[2 * usize::from(ack.set.is_some()) + usize::from(done)] += 1;
            if let Some(asked_at) = self.timed.remove(&ack.prefix).filter(|_| done) {
                self.counters.update_to_kernel.observe(now.since(asked_at));
            }
        }
        for (at, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let operation = if at >= 2 { Operation::Install } else { Operation::Remove };
            *self.counters.operations.entry((operation, at % 2 == 1)).or_default() += count;
        }
    }

    /// What was counted, of peers that are there.
    pub(super) fn counters(&mut self, peers: impl Iterator<Item = IpAddr>) -> Arc<Counters> {
        let peers: BTreeSet<IpAddr> = peers.collect();
        self.counters.transitions.retain(|(peer, ..), _| peers.contains(peer));
        self.counters.bfd.retain(|(peer, _), _| peers.contains(peer));
        Arc::new(self.counters.clone())
    }
}

#[cfg(test)]
mod tests {
    use bgp::io::{Downfall, SetId, State};
    use bgp::reason::Reason;
    use bgp::time::Duration;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a prefix")
    }

    #[test]
    fn the_last_route_of_a_turn_is_timed_from_the_turn_on() {
        let mut tally = Tally::default();
        let [one, two] = ["10.0.1.0/24", "10.0.2.0/24"].map(prefix);
        let set = Some(SetId(1));
        tally.turn(Instant(0) + Duration::from_secs(1));
        tally.asked(&[RouteChange { prefix: one, set }, RouteChange { prefix: two, set }]);
        // Asked for again before it was there: the first time counts.
        tally.turn(Instant(0) + Duration::from_secs(2));
        tally.asked(&[RouteChange { prefix: two, set: None }]);
        let ack = |prefix, set, errno| RouteAck { prefix, set, errno };
        let now = Instant(0) + Duration::from_secs(3);
        tally.answered(&[ack(one, set, 0), ack(two, None, 0), ack(two, set, 17)], now);
        let counters = tally.counters(std::iter::empty());
        assert_eq!(
            (counters.update_to_kernel.count(), counters.update_to_kernel.sum),
            (1, Duration::from_secs(2))
        );
        let expected = [
            ((Operation::Install, false), 1),
            ((Operation::Install, true), 1),
            ((Operation::Remove, true), 1),
        ];
        assert_eq!(counters.operations, BTreeMap::from(expected));
    }

    #[test]
    fn what_became_of_a_peer_goes_with_it() {
        let mut tally = Tally::default();
        let [here, gone]: [IpAddr; 2] =
            ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().expect("an address"));
        for address in [here, gone] {
            let cause = Some(Downfall { reason: Reason::BfdDown, text: String::new() });
            let (from, to) = (State::Established, State::Idle);
            let note =
                Note { peer: bgp::id::PeerId(1), name: "tor".into(), address, asn: None, from, to, cause };
            tally.session(&note);
            tally.bfd(address, None, bfd::State::Down);
            tally.bfd(address, Some(bfd::State::Down), bfd::State::Up);
        }
        let counters = tally.counters([here].into_iter());
        assert_eq!(counters.transitions, BTreeMap::from([((here, State::Idle, Some(Reason::BfdDown)), 1)]));
        assert_eq!(counters.bfd, BTreeMap::from([((here, bfd::State::Up), 1)]));
    }
}
