//! Bad input, and what it must not touch: a session with BIRD that is up before
//! a fault is up after it, without a reset and without one route withdrawn on
//! either side.
//!
//! ```text
//!  rogue     a peer of raw bytes
//!  scene     the node, BIRD on one link of it, the rogue on the other
//!  message   broken messages and broken OPENs
//!  pressure  floods, slow readers, octets one by one
//!  table     each line of the table of errors
//!  manifest  files that are wrong, contradict each other, vanish
//! ```

mod manifest;
mod message;
mod pressure;
pub(super) mod rogue;
pub(super) mod scene;
mod table;
