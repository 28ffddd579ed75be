//! The real binary against other implementations, in network namespaces.
//!
//! Each test runs in a sandbox of its own: a node with the agent, a router with
//! the other daemon, one link. All waiting is for a condition.

mod add_path;
mod bfd;
pub(crate) mod bird;
mod cordon;
mod disk;
mod drain;
mod endpoints;
mod fault;
mod frr;
mod graceful;
mod ground;
mod hosts;
mod key;
mod leave;
mod listen;
mod masquerade;
mod matrix;
mod metrics;
pub(crate) mod node;
mod objects;
mod password;
mod pod;
mod reach;
mod recording;
mod reflector;
mod replay;
mod restart;
mod roles;
mod rules;
mod scene;
mod successor;
mod tamper;
mod uninstall;
mod unnumbered;
mod unserved;
