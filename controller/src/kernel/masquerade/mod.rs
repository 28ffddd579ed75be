//! Masquerading: packets of this node's pods to somewhere that does not know of pods leave under an address of the
//! node. One table of ours in the packet filter, and nothing else of it is ever touched.
//!
//! ```text
//!  agent ── wanted (newest alone) ──> driver ── look ──> filter ──> kernel
//!        <─ why not ─────────────────┘  ^─────── disturbed ── watcher (somebody changed our table)
//!
//!  wanted    what is hidden, and from whom; plain data
//!  rules     that as a table of the packet filter; pure
//!  watcher   the socket that hears of others' changes
//!  driver    the thread that owns both
//! ```
//!
//! The table stays when the agent ends, and the next one takes it as it finds it: rules are compared by the digests
//! in their comments, sets by their elements, and only what differs is written. From then on the table is looked at only
//! when somebody else has changed it.

mod driver;
pub mod rules;
mod wanted;
mod watcher;

pub use driver::{Handle, spawn};
pub use wanted::{LEARNED_MAX, Masquerade};
