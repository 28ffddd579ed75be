//! AS_PATH and AS4_PATH (RFC 4271 §4.3 b and §5.1.2, RFC 6793).

use core::fmt;

use super::cursor::Cursor;
use crate::id::Asn;

/// The kind of a path segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// Unordered, from aggregation; counts as one.
    Set,
    /// In the order of travel, the nearest first.
    Sequence,
}

/// One segment; 1 to 255 ASes on the wire, longer ones are split when encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The segment's kind.
    pub kind: SegmentKind,
    /// The ASes, never empty.
    pub asns: Vec<Asn>,
}

impl Segment {
    /// The number of ASes as the decision counts them (RFC 4271 §9.1.2.2 a).
    const fn hops(&self) -> usize {
        match self.kind {
            SegmentKind::Set => 1,
            SegmentKind::Sequence => self.asns.len(),
        }
    }
}

/// The ASes that a path went through, the nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath {
    /// The segments, the nearest first.
    pub segments: Vec<Segment>,
}

/// Why octets are not an AS_PATH (RFC 7606 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsPathError {
    /// Neither a set nor a sequence.
    #[error("segment type {0} is not defined")]
    Kind(u8),
    /// A segment of a confederation, which ends at its border (RFC 5065 §5).
    #[error("confederation segment from a peer outside of a confederation")]
    Confederation,
    /// A segment without ASes.
    #[error("empty segment")]
    Empty,
    /// A segment is longer than what is left.
    #[error("segment beyond the end of the attribute")]
    Overrun,
    /// One octet is left after the last segment.
    #[error("an octet after the last segment")]
    Underrun,
    /// AS 0 (RFC 7607 §2).
    #[error("AS 0 in the path")]
    Zero,
}

const SET: u8 = 1;
const SEQUENCE: u8 = 2;
const CONFED_SEQUENCE: u8 = 3;
const CONFED_SET: u8 = 4;

impl AsPath {
    /// The number of ASes as the decision counts them: a set is one (RFC 4271 §9.1.2.2 a).
    #[must_use]
    pub fn hops(&self) -> usize {
        self.segments.iter().map(Segment::hops).sum()
    }

    /// Whether the AS is anywhere in the path.
    #[must_use]
    pub fn contains(&self, asn: Asn) -> bool {
        self.segments.iter().any(|segment| segment.asns.contains(&asn))
    }

    /// How often the AS is in the path.
    #[must_use]
    pub fn occurrences(&self, asn: Asn) -> usize {
        self.segments.iter().flat_map(|segment| &segment.asns).filter(|it| **it == asn).count()
    }

    /// The path with each `old` replaced by `new`.
    #[must_use]
    pub fn replaced(mut self, old: Asn, new: Asn) -> Self {
        for asn in self.segments.iter_mut().flat_map(|segment| &mut segment.asns) {
            if *asn == old {
                *asn = new;
            }
        }
        self
    }

    /// The path without ASes for private use (RFC 6996), `kept` excepted.
    #[must_use]
    pub fn without_private(mut self, kept: Asn) -> Self {
        for segment in &mut self.segments {
            segment.asns.retain(|asn| !asn.is_private() || *asn == kept);
        }
        self.segments.retain(|segment| !segment.asns.is_empty());
        self
    }

    /// The neighbouring AS: the first of a leading sequence (RFC 4271 §9.1.2.2 c).
    #[must_use]
    pub fn neighbor(&self) -> Option<Asn> {
        let first = self.segments.first()?;
        (first.kind == SegmentKind::Sequence).then(|| first.asns.first().copied()).flatten()
    }

    /// The path with `asn` put before it `times` times (RFC 4271 §5.1.2 b).
    #[must_use]
    pub fn prepended(&self, asn: Asn, times: usize) -> Self {
        self.clone().with(asn, times)
    }

    /// [`AsPath::prepended`] of a path that is needed no longer as it was.
    #[must_use]
    pub fn with(mut self, asn: Asn, times: usize) -> Self {
        match self.segments.first_mut() {
            Some(first) if first.kind == SegmentKind::Sequence => {
                first.asns.splice(0..0, core::iter::repeat_n(asn, times));
            }
            _ if times == 0 => {}
            _ => self.segments.insert(0, Segment { kind: SegmentKind::Sequence, asns: vec![asn; times] }),
        }
        self
    }

    /// Whether an AS does not fit in two octets.
    #[must_use]
    pub fn needs_four_octets(&self) -> bool {
        self.segments.iter().flat_map(|segment| &segment.asns).any(|asn| !asn.is_two_octet())
    }

    /// Reads the value of an AS_PATH with ASes of four or of two octets.
    ///
    /// # Errors
    /// What is wrong (RFC 7606 §7.2, RFC 7607 §2, RFC 5065 §5).
    pub fn decode(value: &[u8], four_octet: bool) -> Result<Self, AsPathError> {
        Self::read(value, four_octet, Confederation::Refused).map(|(path, _)| path)
    }

    /// Reads the value of an AS4_PATH; segments of a confederation are left out,
    /// and whether there were any is told (RFC 6793 §6).
    ///
    /// # Errors
    /// What is wrong.
    pub fn decode_as4(value: &[u8]) -> Result<(Self, bool), AsPathError> {
        Self::read(value, true, Confederation::Skipped)
    }

    fn read(
        value: &[u8],
        four_octet: bool,
        confederation: Confederation,
    ) -> Result<(Self, bool), AsPathError> {
        let mut cursor = Cursor::new(value);
        let mut skipped = false;
        let mut segments = Vec::with_capacity(1);
        while let Some(code) = cursor.u8() {
            let count = cursor.u8().ok_or(AsPathError::Underrun)?;
            let width = if four_octet { 4 } else { 2 };
            let kind = match (code, confederation) {
                (SET, _) => Some(SegmentKind::Set),
                (SEQUENCE, _) => Some(SegmentKind::Sequence),
                (CONFED_SEQUENCE | CONFED_SET, Confederation::Skipped) => None,
                (CONFED_SEQUENCE | CONFED_SET, Confederation::Refused) => {
                    return Err(AsPathError::Confederation);
                }
                _ => return Err(AsPathError::Kind(code)),
            };
            if count == 0 {
                return Err(AsPathError::Empty);
            }
            let octets = cursor.take(usize::from(count) * width).ok_or(AsPathError::Overrun)?;
            let asns: Vec<Asn> = octets.chunks_exact(width).map(number).collect();
            // RFC 7607 §2.
            if asns.contains(&Asn(0)) {
                return Err(AsPathError::Zero);
            }
            match kind {
                Some(kind) => segments.push(Segment { kind, asns }),
                None => skipped = true,
            }
        }
        Ok((Self { segments }, skipped))
    }

    /// Appends the value of an AS_PATH; towards a speaker of two octets an AS
    /// that does not fit is AS_TRANS (RFC 6793 §4.2.2).
    pub fn encode(&self, four_octet: bool, out: &mut Vec<u8>) {
        for segment in &self.segments {
            let kind = match segment.kind {
                SegmentKind::Set => SET,
                SegmentKind::Sequence => SEQUENCE,
            };
            for asns in segment.asns.chunks(usize::from(u8::MAX)) {
                out.extend_from_slice(&[kind, u8::try_from(asns.len()).unwrap_or(u8::MAX)]);
                for asn in asns {
                    if four_octet {
                        out.extend_from_slice(&asn.0.to_be_bytes());
                    } else {
                        let asn = u16::try_from(asn.0).unwrap_or(Asn::TRANS.0 as u16);
                        out.extend_from_slice(&asn.to_be_bytes());
                    }
                }
            }
        }
    }

    /// This AS_PATH of a speaker of two octets made whole by the AS4_PATH beside
    /// it (RFC 6793 §4.2.3): the leading ASes that AS4_PATH lacks go before it;
    /// an AS4_PATH longer than the AS_PATH is ignored.
    #[must_use]
    pub fn merged(self, as4_path: Self) -> Self {
        let Some(mut missing) = self.hops().checked_sub(as4_path.hops()) else { return self };
        let mut segments = Vec::with_capacity(1);
        for mut segment in self.segments {
            if missing == 0 {
                break;
            }
            if segment.kind == SegmentKind::Sequence {
                segment.asns.truncate(missing);
            }
            missing -= segment.hops();
            segments.push(segment);
        }
        let mut rest = as4_path.segments.into_iter();
        // A sequence that was cut in two is one sequence again.
        if let Some(next) = rest.next() {
            match segments.last_mut() {
                Some(last)
                    if last.kind == SegmentKind::Sequence
                        && next.kind == SegmentKind::Sequence
                        && last.asns.len() + next.asns.len() <= usize::from(u8::MAX) =>
                {
                    last.asns.extend(next.asns);
                }
                _ => segments.push(next),
            }
        }
        segments.extend(rest);
        Self { segments }
    }
}

/// What becomes of segments of a confederation.
#[derive(Clone, Copy)]
enum Confederation {
    Refused,
    Skipped,
}

/// The AS of two or four octets.
fn number(octets: &[u8]) -> Asn {
    Asn(octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}

impl fmt::Display for AsPath {
    /// `65000 65001 {65010 65011}`; nothing for an empty path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            let asns: Vec<String> = segment.asns.iter().map(Asn::to_string).collect();
            let separator = if index == 0 { "" } else { " " };
            match segment.kind {
                SegmentKind::Sequence => write!(f, "{separator}{}", asns.join(" "))?,
                SegmentKind::Set => write!(f, "{separator}{{{}}}", asns.join(" "))?,
            }
        }
        Ok(())
    }
}
