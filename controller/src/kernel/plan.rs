//! From what the kernel has and what is wanted to the operation between them; pure.
//!
//! The kernel keys routes by destination, TOS, metric and table, not by owner, and an unconditional write replaces
//! whoever is there. Hence operations that do not touch another owner's route:
//!
//! | have (ours) | want | operation | the kernel's refusal |
//! |---|---|---|---|
//! | nothing | a route | create, exclusively | EEXIST: another owner is there |
//! | a route | another one | replace, never create | ENOENT: ours is gone; create is next |
//! | an IPv6 route | other ways out | join what is missing, then part with what is too much | ESRCH: that leg was not ours |
//! | a route | nothing | delete, by protocol | ESRCH: gone already |
//!
//! To IPv6 the legs of a route are routes of their own, and those that another owner appends at the same metric are
//! shown as legs of ours: a replace would take them away, while joining and parting touch single legs of our protocol.

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
    /// Add a way out to our IPv6 route: legs or a next-hop object.
    Join {
        /// What to add.
        way: Target,
        /// The route as it is afterwards.
        result: Route,
    },
    /// Take a way out of our IPv6 route, others stay.
    Part {
        /// What to take out.
        way: Target,
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
        (Some(have), None) => match &have.target {
            // One delete is for the legs or for one object.
            Target::Mixed { legs, objects } => Some(part(have, legs, objects)),
            _ => Some(Action::Delete(have.clone())),
        },
        (Some(have), Some(want)) if *have == want => None,
        (Some(have), Some(want)) => match (have.target.ways(), want.target.ways()) {
            (Some(old), Some(new)) if family == Family::Ipv6 && alike(have, &want) => {
                Some(relay(have, old, new))
            }
            _ => match &have.target {
                Target::Mixed { legs, objects } => Some(part(have, legs, objects)),
                _ => Some(Action::Replace(want)),
            },
        },
    }
}

/// Whether two routes differ in their ways at most.
fn alike(have: &Route, want: &Route) -> bool {
    have.protocol == want.protocol && have.source == want.source
}

type Ways<'a> = (&'a [Leg], &'a [u32]);

/// Between ways that differ: joins come first, so that the route is never without one. Objects part before legs do,
/// because a delete that names a gateway takes the first route with an object too.
fn relay(have: &Route, old: Ways<'_>, new: Ways<'_>) -> Action {
    let missing: Vec<Leg> = new.0.iter().filter(|leg| !old.0.contains(leg)).copied().collect();
    let object = new.1.iter().find(|id| !old.1.contains(id));
    let way = match (missing.is_empty(), object) {
        (false, _) => Target::Via(missing.into()),
        (true, Some(id)) => Target::Object(*id),
        (true, None) => {
            let surplus = |id: &&u32| !new.1.contains(id);
            let legs: Vec<Leg> = old.0.iter().filter(|leg| !new.0.contains(leg)).copied().collect();
            let objects: Vec<u32> = old.1.iter().filter(surplus).copied().collect();
            return part(have, &legs, &objects);
        }
    };
    let (more_legs, more_objects) = way.ways().unwrap_or_default();
    let target = Target::of_ways([old.0, more_legs].concat(), [old.1, more_objects].concat());
    Action::Join { result: Route { target, ..have.clone() }, way }
}

/// Takes out the first of these objects, or these legs.
fn part(have: &Route, legs: &[Leg], objects: &[u32]) -> Action {
    let way = match objects {
        [object, ..] => Target::Object(*object),
        [] => Target::Via(legs.into()),
    };
    let (less_legs, less_objects) = way.ways().unwrap_or_default();
    let (old_legs, old_objects) = have.target.ways().unwrap_or_default();
    let legs = old_legs.iter().filter(|leg| !less_legs.contains(leg)).copied().collect();
    let objects = old_objects.iter().filter(|id| !less_objects.contains(id)).copied().collect();
    let target = Target::of_ways(legs, objects);
    Action::Part { result: Route { target, ..have.clone() }, way }
}
