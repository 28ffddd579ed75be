//! `cargo lab restart`: what two streams of a thousand numbered packets a second lose, one from a pod and one to it,
//! while what routes them is restarted, replaced or configured anew.
//!
//! ```text
//!                  ┌── tor1 (short path: BIRD, FRR or GoBGP) ──┐
//!   pod ── node ───┤                                           ├── host (sends by tor1)
//!                  └── tor2 (long path: BIRD) ─────────────────┘
//! ```
//!
//! ```text
//!  event    what happens
//!  tor      the daemon of tor1
//!  cluster  the API server of its objects, where they are in no file
//!  agent    the agent of the node, which ends and starts
//!  scene    the namespaces, and what has to be so before and after
//!  measure  the streams through it, and how much of them is lost
//! ```
//!
//! The kernels of the node and of tor1 hold what the daemons wrote. Everybody keeps routes over a restart (RFC 4724).

pub mod agent;
pub mod cluster;
pub mod event;
pub mod measure;
pub mod scene;
pub mod tor;
