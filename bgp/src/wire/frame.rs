//! The framer (RFC 4271 §6.1): a stream of octets cut into messages.
//!
//! The framer takes a TCP stream in any pieces. It keeps the octets of one
//! unfinished message and no more; a message that lies whole in a chunk is
//! handed out where it lies. Length and type are checked as soon as the header
//! is whole, before anything of the body is kept.

pub use super::header::{HEADER_LEN, Kind, MAX_EXTENDED_LEN, MAX_LEN, count, encode_keepalive};
use super::notification::Notification;

/// The octets of the marker (RFC 4271 §4.1).
const MARKER_LEN: usize = 16;

/// A whole message whose header was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message's type.
    pub kind: Kind,
    /// What follows the header.
    pub body: &'a [u8],
}

/// Cuts a stream of octets into messages.
#[derive(Clone, Debug)]
pub struct Framer {
    /// The longest message that is taken.
    longest: usize,
    /// The start of an unfinished message, or the message that was handed out last.
    partial: Vec<u8>,
    handed_out: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// A framer at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { longest: MAX_LEN, partial: Vec::new(), handed_out: false }
    }

    /// Messages of up to [`MAX_EXTENDED_LEN`] octets come from here on (RFC 8654 §4).
    pub const fn extend(&mut self) {
        self.longest = MAX_EXTENDED_LEN;
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
                let (kind, len) = check(header, self.longest)?;
                if let Some((message, rest)) = chunk.split_at_checked(len) {
                    *chunk = rest;
                    return Ok(Some(Frame { kind, body: message.get(HEADER_LEN..).unwrap_or_default() }));
                }
            }
            self.partial.extend_from_slice(chunk);
            *chunk = &[];
            return synchronized(&self.partial).map(|()| None);
        }
        self.fill(HEADER_LEN, chunk);
        let Some(header) = self.partial.first_chunk() else {
            return synchronized(&self.partial).map(|()| None);
        };
        let (kind, len) = check(header, self.longest)?;
        self.fill(len, chunk);
        if self.partial.len() < len {
            return Ok(None);
        }
        self.handed_out = true;
        Ok(Some(Frame { kind, body: self.partial.get(HEADER_LEN..).unwrap_or_default() }))
    }

    /// How many octets of an unfinished message are kept: less than
    /// [`MAX_LEN`], or than [`MAX_EXTENDED_LEN`] once [extended](Framer::extend).
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

/// Checks as much of a marker as there is (RFC 4271 §6.1): who speaks another
/// protocol, and less of it than a header is long, is told at once.
fn synchronized(start: &[u8]) -> Result<(), Notification> {
    if start.iter().take(MARKER_LEN).all(|octet| *octet == 0xff) {
        Ok(())
    } else {
        Err(Notification::not_synchronized())
    }
}

/// Checks a header in the order of RFC 4271 §6.1.
fn check(header: &[u8; HEADER_LEN], longest: usize) -> Result<(Kind, usize), Notification> {
    let [.., high, low, code] = header;
    synchronized(header)?;
    let length = u16::from_be_bytes([*high, *low]);
    let len = usize::from(length);
    if !(HEADER_LEN..=longest).contains(&len) {
        return Err(Notification::bad_message_length(length));
    }
    let kind = Kind::from_code(*code).ok_or_else(|| Notification::bad_message_type(*code))?;
    if !kind.admits(len) {
        return Err(Notification::bad_message_length(length));
    }
    Ok((kind, len))
}
