//! The sandbox, what stands on it, and the labs themselves.

mod namespaces;
mod need;
mod wait;
