//! The speaker as its users meet it: octets, sessions, tables, and whole networks.

mod bfd;
mod bounds;
mod errors;
mod example;
mod explain;
mod fuzz;
mod guide;
mod pace;
mod policy;
mod rib;
mod session;
mod sim;
mod wire;
