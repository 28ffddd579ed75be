//! Tests of the controller from outside of it.

mod cli;
mod kernel;
mod status;
