//! The kernel driver of the node agent: what the speaker wants is written into the kernel's routing table, and what
//! the kernel knows of next hops, links and addresses is told.

pub mod command;
pub mod driver;

pub use command::{Command, KernelConfig, KernelEvent, LocalAddress};
pub use driver::{Handle, spawn};
