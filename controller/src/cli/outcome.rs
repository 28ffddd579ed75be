//! The end of a verb: what goes to stdout, what to stderr, the exit code.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::client::Asked;
use super::failure::{Exit, Failure};
use super::options::Options;
use super::render::text::printable;
use super::render::{Format, Render, Style, render};

/// What a verb found out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The data.
    pub stdout: String,
    /// What is said beside it.
    pub stderr: String,
    /// How it ended.
    pub exit: Exit,
}

impl Outcome {
    /// The outcome of a question to each of the named agents: `answers` holds
    /// what `answered` agents said, `failures` what went wrong.
    ///
    /// With answers from all, the exit code is the first failure's, if there is
    /// one; with answers from some, 1; with answers from none, the one that
    /// they share, else 1.
    #[must_use]
    pub fn of(
        answers: &impl Render,
        answered: usize,
        asked: &Asked,
        failures: &[Failure],
        options: &Options,
    ) -> Self {
        let mut outcome = Self::default();
        if answered > 0 {
            let style = Style::new(options.output, colour());
            match render(answers, options.output, style, asked.is_list) {
                Ok(text) => outcome.stdout = text,
                Err(error) => {
                    let failure = Failure::new(Exit::Failed, error.to_string());
                    return Self { stderr: failure.line(options.output), exit: Exit::Failed, ..outcome };
                }
            }
        }
        if let Some(hint) = &asked.hint {
            outcome.hint(hint, options);
        }
        outcome.stderr.extend(failures.iter().map(|failure| failure.line(options.output)));
        if answered < asked.agents && asked.is_list {
            outcome.hint(&format!("{answered} of {} agents answered", asked.agents), options);
        }
        outcome.exit = match failures {
            [] => Exit::Done,
            [first, rest @ ..] => {
                let partial = answered > 0 && answered < asked.agents;
                let mixed = rest.iter().any(|failure| failure.exit != first.exit);
                if partial || mixed { Exit::Failed } else { first.exit }
            }
        };
        outcome
    }

    /// The outcome where nobody could be asked.
    #[must_use]
    pub fn failed(failure: &Failure, options: &Options) -> Self {
        Self { stderr: failure.line(options.output), exit: failure.exit, ..Self::default() }
    }

    /// Adds a hint for people; a program gets none.
    pub fn hint(&mut self, hint: &str, options: &Options) {
        if !options.output.is_structured() {
            self.stderr += &format!("{}\n", printable(hint));
        }
    }

    /// Writes out a part of data of which more is to come.
    ///
    /// # Errors
    /// The exit code to end with when the reader went away, or cannot be written to.
    pub fn put(text: &str) -> Result<(), Exit> {
        write(&mut io::stdout().lock(), text).map_err(|error| Self::default().unwritten(&error))
    }

    /// Writes it out. A reader that went away ends the program quietly.
    #[must_use]
    pub fn write(&self) -> Exit {
        let written = write(&mut io::stdout().lock(), &self.stdout);
        // Where stderr cannot be written to there is nobody to tell.
        let _ = write(&mut io::stderr().lock(), &self.stderr);
        match written {
            Ok(()) => self.exit,
            Err(error) => self.unwritten(&error),
        }
    }

    fn unwritten(&self, error: &io::Error) -> Exit {
        if error.kind() == ErrorKind::BrokenPipe {
            return self.exit;
        }
        let failure = Failure::new(Exit::Failed, format!("stdout: {error}"));
        let _ = write(&mut io::stderr().lock(), &failure.line(Format::Table));
        Exit::Failed
    }
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Whether STATE is coloured: on a terminal, unless `NO_COLOR` says otherwise.
pub(super) fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
