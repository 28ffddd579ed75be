//! The sandbox, what stands on it, and the labs themselves.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod api_server;
mod cargo;
mod clusters;
mod interop;
mod lab;
mod namespaces;
mod need;
mod normal;
mod page;
mod restart;
mod topology;
mod wait;
