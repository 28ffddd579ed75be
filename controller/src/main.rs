//! `underlay`: the node's agent and the command line; all of it is in the library.

use std::process::ExitCode;

/// A table of a million routes is made of small pieces that come and go. Its pages are small ones (feature `no_thp`):
/// in huge ones an agent that holds 4 MB has 21 MB of memory, and one of five thousand nodes twice what it needs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    controller::cli::main(std::env::args_os())
}
