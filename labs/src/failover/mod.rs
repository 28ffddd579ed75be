//! `cargo lab failover`: what a stream of a thousand numbered packets a second loses when the router in use fails, with
//! ours, BIRD and FRR on the node, in the same run.
//!
//! ```text
//!                  ┌── tor1 (short path) ──┐
//!   pod ── node ───┤                       ├── host
//!                  └── tor2 (long path) ───┘
//! ```
//!
//! ```text
//!  event     what happens to tor1
//!  subject   who routes on the node, and what each is told
//!  scene     the namespaces, and BIRD on both ToRs
//!  measure   a stream through it, and how much of it is lost
//! ```
//!
//! Nobody keeps routes over a restart here: what is measured is how soon a router that is gone is not used any more.

pub mod event;
pub mod measure;
pub mod scene;
pub mod subject;
