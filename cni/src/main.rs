//! The `underlay-cni` binary: hands the process's environment and streams to the library.

use std::io::{Write, stderr, stdin, stdout};
use std::process::ExitCode;

use cni::list::{List, USAGE};

/// Exit status of a call with wrong words.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    // A runtime gives no words; people do.
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
    if !words.is_empty() {
        return by_hand(&words);
    }
    let outcome = cni::run(&|name| std::env::var_os(name), &mut stdin().lock());
    let written = match &outcome.json {
        Some(json) => writeln!(stdout(), "{json}"),
        None => Ok(()),
    };
    if outcome.failed || written.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn by_hand(words: &[String]) -> ExitCode {
    let Some(list) = List::parse(words.iter().map(String::as_str)) else {
        // Where stderr cannot be written to there is nobody to tell.
        let _ = stderr().write_all(USAGE.as_bytes());
        return ExitCode::from(MISUSE);
    };
    match list.text() {
        Ok(text) => {
            // A reader that went away has read enough.
            let _ = stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(stderr(), "underlay-cni: {error}");
            ExitCode::FAILURE
        }
    }
}
