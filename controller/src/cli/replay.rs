//! `underlay replay`: a recording of `underlay agent --record` computed anew.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use super::outcome::Outcome;
use super::render::Format;
use crate::record::{self, Replay};

/// The arguments of `replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Exits with 1 where a turn differs.
pub(super) fn run(args: &ReplayArgs) -> Outcome {
    let file = args.file.display();
    let replayed = File::open(&args.file)
        .map_err(record::ReplayError::from)
        .and_then(|opened| record::replay(BufReader::new(opened)));
    let failed = |text: String| {
        let failure = Failure::new(Exit::Failed, text);
        Outcome { stderr: failure.line(Format::Table), exit: failure.exit, ..Outcome::default() }
    };
    match replayed {
        Ok(Replay { turns, differs: None, stopped }) => {
            let stopped = stopped.map(|reason| format!("; the recording stopped there: {reason}"));
            let stdout = format!("{turns} turns agree{}\n", stopped.unwrap_or_default());
            Outcome { stdout, ..Outcome::default() }
        }
        Ok(Replay { turns, differs: Some((turn, line)), .. }) => {
            failed(format!("{file}: turn {turn} (line {line}) differs; {turns} turns before it agree"))
        }
        Err(error) => failed(format!("{file}: {error}")),
    }
}
