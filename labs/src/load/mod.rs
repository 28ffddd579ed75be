//! The load generator: BGP sessions towards one speaker, a table through them, and what comes back counted.
//!
//! ```text
//!  options   the command line
//!  table     a seed -> prefixes with attribute sets, as a fabric's or the Internet's table has them
//!  mrt       a file of a route collector -> the same
//!  stream    the table -> one sender's UPDATEs, cut where a message ends
//!  session   a connection: OPEN exchange, keepalives, octets out, messages in
//!  counter   what one receiver has of the table at present, and when that changed
//!  kernel    how many routes the speaker's network namespace has
//!  netlink   single routes of it, and what writing them takes by itself
//!  step      announce, withdraw, flap, silence, reset: what is done, and when its effect is complete
//!  restart   one sender that comes back, one of two that does not
//!  floor     the same octets without a speaker
//!  report    JSON lines
//! ```
//!
//! Every figure is taken by this one process with one monotonic clock: from the first octet that it writes to the
//! last message that completes what was to arrive. It never looks into the speaker.

mod counter;
mod floor;
mod kernel;
mod mrt;
mod netlink;
mod options;
mod report;
mod restart;
mod session;
mod step;
mod stream;
mod table;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    match options::Options::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
