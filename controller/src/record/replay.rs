//! A recording computed anew: the same calls, and other effects or the same.

use std::io::{self, BufRead};

use bgp::io::Effects;
use bgp::speaker::Speaker;

use super::digest::Digest;
use super::line::{FORMAT, Line};

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Turns that agreed, from the first on.
    pub turns: u64,
    /// The turn that did not, and the line that ends it.
    pub differs: Option<(u64, usize)>,
    /// Why the recording was ended before the agent, if it was.
    pub stopped: Option<String>,
}

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// A line is not one of a recording.
    #[error("line {line}: {text}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        text: String,
    },
}

/// Replays a recording up to the first turn that differs.
///
/// # Errors
/// A file that cannot be read, and a line that is not one. The last line may be
/// cut off, as the agent may have been killed while it wrote.
pub fn replay(recording: impl BufRead) -> Result<Replay, ReplayError> {
    let mut found = Replay { turns: 0, differs: None, stopped: None };
    let mut player: Option<(Speaker, Digest)> = None;
    let mut cut_off: Option<ReplayError> = None;
    for (index, text) in recording.split(b'\n').enumerate() {
        let text = text?;
        if let Some(error) = cut_off.take() {
            return Err(error);
        }
        let wrong = |text: String| ReplayError::Line { line: index + 1, text };
        let line: Line<'_> = match serde_json::from_slice(&text) {
            Ok(line) => line,
            Err(error) => {
                cut_off = Some(wrong(error.to_string()));
                continue;
            }
        };
        let Some((speaker, digest)) = &mut player else {
            let Line::Start { format, seed, config, .. } = line else {
                return Err(wrong("a recording begins with `start`".to_owned()));
            };
            if format != FORMAT {
                return Err(wrong(format!("the format is {format}, and {FORMAT} is read")));
            }
            player = Some((Speaker::new(&config, seed), Digest::default()));
            continue;
        };
        let mut effects = Effects::default();
        match line {
            Line::Start { .. } => return Err(wrong("a second `start`".to_owned())),
            Line::Resume { forwarding, expected } => speaker.resume(forwarding, expected),
            Line::Suspend { at } => speaker.suspend(&mut effects, at),
            Line::Reconcile { at, config } => speaker.reconcile(*config, &mut effects, at),
            Line::Handle { at, event } => {
                event.tell(|event| speaker.handle(event, &mut effects, at)).map_err(wrong)?;
            }
            Line::Work { at } => drop(speaker.work(&mut effects, at)),
            Line::Shutdown { at, text } => speaker.shutdown(&text, &mut effects, at),
            Line::Turn { number, digest: recorded } => {
                if number != found.turns + 1 {
                    return Err(wrong(format!("turn {number} follows turn {}", found.turns)));
                }
                if std::mem::take(digest).to_string() != recorded {
                    found.differs = Some((number, index + 1));
                    return Ok(found);
                }
                found.turns = number;
            }
            Line::Stopped { reason } => found.stopped = Some(reason.into_owned()),
        }
        digest.add(&effects);
    }
    match (player, cut_off) {
        (None, Some(error)) => Err(error),
        (None, None) => Err(ReplayError::Line { line: 1, text: "the file is empty".to_owned() }),
        (Some(_), _) => Ok(found),
    }
}
