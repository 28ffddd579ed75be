//! The message header (RFC 4271 §4.1): types, lengths, and how it is written.

/// The octets of the header.
pub const HEADER_LEN: usize = 19;
/// The longest message (RFC 4271 §4.1).
pub const MAX_LEN: usize = 4096;
/// The longest message where that was negotiated, OPEN and KEEPALIVE excepted (RFC 8654 §4).
pub const MAX_EXTENDED_LEN: usize = 65_535;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// OPEN (RFC 4271 §4.2).
    Open,
    /// UPDATE (RFC 4271 §4.3).
    Update,
    /// NOTIFICATION (RFC 4271 §4.5).
    Notification,
    /// KEEPALIVE (RFC 4271 §4.4).
    Keepalive,
    /// ROUTE-REFRESH (RFC 2918 §3).
    RouteRefresh,
}

impl Kind {
    /// The Type octet.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// The message's name as the RFC writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Update => "UPDATE",
            Self::Notification => "NOTIFICATION",
            Self::Keepalive => "KEEPALIVE",
            Self::RouteRefresh => "ROUTE-REFRESH",
        }
    }

    /// Whether a message of this type may have the length (RFC 4271 §6.1). A
    /// ROUTE-REFRESH is judged by its subtype, which lies in the body (RFC 7313 §5).
    pub(super) const fn admits(self, len: usize) -> bool {
        match self {
            Self::Open => len >= 29 && len <= MAX_LEN,
            Self::Update => len >= 23,
            Self::Notification => len >= 21,
            Self::Keepalive => len == HEADER_LEN,
            Self::RouteRefresh => true,
        }
    }
}

/// The length that a message with this body has, as its header says it.
pub(super) fn length_of(body: &[u8]) -> u16 {
    u16::try_from(body.len().saturating_add(HEADER_LEN)).unwrap_or(u16::MAX)
}

/// Writes a header whose length is not known yet; [`finish`] fills it in.
pub(super) fn begin(out: &mut Vec<u8>, kind: Kind) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&[0, 0, kind.code()]);
    start
}

/// Fills in the length of the message that begins at `start`.
pub(super) fn finish(out: &mut [u8], start: usize) {
    let len = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    put_u16(out, start + 16, len);
}

/// Overwrites two octets that were reserved before.
pub(super) fn put_u16(out: &mut [u8], at: usize, value: u16) {
    if let Some(slot) = out.get_mut(at..at + 2) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
}

/// How many UPDATEs lie in the bytes of whole messages.
#[must_use]
pub fn count(mut bytes: &[u8]) -> u64 {
    let mut updates = 0;
    while let Some(len) = bytes.get(16..18) {
        let len = usize::from(u16::from_be_bytes([len[0], len[1]])).max(HEADER_LEN);
        updates += u64::from(bytes.get(18) == Some(&Kind::Update.code()));
        let Some(rest) = bytes.get(len..) else { break };
        bytes = rest;
    }
    updates
}

/// Appends a KEEPALIVE (RFC 4271 §4.4).
pub fn encode_keepalive(out: &mut Vec<u8>) {
    let start = begin(out, Kind::Keepalive);
    finish(out, start);
}
