//! A BGP-4 speaker as a library: no sockets, no clock, no runtime.
//!
//! The caller feeds [`io::Event`]s with the time into a [`speaker::Speaker`],
//! has it [`work`](speaker::Speaker::work) once a turn, wakes it at its
//! [`deadline`](speaker::Speaker::deadline), and carries out the [`io::Effects`]
//! that come back. No call blocks, each does a bounded piece of work, and equal
//! seeds, configurations, events and times give equal effects.
//!
//! Each module uses those above it:
//!
//! ```text
//!  id prefix time        numbers, prefixes, time
//!  wire                  bytes <-> messages, pure
//!  reason config io view the vocabulary of the door: why, what is wanted, in and out, what is shown
//!  rule                  import and export rules as data, and which one a path meets
//!  policy                import and export verdicts, pure
//!  session               one peer's finite-state machine
//!  rib                   attributes -> table -> adj_in -> decision -> loc -> adj_out
//!  speaker               owns sessions and tables, and answers questions
//! ```
//!
//! Where an RFC is obeyed; its sections stand beside the lines:
//!
//! | RFC | what | where |
//! |---|---|---|
//! | 4271 | BGP-4: messages; states and timers; decision | `wire`; `session`; `rib::decision` |
//! | 1997, 4360, 5701, 8092 | communities, extended and large | `wire::community`, `policy` |
//! | 3765, 7999, 8326 | NOPEER, BLACKHOLE, GRACEFUL_SHUTDOWN | `policy` |
//! | 2385 | TCP MD5: which peers have a key | `config`; the key itself stays with the caller |
//! | 5082 | GTSM, and hops | the caller's; `config` has what follows of it for a session and its next hops |
//! | 2545, 4760 | IPv6 next hops, multiprotocol attributes | `wire::update`, `wire::pack` |
//! | 2918, 7313 | route refresh, with begin and end | `wire::refresh`, `rib::adj_out`, `rib::stale`, `speaker::again` |
//! | 4456 | reflected paths: loops and tie-breaks | `policy`, `rib::decision` |
//! | 4486, 9003 | Cease: subcodes and text | `wire::notification`, `session` |
//! | 4724, 8538 | graceful restart, both roles, N bit, Hard Reset | `wire::restart`, `session`, `rib::stale`, `rib::deferral`, `speaker` |
//! | 5492, 9072 | capabilities, long optional parameters | `wire::open`, `wire::capability` |
//! | 6286, 6608 | identifiers, errors of the state machine | `session`, `wire::notification` |
//! | 6793 | four-octet AS numbers | `wire::as_path`, `wire::decode`, `wire::encode` |
//! | 7911 | several paths of a prefix, both ways | `wire::add_path`, `wire::nlri`, `session`, `rib` |
//! | 8654 | messages of up to 65 535 octets | `wire::frame`, `wire::pack` |
//! | 9687 | a peer that does not read | `session` |
//! | 7606, 7607 | what a bad attribute leads to, AS 0 | `wire::decode`, `wire::grade`, `wire::update` |

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
