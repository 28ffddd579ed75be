//! `cargo lab`: one file a verb. Results go to stdout, progress and hints to stderr.
//!
//! Exit codes: 0 done, 1 failed, 2 usage; `exec` passes on the code of its command.

mod bench;
mod catalogue;
mod console;
mod down;
mod endure;
mod exec;
mod failover;
mod image;
mod matrix;
mod quickstart;
mod restart;
mod status;
mod test;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo lab", about = "Labs of underlay, in network namespaces of this machine", version)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build everything, bring up two racks of pods, prove that they reach each other
    Quickstart(quickstart::Args),
    /// Check and test the workspace, or run the tests whose names contain NAME
    Test(test::Args),
    /// Send the same tables through this project's speaker and four others, and compare
    Bench(bench::Args),
    /// Write the image for nodes and for containerlab to a file
    Image(image::Args),
    /// Count what a stream of packets loses when a router fails, beside BIRD and FRR
    Failover(failover::Args),
    /// Count what streams of packets lose when what routes them is restarted or configured anew
    Restart(restart::Args),
    /// Let two racks live with random faults, and check what must hold
    Endure(endure::Args),
    /// Bring a lab up
    Up(up::Args),
    /// Remove a lab, or all of them
    Down(down::Args),
    /// Show the labs that are up, or the nodes of one
    Status(status::Args),
    /// Run a command inside a node
    Exec(exec::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let line = Line::parse();
    let done = match line.verb {
        Verb::Quickstart(args) => quickstart::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Image(args) => image::run(&args),
        Verb::Failover(args) => failover::run(&args),
        Verb::Restart(args) => restart::run(&args),
        Verb::Endure(args) => endure::run(&args),
        Verb::Up(args) => up::run(&args),
        Verb::Down(args) => down::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Exec(args) => exec::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("cargo lab: {error:#}");
        ExitCode::FAILURE
    })
}
