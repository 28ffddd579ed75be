//! What is said of a host.

use serde::Serialize;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and could do better or may not last.
    Warning,
    /// It does not work, or will not.
    Bad,
    /// It cannot be told.
    Unknown,
}

impl State {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it stands.
    pub state: State,
    /// The check's word.
    pub check: &'static str,
    /// What it is about, such as an interface or a file; empty for the host as a whole.
    pub subject: String,
    /// What was found, for people.
    pub found: String,
    /// How to mend it; empty where nothing has to be.
    pub remedy: String,
}

/// Collects findings.
#[derive(Debug, Default)]
pub struct Report(Vec<Finding>);

impl Report {
    /// Something is as it should be.
    pub(super) fn ok(&mut self, check: &'static str, subject: &str, found: impl Into<String>) {
        self.put(State::Ok, check, subject, found.into(), String::new());
    }

    /// Something could be better.
    pub(super) fn warning(
        &mut self,
        check: &'static str,
        subject: &str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.put(State::Warning, check, subject, found.into(), remedy.into());
    }

    /// Something does not work.
    pub(super) fn bad(
        &mut self,
        check: &'static str,
        subject: &str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.put(State::Bad, check, subject, found.into(), remedy.into());
    }

    /// Something cannot be told.
    pub(super) fn unknown(&mut self, check: &'static str, why: &str) {
        self.put(State::Unknown, check, "", why.to_owned(), String::new());
    }

    /// Says that all is well with a check of which nothing else was said.
    pub(super) fn else_ok(&mut self, check: &'static str, found: &str) {
        if self.0.iter().all(|finding| finding.check != check) {
            self.ok(check, "", found);
        }
    }

    /// Everything that was found, in the order of the checks.
    pub(super) fn findings(self) -> Vec<Finding> {
        self.0
    }

    fn put(&mut self, state: State, check: &'static str, subject: &str, found: String, remedy: String) {
        self.0.push(Finding { state, check, subject: subject.to_owned(), found, remedy });
    }
}
