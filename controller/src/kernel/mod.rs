//! The kernel driver of the node agent: what the speaker wants is written into the kernel's routing table, and what
//! the kernel knows of next hops, links and addresses is told.
//!
//! ```text
//!  agent ── Command ──> driver ── plan ──> netlink (batch) ──> kernel
//!        <─ KernelEvent ─┘  ^──── nexthop <── view (dump) <── monitor (something changed)
//! ```
//!
//! The driver is one thread that waits for nobody but the kernel. It never takes or deletes a route of another
//! owner: ours is what carries our protocol number in our table. The kernel's word counts, not notifications: a
//! notification is only a reason to dump again.
//!
//! ```text
//!  command            the vocabulary of the door
//!  route              routes as the kernel keys and compares them
//!  plan               from what is there and what is wanted to an operation; pure
//!  message request    rtnetlink bytes -> what they say; operations -> rtnetlink bytes
//!  view nexthop       what a dump says, and how it resolves a next hop; pure
//!  object             next-hop objects: bytes, and which of ours there are
//!  ledger             what is wanted, what is written, what is to be answered; pure
//!  age                how far a view can be relied upon; pure
//!  buffer             the sizes of a socket's buffers
//!  conversation       a socket by which the kernel is asked and answers
//!  lookup             the route to one address, asked for
//!  netlink monitor    sockets: dumps and batches; notifications
//!  driver             the thread that owns all of them
//!  filter             the socket to the packet filter: questions and batches
//!  removal            what of ours is in the kernel, and how it goes at the end
//!  masquerade         a driver of its own: what of the pods' packets leaves under the node's address
//! ```

pub mod command;
pub mod driver;
pub mod filter;
pub mod ledger;
pub mod lookup;
pub mod masquerade;
pub mod message;
pub mod monitor;
pub mod netlink;
pub mod nexthop;
pub mod object;
pub mod plan;
pub mod removal;
pub mod request;
pub mod route;
pub mod view;

mod age;
mod buffer;
mod conversation;

pub use command::{Command, Fib, KernelConfig, KernelEvent, LocalAddress, NextHopGroups};
pub use driver::{Handle, spawn};
