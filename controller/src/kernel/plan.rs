//! From what the kernel has and what is wanted to the operation between them; pure.
//!
//! The kernel keys routes by destination, TOS, metric and table, not by owner, and an unconditional write replaces
//! whoever is there. Hence operations that do not touch another owner's route:
//!
//! | have (ours) | want | operation | the kernel's refusal |
//! |---|---|---|---|
//! | nothing | a route | create, exclusively | EEXIST: another owner is there |
//! | a route | another one | replace, never create | ENOENT: ours is gone; create is next |
//! | an IPv6 route | other legs | join what is missing, then part with what is too much | ESRCH: that leg was not ours |
//! | a route | nothing | delete, by protocol | ESRCH: gone already |
//!
//! To IPv6 the legs of a route are routes of their own, and those that another owner appends at the same metric are
//! shown as legs of ours: a replace would take them away, while joining and parting touch single legs of our protocol.

use std::sync::Arc;

use bgp::prefix::Family;

use super::route::{Key, Leg, Route, Target};

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which route.
    pub key: Key,
    /// What to do.
    pub action: Action,
}

/// What is done to a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Add this route where no route has the key.
    Create(Route),
    /// Put this route in the place of our own.
    Replace(Route),
    /// Add legs to our IPv6 route.
    Join {
        /// The legs to add.
        legs: Arc<[Leg]>,
        /// The route as it is afterwards.
        result: Route,
    },
    /// Take legs out of our IPv6 route, others stay.
    Part {
        /// The legs to take out.
        legs: Arc<[Leg]>,
        /// The route as it is afterwards.
        result: Route,
    },
    /// Take our route away: this one.
    Delete(Route),
}

/// The first operation on the way from `have` to `want`; `None` if they are equal.
#[must_use]
pub fn step(family: Family, have: Option<&Route>, want: Option<Route>) -> Option<Action> {
    match (have, want) {
        (None, None) => None,
        (None, Some(want)) => Some(Action::Create(want)),
        (Some(have), None) => Some(Action::Delete(have.clone())),
        (Some(have), Some(want)) if *have == want => None,
        (Some(have), Some(want)) => match (&have.target, &want.target) {
            (Target::Via(old), Target::Via(new))
                if family == Family::Ipv6 && have.protocol == want.protocol && have.source == want.source =>
            {
                Some(relay(old, new, &want))
            }
            _ => Some(Action::Replace(want)),
        },
    }
}

/// Between lists of legs that differ: joins come first, so that the route is never without a leg.
fn relay(old: &[Leg], new: &Arc<[Leg]>, want: &Route) -> Action {
    let missing: Arc<[Leg]> = new.iter().filter(|leg| !old.contains(leg)).copied().collect();
    if missing.is_empty() {
        let legs = old.iter().filter(|leg| !new.contains(leg)).copied().collect();
        return Action::Part { legs, result: want.clone() };
    }
    let mut all: Vec<_> = old.iter().chain(missing.iter()).copied().collect();
    all.sort_unstable();
    let result = Route { target: Target::Via(all.into()), ..want.clone() };
    Action::Join { legs: missing, result }
}
