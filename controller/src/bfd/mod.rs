//! BFD on the wire: packets and timers of all sessions, on a thread of their own, so that a busy loop makes no peer
//! believe that we are gone. The loop says whom to watch, and hears of changes alone.
//!
//! ```text
//!  agent loop ── Watch ──> driver ── session (bgp::bfd) ──> socket ──> peer
//!             <─ News ───────┘  ^──────────── packets ──────┘
//! ```
//!
//! ```text
//!  watch    whom to watch and how; what is told of it
//!  socket   ports and hop limits (RFC 5881 §4, §5; RFC 5883 §5)
//!  driver   the thread: sessions by peer, and when each is due
//! ```

pub mod driver;
pub mod watch;

mod socket;

pub use driver::{Handle, spawn};
pub use watch::{Distance, News, Watch, Watched};
