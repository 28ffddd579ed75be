//! A network of speakers in one process with a virtual clock: pipes for TCP,
//! kernels, faults, and a seed that decides the order in which things happen.
//!
//! Scenarios (`routes`, `rules`, `paths`, `sessions`, …) drive a network by hand,
//! lives (`life`) are drawn from seeds. What must hold after each step stands in
//! `watch`, what must hold at rest in `invariants`; `broken` are routers that are
//! wrong on purpose, each of which has to be caught.

mod absence;
mod attempts;
mod broken;
pub(crate) mod chance;
mod communities;
mod detection;
mod dynamic;
mod host;
mod invariants;
mod life;
mod limits;
mod long_lived;
pub(crate) mod network;
mod operator;
mod paths;
mod pipe;
mod queue;
mod reflector;
mod refresh;
mod restart;
mod roles;
mod routes;
mod rules;
mod sessions;
mod topology;
mod transport;
mod unnumbered;
mod watch;
