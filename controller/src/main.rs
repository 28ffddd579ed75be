//! `underlay`: the node's agent and the command line; all of it is in the library.

use std::process::ExitCode;

/// A table of a million routes is made of small pieces that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    controller::cli::main(std::env::args_os())
}
