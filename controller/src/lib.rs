//! The node agent of underlay and its command line.

pub mod cli;
pub mod cluster;
pub mod status;
