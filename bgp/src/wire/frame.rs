//! The message header and the framer (RFC 4271 §4.1 and §6.1).
//!
//! The framer takes a TCP stream in any pieces. It keeps the octets of one
//! unfinished message and no more; a message that lies whole in a chunk is
//! handed out where it lies. Length and type are checked as soon as the header
//! is whole, before anything of the body is kept.

use super::notification::Notification;

/// The octets of the header.
pub const HEADER_LEN: usize = 19;
/// The longest message (RFC 4271 §4.1).
pub const MAX_LEN: usize = 4096;

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

    const fn from_code(code: u8) -> Option<Self> {
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
    const fn admits(self, len: usize) -> bool {
        match self {
            Self::Open => len >= 29,
            Self::Update => len >= 23,
            Self::Notification => len >= 21,
            Self::Keepalive => len == HEADER_LEN,
            Self::RouteRefresh => true,
        }
    }
}

/// A whole message whose header was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message's type.
    pub kind: Kind,
    /// What follows the header.
    pub body: &'a [u8],
}

/// Cuts a stream of octets into messages.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    /// The start of an unfinished message, or the message that was handed out last.
    partial: Vec<u8>,
    handed_out: bool,
}

impl Framer {
    /// A framer at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { partial: Vec::new(), handed_out: false }
    }

    /// The next message, and `chunk` moved past it; `None` when the chunk is
    /// used up. Call it until it says so: what is left in `chunk` is not kept.
    ///
    /// # Errors
    /// The NOTIFICATION of RFC 4271 §6.1: 1/1 for the marker, 1/2 with the length,
    /// 1/3 with the type. The stream cannot be read any further.
    pub fn next<'s, 'c: 's>(&'s mut self, chunk: &mut &'c [u8]) -> Result<Option<Frame<'s>>, Notification> {
        if self.handed_out {
            // Given back, so that an idle peer costs nothing.
            self.partial = Vec::new();
            self.handed_out = false;
        }
        if self.partial.is_empty() {
            if let Some(header) = chunk.first_chunk() {
                let (kind, len) = check(header)?;
                if let Some((message, rest)) = chunk.split_at_checked(len) {
                    *chunk = rest;
                    return Ok(Some(Frame { kind, body: message.get(HEADER_LEN..).unwrap_or_default() }));
                }
            }
            self.partial.extend_from_slice(chunk);
            *chunk = &[];
            return Ok(None);
        }
        self.fill(HEADER_LEN, chunk);
        let Some(header) = self.partial.first_chunk() else { return Ok(None) };
        let (kind, len) = check(header)?;
        self.fill(len, chunk);
        if self.partial.len() < len {
            return Ok(None);
        }
        self.handed_out = true;
        Ok(Some(Frame { kind, body: self.partial.get(HEADER_LEN..).unwrap_or_default() }))
    }

    /// How many octets of an unfinished message are kept: less than [`MAX_LEN`].
    #[must_use]
    pub fn pending(&self) -> usize {
        if self.handed_out { 0 } else { self.partial.len() }
    }

    /// Moves octets of the chunk over until `len` are there.
    fn fill(&mut self, len: usize, chunk: &mut &[u8]) {
        let missing = len.saturating_sub(self.partial.len()).min(chunk.len());
        if let Some((taken, rest)) = chunk.split_at_checked(missing) {
            self.partial.extend_from_slice(taken);
            *chunk = rest;
        }
    }
}

/// Checks a header in the order of RFC 4271 §6.1.
fn check(header: &[u8; HEADER_LEN]) -> Result<(Kind, usize), Notification> {
    let [marker @ .., high, low, code] = header;
    if marker != &[0xff; 16] {
        return Err(Notification::not_synchronized());
    }
    let length = u16::from_be_bytes([*high, *low]);
    let len = usize::from(length);
    if !(HEADER_LEN..=MAX_LEN).contains(&len) {
        return Err(Notification::bad_message_length(length));
    }
    let kind = Kind::from_code(*code).ok_or_else(|| Notification::bad_message_type(*code))?;
    if !kind.admits(len) {
        return Err(Notification::bad_message_length(length));
    }
    Ok((kind, len))
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

/// How many whole messages lie in the bytes, as their lengths tell.
#[must_use]
pub fn count(mut bytes: &[u8]) -> u64 {
    let mut messages = 0;
    while let Some(len) = bytes.get(16..18) {
        let len = usize::from(u16::from_be_bytes([len[0], len[1]])).max(HEADER_LEN);
        let Some(rest) = bytes.get(len..) else { break };
        bytes = rest;
        messages += 1;
    }
    messages
}

/// Appends a KEEPALIVE (RFC 4271 §4.4).
pub fn encode_keepalive(out: &mut Vec<u8>) {
    let start = begin(out, Kind::Keepalive);
    finish(out, start);
}
