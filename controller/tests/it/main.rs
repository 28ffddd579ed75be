//! Tests of the controller from outside of it.

mod cli;
mod status;
