//! Next-hop objects: what many routes share, so that one write changes all of them.
//!
//! ```text
//!  route ─ nhid ─> group ─┬─> hop: one way out
//!                         └─> hop
//! ```
//!
//! A learned route names a group, never a hop: the kernel does not replace the one by the other. A group belongs to one
//! set of next hops, a hop to all groups that need it. Objects carry our protocol number like routes, ids are the
//! kernel's choice, and no object of another protocol is changed or deleted. Whoever names a group of ours in a route of
//! his own has it change and end with the group: the kernel does not ask whose routes those are.
//!
//! The kernel deletes the hops of an interface that goes down or loses its carrier, with them groups that have no other
//! hop, and with these their routes, all without a word. So no object is taken for there that the last look after a
//! change of the interfaces has not shown.

pub mod message;
pub mod shelf;

use super::route::Leg;

/// An object as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its number.
    pub id: u32,
    /// The routing protocol number: its owner.
    pub protocol: u8,
    /// What it is.
    pub what: What,
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// One way out.
    Hop(Leg),
    /// Hops of equal weight, by their numbers, ordered.
    Group(Vec<u32>),
    /// Something that this driver never writes.
    Foreign,
}

/// What is done to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make a hop.
    Hop(Leg),
    /// Make a group of these hops.
    Group(Vec<u32>),
    /// Give a group of ours these hops.
    Regroup(u32, Vec<u32>),
    /// Delete an object of ours: a hop leaves each group that has it, and a group that is left without a hop goes with
    /// the routes that name it.
    Delete(u32),
}
