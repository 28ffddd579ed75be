//! A network of speakers in one process with a virtual clock: pipes for TCP, a
//! kernel that says yes, and a seed that decides the order in which things happen.

mod communities;
mod limits;
pub(crate) mod network;
mod operator;
mod paths;
mod refresh;
mod restart;
mod routes;
mod rules;
mod sessions;
