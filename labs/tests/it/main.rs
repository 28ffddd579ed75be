//! The sandbox, what stands on it, and the labs themselves.

mod lab;
mod namespaces;
mod need;
mod topology;
mod wait;
