//! The node agent of underlay and its command line.

pub mod cli;
pub mod cluster;
pub mod desired;
pub mod kernel;
pub mod status;
pub mod transport;
