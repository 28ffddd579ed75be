//! The plugin on the real kernel, each test in a sandbox.

mod address;
mod chain;
mod check;
mod crash;
mod delegate;
mod detach;
mod failure;
mod filter;
mod gc;
mod link;
mod ports;
mod rates;
mod sctp;
mod speed;
mod status;
