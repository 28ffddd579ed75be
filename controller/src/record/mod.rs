//! A recording of what a speaker was told and of what followed, one JSON object
//! a line, and its replay.
//!
//! ```text
//!  line      what stands on a line
//!  digest    effects -> a number
//!  recorded  a speaker that may be recorded; off, each call is a branch and no more
//!  writer    lines -> a file of bounded size
//!  replay    a file -> the first turn that differs
//! ```
//!
//! The first line has the format, the seed and the configuration of
//! [`Speaker::new`](bgp::speaker::Speaker::new). Each call follows with its time
//! and arguments, and each turn ends with a digest of its effects. A speaker's
//! configuration holds no secrets, so that a recording holds none: bytes are
//! those that went over the wire.

mod digest;
mod line;
mod recorded;
mod replay;
mod writer;

pub use recorded::Recorded;
pub use replay::{Replay, ReplayError, replay};
pub use writer::{LIMIT, Recorder};
