//! `underlay crd`: the definitions of the Kubernetes objects as YAML, made from
//! the types. Asks nobody.

use api::crd::{definitions, definitions_without_cel};
use clap::Args;

use super::failure::Exit;
use super::outcome::Outcome;

/// What to print.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct CrdArgs {
    /// Leave out the rules in CEL, which API servers before 1.25 do not know; the agent checks them all the same
    #[arg(long)]
    pub without_cel: bool,
}

/// The definitions as one YAML stream.
///
/// # Errors
/// A definition that YAML cannot hold.
pub fn yaml(args: CrdArgs) -> Result<String, serde_saphyr::SerializeError> {
    let mut text = String::new();
    let definitions = if args.without_cel { definitions_without_cel() } else { definitions() };
    for definition in definitions {
        text += "---\n";
        text += serde_saphyr::to_string(&definition)?.trim_end();
        text += "\n";
    }
    Ok(text)
}

pub(super) fn run(args: CrdArgs) -> Outcome {
    match yaml(args) {
        Ok(stdout) => Outcome { stdout, ..Outcome::default() },
        Err(error) => Outcome { stderr: format!("{error}\n"), exit: Exit::Failed, ..Outcome::default() },
    }
}
