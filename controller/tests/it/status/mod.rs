//! The status service over a real socket, before an agent loop that answers
//! from prepared data.

pub(crate) mod agent;
pub(crate) mod events;
pub(crate) mod fixture;
mod proto;
mod publisher;
mod reflection;
mod service;
mod socket;
mod watch;
