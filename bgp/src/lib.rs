//! A BGP-4 speaker as a library: no sockets, no clock, no runtime.
//!
//! The caller feeds [`io::Event`]s with the time into a speaker and
//! carries out the [`io::Effects`] that come back.
//!
//! ```text
//!  id prefix time        numbers, prefixes, time
//!  wire                  bytes <-> messages, pure
//!  reason config io view the vocabulary of the door: why, what is wanted, in and out, what is shown
//!  session               one peer's finite-state machine
//!  rule                  import and export rules as data, and which one a path meets
//!  rib                   attributes -> table -> adj_in -> decision -> loc
//!  policy                import and export verdicts, pure
//!  speaker               owns sessions and tables, and answers questions
//! ```

// For `Arc`: shared data, and nothing of the operating system.
extern crate alloc;

pub mod config;
pub mod id;
pub mod io;
pub mod policy;
pub mod prefix;
pub mod reason;
pub mod rib;
pub mod rule;
pub mod session;
pub mod speaker;
pub mod time;
pub mod view;
pub mod wire;
