//! `cargo lab endure`: two racks behind BIRD and FRR live with random faults, planned and unplanned, from a printed seed.
//!
//! ```text
//!  chance   numbers out of a seed
//!  fault    what happens, to whom, and whether it may cost a packet
//!  fabric   the lab with its programs, which end and start, and what they say
//!  watch    the streams, and what must hold when a fault is over
//! ```
//!
//! After each fault every session comes back, each kernel has the routes that its agent has selected, all streams flow;
//! a planned fault has lost nothing of them. At the end memory and descriptors are what they were.

pub mod chance;
pub mod fabric;
pub mod fault;
pub mod watch;
