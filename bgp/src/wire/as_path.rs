//! AS_PATH (RFC 4271 §4.3 b, RFC 6793).

use core::fmt;

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

/// The ASes that a path went through, the nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath {
    /// The segments, the nearest first.
    pub segments: Vec<Segment>,
}

impl AsPath {
    /// The number of ASes as the decision counts them: a set is one (RFC 4271 §9.1.2.2 a).
    #[must_use]
    pub fn hops(&self) -> usize {
        let count = |segment: &Segment| match segment.kind {
            SegmentKind::Set => 1,
            SegmentKind::Sequence => segment.asns.len(),
        };
        self.segments.iter().map(count).sum()
    }

    /// Whether the AS is anywhere in the path.
    #[must_use]
    pub fn contains(&self, asn: Asn) -> bool {
        self.segments.iter().any(|segment| segment.asns.contains(&asn))
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
        let mut segments = self.segments.clone();
        match segments.first_mut() {
            Some(first) if first.kind == SegmentKind::Sequence => {
                first.asns.splice(0..0, core::iter::repeat_n(asn, times));
            }
            _ if times == 0 => {}
            _ => segments.insert(0, Segment { kind: SegmentKind::Sequence, asns: vec![asn; times] }),
        }
        Self { segments }
    }
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
