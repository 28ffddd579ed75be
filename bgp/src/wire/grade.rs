//! The grades of RFC 7606 and the problems that an UPDATE was found to have,
//! in words for the operator.

use core::fmt;

use super::attribute::PathAttributes;
use super::code;
use super::notification::UpdateError;

/// What a problem leads to (RFC 7606 §2), the stronger the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// The attribute is dropped, the routes stay.
    AttributeDiscard,
    /// The routes of the UPDATE are withdrawn.
    TreatAsWithdraw,
    /// The session ends.
    SessionReset,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttributeDiscard => "attribute-discard",
            Self::TreatAsWithdraw => "treat-as-withdraw",
            Self::SessionReset => "session-reset",
        })
    }
}

/// What is wrong with an attribute, before it is known in which message it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) grade: Grade,
    /// What RFC 4271 §6.3 calls it, should the session be reset for it.
    pub(super) error: UpdateError,
    pub(super) text: String,
    pub(super) section: &'static str,
}

impl Fault {
    pub(super) fn discard(error: UpdateError, section: &'static str, text: impl Into<String>) -> Self {
        Self { grade: Grade::AttributeDiscard, error, text: text.into(), section }
    }

    pub(super) fn withdraw(error: UpdateError, section: &'static str, text: impl Into<String>) -> Self {
        Self { grade: Grade::TreatAsWithdraw, error, text: text.into(), section }
    }

    pub(super) fn reset(error: UpdateError, section: &'static str, text: impl Into<String>) -> Self {
        Self { grade: Grade::SessionReset, error, text: text.into(), section }
    }
}

/// A problem with one attribute of an UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The attribute's type code.
    pub attribute: u8,
    /// What it leads to.
    pub grade: Grade,
    /// What is wrong, such as `length 3, not 4`.
    pub text: String,
    /// The RFC and section that say so.
    pub section: &'static str,
}

impl fmt::Display for Problem {
    /// `ORIGIN (1): value 7 is not defined: treat-as-withdraw (RFC 7606 7.1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attribute, grade, text, section } = self;
        write!(f, "{} ({attribute}): {text}: {grade} ({section})", code::name(*attribute))
    }
}

/// The attributes of an UPDATE and their problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graded {
    /// The attributes; `None` when the routes are to be treated as withdrawn.
    pub attributes: Option<PathAttributes>,
    /// The problems in the order in which they were found.
    pub problems: Vec<Problem>,
}
