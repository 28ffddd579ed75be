//! Forms of an AS_PATH, written as routers with masks write them:
//!
//! ```text
//!  (nothing)         the empty path: it starts in the own AS
//!  65001             this AS alone
//!  65001 *           starts with it: the neighbour
//!  * 65001           originated by it
//!  * 65001 *         goes through it
//!  ? ?               two ASes, whichever
//!  64512..65534 *    a neighbour with a private AS
//! ```
//!
//! An AS_SET takes one place and is met by each of its ASes.

use core::fmt;
use core::str::FromStr;

use smallvec::SmallVec;

use crate::id::Asn;
use crate::wire::as_path::{AsPath, SegmentKind};

/// More steps than any sensible pattern; with the bound of a message on the
/// path's length this bounds the work.
const MOST_STEPS: usize = 32;

/// One place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Step {
    /// Any number of ASes, also none.
    Many,
    /// One AS, at least the first and at most the second.
    One(u32, u32),
}

impl Step {
    fn meets(self, asns: &[Asn]) -> bool {
        match self {
            Self::Many => true,
            Self::One(least, most) => asns.iter().any(|asn| (least..=most).contains(&asn.0)),
        }
    }
}

/// The form of an AS_PATH; without steps, the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PathPattern(Vec<Step>);

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A part that is none of those.
    #[error("`{0}` is neither an AS number, a range such as 64512..65534, ? nor *")]
    Part(String),
    /// Too many parts.
    #[error("a pattern has at most {MOST_STEPS} parts")]
    Length,
}

impl PathPattern {
    /// Whether the path is of this form, in at most steps times path length.
    #[must_use]
    pub fn matches(&self, path: &AsPath) -> bool {
        let places = places(path);
        let (mut step, mut place) = (0, 0);
        // Behind the last `*`: where the pattern goes on, and from which place on it was tried.
        let mut fallback: Option<(usize, usize)> = None;
        loop {
            match self.0.get(step) {
                Some(Step::Many) => {
                    step += 1;
                    fallback = Some((step, place));
                    continue;
                }
                Some(one) if places.get(place).is_some_and(|asns| one.meets(asns)) => {
                    step += 1;
                    place += 1;
                    continue;
                }
                None if place == places.len() => return true,
                _ => {}
            }
            match fallback {
                Some((behind, from)) if from < places.len() => {
                    (step, place) = (behind, from + 1);
                    fallback = Some((behind, from + 1));
                }
                _ => return false,
            }
        }
    }
}

/// The ASes at each place of a path.
fn places(path: &AsPath) -> SmallVec<[&[Asn]; 16]> {
    let mut places = SmallVec::new();
    for segment in &path.segments {
        match segment.kind {
            SegmentKind::Sequence => places.extend(segment.asns.chunks(1)),
            SegmentKind::Set => places.push(&segment.asns[..]),
        }
    }
    places
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let step = |part: &str| {
            let asn = |text: &str| text.parse::<u32>().ok();
            match part {
                "*" => Some(Step::Many),
                "?" => Some(Step::One(0, u32::MAX)),
                _ => match part.split_once("..") {
                    Some((least, most)) => {
                        let (least, most) = (asn(least)?, asn(most)?);
                        (least <= most).then_some(Step::One(least, most))
                    }
                    None => asn(part).map(|asn| Step::One(asn, asn)),
                },
            }
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        if parts.len() > MOST_STEPS {
            return Err(PatternError::Length);
        }
        let steps = parts.into_iter().map(|part| step(part).ok_or_else(|| PatternError::Part(part.into())));
        Ok(Self(steps.collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            match *step {
                Step::Many => write!(f, "{separator}*")?,
                Step::One(0, u32::MAX) => write!(f, "{separator}?")?,
                Step::One(least, most) if least == most => write!(f, "{separator}{least}")?,
                Step::One(least, most) => write!(f, "{separator}{least}..{most}")?,
            }
        }
        Ok(())
    }
}
