//! `underlay install`: the CNI plugin put in place. Asks nobody.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::failure::{Exit, Failure};
use super::outcome::Outcome;
use super::render::Format;
use crate::install::{BIN_DIR, Installed, PLUGIN, install};

/// What to install, and where.
#[derive(Args, Clone, Debug)]
pub struct InstallArgs {
    /// The folder in which the runtime looks for CNI plugins
    #[arg(long, value_name = "DIR", default_value = BIN_DIR)]
    pub bin_dir: PathBuf,
    /// The plugin's binary; unset, `underlay-cni` beside this program
    #[arg(long, value_name = "PATH")]
    pub plugin: Option<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
}

#[derive(Serialize)]
struct Report<'a> {
    path: &'a str,
    state: &'a str,
}

pub(super) fn run(args: &InstallArgs) -> Outcome {
    let done = source(args.plugin.clone()).and_then(|source| install(&source, &args.bin_dir));
    match done {
        Ok((path, installed)) => {
            let (path, state) = (path.display().to_string(), word(installed));
            let stdout = if args.output.is_structured() {
                // Two strings cannot fail to serialise.
                serde_json::to_string(&Report { path: &path, state }).unwrap_or_default() + "\n"
            } else {
                format!("{path} {state}\n")
            };
            Outcome { stdout, ..Outcome::default() }
        }
        Err(error) => {
            let failure = Failure::new(Exit::Failed, error.to_string());
            Outcome { stderr: failure.line(args.output), exit: failure.exit, ..Outcome::default() }
        }
    }
}

fn source(told: Option<PathBuf>) -> std::io::Result<PathBuf> {
    told.map_or_else(|| std::env::current_exe().map(|own| own.with_file_name(PLUGIN)), Ok)
}

fn word(installed: Installed) -> &'static str {
    match installed {
        Installed::New => "installed",
        Installed::Replaced => "replaced",
        Installed::Same => "unchanged",
    }
}
