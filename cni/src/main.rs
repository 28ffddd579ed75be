//! The `underlay-cni` binary: hands the process's environment and streams to the library.

use std::io::{Write, stdin, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = cni::run(&|name| std::env::var_os(name), &mut stdin().lock());
    let written = match &outcome.json {
        Some(json) => writeln!(stdout(), "{json}"),
        None => Ok(()),
    };
    if outcome.failed || written.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
