//! `underlay`: the node's agent and the command line; all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    controller::cli::main(std::env::args_os())
}
