//! `cargo lab down NAME` and `cargo lab down --all`.

use std::process::ExitCode;

use anyhow::bail;

use crate::lab;
use crate::state::{self, State};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The lab
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    lab: Option<String>,
    /// Every lab that is up
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let again = ["down", args.lab.as_deref().unwrap_or("--all")];
    if let Some(code) = super::console::by_sudo(&again)? {
        return Ok(code);
    }
    let states = match &args.lab {
        None => state::all()?,
        Some(name) => match State::load(name)? {
            Some(state) => vec![state],
            None => bail!("lab {name} is not up"),
        },
    };
    for state in &states {
        lab::down(state)?;
        eprintln!("lab {} is down", state.name);
    }
    if args.all {
        // A test that was killed leaves those of its nodes.
        state::sweep_control_groups(None)?;
    }
    if states.is_empty() {
        eprintln!("no lab is up");
    }
    Ok(ExitCode::SUCCESS)
}
