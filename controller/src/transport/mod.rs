//! TCP: opens, accepts, reads, writes and closes connections as the agent loop
//! says, and knows nothing of BGP.
//!
//! ```text
//!  pool        buffers to read into, and the event vocabulary's chunk of bytes
//!  event       what happens on connections
//!  stream      a task a connection: fair reading, queued writing, orderly closing
//!  password    a key that a peer shares with this node (RFC 2385)
//!  sockopt     socket options for it and for TTLs: the one file here with unsafe code
//!  neighbours  which peers have a key, and how far away they may be
//!  listener    two sockets, a task each
//!  connector   a task an attempt
//!  handle      the loop's end: effects in
//! ```
//!
//! What waits for the loop is bounded a connection: one chunk, one count of
//! written bytes, one opening and one end. The channel itself needs no bound.

pub mod event;
pub mod handle;
pub mod listener;
pub mod pool;

mod connector;
mod neighbours;
mod password;
mod sockopt;
mod stream;

pub use event::TransportEvent;
pub use handle::Handle;
pub use neighbours::{Neighbours, Terms};
pub use password::{Password, PasswordError};
pub use pool::Chunk;
pub use sockopt::Hops;
