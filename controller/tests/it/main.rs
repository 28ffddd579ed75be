//! Tests of the controller from outside of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent;
mod architecture;
mod check;
mod cli;
mod clusters;
mod desired;
mod interop;
mod kernel;
mod kubernetes;
mod metrics;
mod netconf;
mod pool;
mod readme;
mod status;
