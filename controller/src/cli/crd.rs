//! `underlay crd`: the definitions of the Kubernetes objects as YAML, made from
//! the types. Asks nobody.

use api::crd::definitions;

use super::failure::Exit;
use super::outcome::Outcome;

/// The definitions as one YAML stream.
///
/// # Errors
/// A definition that YAML cannot hold.
pub fn yaml() -> Result<String, serde_saphyr::SerializeError> {
    let mut text = String::new();
    for definition in definitions() {
        text += "---\n";
        text += serde_saphyr::to_string(&definition)?.trim_end();
        text += "\n";
    }
    Ok(text)
}

pub(super) fn run() -> Outcome {
    match yaml() {
        Ok(stdout) => Outcome { stdout, ..Outcome::default() },
        Err(error) => Outcome { stderr: format!("{error}\n"), exit: Exit::Failed, ..Outcome::default() },
    }
}
