//! Bidirectional Forwarding Detection (RFC 5880): whether packets still reach a
//! neighbour, within milliseconds. One session's machine in asynchronous mode,
//! without sockets, a clock or routes; the caller carries packets and the time.
//!
//! ```text
//!  packet   control packets: octets <-> fields, and why one is discarded
//!  session  states, timers, poll sequences; what is to be sent, and when
//! ```
//!
//! Sessions of one hop (RFC 5881) and of several (RFC 5883) differ in ports and
//! hop limits alone, which are the caller's. Neither authentication nor the echo
//! function is offered; a peer's demand mode is obeyed.

mod packet;
mod session;

pub use packet::{Diagnostic, Discard, Packet, State};
pub use session::{Config, Forwarding, Session, View};
