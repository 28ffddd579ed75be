//! The node agent of underlay and its command line.

pub mod agent;
pub mod cli;
pub mod cluster;
pub mod desired;
pub mod effect;
pub mod event;
pub mod kernel;
pub mod status;
pub mod transport;
