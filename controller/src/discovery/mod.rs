//! Who is behind a link without addresses: routers there are found by their
//! advertisements, and find this node by its own (RFC 4861).
//!
//! A link is one to one: the first router that is heard is the neighbour, another one
//! is named and ignored while the first is there. Without the right to raw sockets
//! nothing is heard and nothing said; whoever connects is taken for the neighbour all
//! the same, and all other peers are as ever.
//!
//! ```text
//!  message     ICMPv6 bytes <-> what they say; pure
//!  neighbours  the neighbour on each link; pure
//!  socket      a raw socket on one interface
//!  driver      a task a link: hears, advertises, answers solicitations
//!  link        the names of links, for people
//! ```

mod driver;
mod link;
pub mod message;
mod neighbours;
mod socket;

pub use driver::{Handle, spawn};
pub use link::{parse, shown};
pub use neighbours::{Finding, Neighbours};
