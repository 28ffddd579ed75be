//! `cargo lab exec NAME NODE CMD…`: the command takes this process's place, terminal and exit code.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use crate::lab::Lab;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The lab
    lab: String,
    /// The node
    node: String,
    /// The command; a shell without it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut again = vec!["exec", &args.lab, &args.node];
    again.extend(args.command.iter().map(String::as_str));
    if let Some(code) = super::console::by_sudo(&again)? {
        return Ok(code);
    }
    let lab = Lab::open(&args.lab)?;
    let (program, rest) = match &args.command[..] {
        [] => ("sh", &[][..]),
        [program, rest @ ..] => (program.as_str(), rest),
    };
    let error = lab.command(&args.node, program, rest)?.exec();
    Err(anyhow::Error::from(error).context("nsenter"))
}
