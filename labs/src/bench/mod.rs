//! `cargo lab bench`: the same bytes through BIRD 2, FRR, GoBGP, OpenBGPD and ours, each alone in a namespace.
//!
//! ```text
//!  speaker   five speakers: what each is told, and how it starts
//!  case      one kind of work, its size, and the load generator's arguments for it
//!  meter     CPU time and peak memory of a namespace's processes; what else used the machine
//!  run       a case on a speaker: start, load, figures
//!  table     the figures side by side, with ratios
//! ```
//!
//! All is measured in the same run on the same machine, one speaker at a time: a ratio carries over to another
//! machine, a time does not.

pub mod case;
pub mod meter;
pub mod run;
pub mod speaker;
pub mod table;
