//! The session with one configured peer (RFC 4271 §8): a finite-state machine
//! without IO. It owns both connections that the peer and we may open, their
//! timers and what their OPENs agreed on; it never reads a clock, opens a socket
//! or knows a route.
//!
//! ```text
//!  action     what the machine asks for, and where UPDATEs go
//!  machine    Session: what comes in, what can be asked
//!  drive      carries out the steps on the connections, resolves collisions
//!  held       a connection that comes while another one is Established
//!  connection one TCP connection: state, framer, timers
//!  fsm        state x input -> step, pure
//!  negotiate  the OPEN exchange, pure        collision  which connection stays, pure
//!  ending     NOTIFICATION and text of each way to end
//!  restart    what both say of restarts, and what an end keeps, pure
//!  pause      what keeps a session from starting
//!  retry      when to connect                timer      deadlines, jitter
//!  config     what a session is asked to be
//! ```
//!
//! Invariants: at most one connection is Established, and none beside it, the
//! peer's next one excepted: held for a moment, or greeted where nothing else might tell the end of the first; after
//! any end of any connection a started session takes an inbound one, and, unless
//! passive, has an attempt to connect under way or armed, or a connection in
//! OpenConfirm or Established that its hold timer ends; a NOTIFICATION that can
//! be read is never answered by another; equal calls with equal instants give equal actions.

mod action;
mod collision;
mod config;
mod connection;
mod drive;
mod ending;
mod fsm;
mod held;
mod machine;
mod negotiate;
mod pause;
mod restart;
mod retry;
mod timer;

pub use action::{Action, Sink};
pub use config::SessionConfig;
pub use machine::{Counters, Session};
pub use negotiate::Negotiated;
pub use restart::Survived;
