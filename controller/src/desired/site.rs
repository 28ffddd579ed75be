//! This node among the objects: all that the computation looks at.

use crate::cluster::object::{NodeFacts, Objects};
use crate::kernel::LocalAddress;

/// This node among the objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) objects: &'a Objects,
    pub(super) name: &'a str,
    pub(super) facts: &'a NodeFacts,
    pub(super) addresses: &'a [LocalAddress],
}
