//! What the agent shows of itself. Two ways out of the agent loop and no third:
//!
//! ```text
//!             ┌─ Publisher ─> one watch cell of Arc<Snapshot> ─┐
//! agent loop ─┤                                                ├─> grpc ─> status.sock
//!             └─ answer <──── channel of Query, reply a oneshot ┘
//! ```
//!
//! The snapshot never holds routes; routes are asked for, a page a turn. With it
//! come two bounded rings, of events and of changed prefixes. A slow reader sees
//! the newest snapshot, and nothing queues up behind it.

pub mod clock;
pub mod convert;
pub mod counter;
pub mod error;
pub mod event;
mod events;
pub mod grpc;
pub mod impairment;
mod nearest;
mod object;
mod page;
pub mod peer;
pub mod pods;
pub mod query;
mod questions;
mod reader;
pub mod ring;
pub mod server;
pub mod snapshot;
pub mod socket;
pub mod supervisor;
