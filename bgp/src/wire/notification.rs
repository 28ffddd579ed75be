//! NOTIFICATION (RFC 4271 §4.5 and §6, RFC 4486, RFC 6608, RFC 9003).
//!
//! Each error that the speaker can send has a constructor here, which sets the
//! data field as the RFC asks. The words are in a file beside.

use core::fmt;

use super::cursor::Cursor;
use super::header::{self, Kind};
use super::word;

/// The longest data field that fits into a message.
const MAX_DATA: usize = header::MAX_LEN - header::HEADER_LEN - 2;
/// The longest shutdown text in octets (RFC 9003 §2).
const MAX_TEXT: usize = 255;
/// The code of Cease.
const CEASE: u8 = 6;

/// An error code, a subcode and data, as one NOTIFICATION carries them. Every
/// protocol error of the speaker is one of these: what is detected is what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The error code.
    pub code: u8,
    /// The subcode; 0 where none is defined.
    pub subcode: u8,
    /// The data field.
    pub data: Vec<u8>,
}

impl std::error::Error for Notification {}

/// The subcodes of Cease (RFC 4486 §3, RFC 8538 §3.1, RFC 9384).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cease {
    /// More prefixes than the limit.
    MaximumPrefixes = 1,
    /// The operator shut the session down.
    AdministrativeShutdown = 2,
    /// The peer is not configured any more.
    PeerDeconfigured = 3,
    /// The operator restarts the session.
    AdministrativeReset = 4,
    /// The connection is not wanted.
    ConnectionRejected = 5,
    /// The configuration changed.
    OtherConfigurationChange = 6,
    /// Another connection with the same peer is kept (RFC 4271 §6.8).
    ConnectionCollision = 7,
    /// Memory or the like has run out.
    OutOfResources = 8,
    /// No graceful restart for this one (RFC 8538).
    HardReset = 9,
    /// BFD says that the peer is gone (RFC 9384).
    BfdDown = 10,
}

/// The state in which a message was not expected (RFC 6608 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Unexpected {
    /// In OpenSent.
    InOpenSent = 1,
    /// In OpenConfirm.
    InOpenConfirm = 2,
    /// In Established.
    InEstablished = 3,
}

/// What is wrong with an UPDATE (RFC 4271 §6.3), and what the data field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum UpdateError {
    /// No data.
    MalformedAttributeList = 1,
    /// The attribute.
    UnrecognizedWellKnownAttribute = 2,
    /// The type code of the attribute.
    MissingWellKnownAttribute = 3,
    /// The attribute.
    AttributeFlags = 4,
    /// The attribute.
    AttributeLength = 5,
    /// The attribute.
    InvalidOrigin = 6,
    /// The attribute.
    InvalidNextHop = 8,
    /// The attribute.
    OptionalAttribute = 9,
    /// No data.
    InvalidNetworkField = 10,
    /// No data.
    MalformedAsPath = 11,
}

impl Notification {
    const fn bare(code: u8, subcode: u8) -> Self {
        Self { code, subcode, data: Vec::new() }
    }

    fn with(code: u8, subcode: u8, data: &[u8]) -> Self {
        Self { code, subcode, data: data.get(..MAX_DATA).unwrap_or(data).to_vec() }
    }

    /// 1/1: the marker is not all ones (RFC 4271 §6.1).
    #[must_use]
    pub const fn not_synchronized() -> Self {
        Self::bare(1, 1)
    }

    /// 1/2 with the erroneous length (RFC 4271 §6.1).
    #[must_use]
    pub fn bad_message_length(length: u16) -> Self {
        Self::with(1, 2, &length.to_be_bytes())
    }

    /// 1/3 with the erroneous type (RFC 4271 §6.1).
    #[must_use]
    pub fn bad_message_type(code: u8) -> Self {
        Self::with(1, 3, &[code])
    }

    /// 2/0: an optional parameter is recognized but malformed (RFC 4271 §6.2).
    #[must_use]
    pub const fn malformed_open() -> Self {
        Self::bare(2, 0)
    }

    /// 2/1 with the version that we speak (RFC 4271 §6.2).
    #[must_use]
    pub fn unsupported_version() -> Self {
        Self::with(2, 1, &[0, 4])
    }

    /// 2/11: the roles of the two speakers do not go together (RFC 9234 §4.2).
    #[must_use]
    pub const fn role_mismatch() -> Self {
        Self::bare(2, 11)
    }

    /// 2/2: another AS than expected, or AS 0 (RFC 4271 §6.2, RFC 7607 §2).
    #[must_use]
    pub const fn bad_peer_as() -> Self {
        Self::bare(2, 2)
    }

    /// 2/3: a BGP Identifier of zero, or our own from an internal peer (RFC 6286 §2.2).
    #[must_use]
    pub const fn bad_bgp_identifier() -> Self {
        Self::bare(2, 3)
    }

    /// 2/4 (RFC 4271 §6.2).
    #[must_use]
    pub const fn unsupported_optional_parameter() -> Self {
        Self::bare(2, 4)
    }

    /// 2/6: a hold time of one or two seconds (RFC 4271 §6.2).
    #[must_use]
    pub const fn unacceptable_hold_time() -> Self {
        Self::bare(2, 6)
    }

    /// 2/7 with the capabilities that the peer must have, as an OPEN encodes them (RFC 5492 §5).
    #[must_use]
    pub fn unsupported_capability(capabilities: &[u8]) -> Self {
        Self::with(2, 7, capabilities)
    }

    /// 3/x with the data that goes with it (RFC 4271 §6.3): `attribute` is the
    /// attribute as it lies in the message, or the type code of one that is missing.
    #[must_use]
    pub fn update(error: UpdateError, attribute: &[u8]) -> Self {
        match error {
            UpdateError::MalformedAttributeList
            | UpdateError::InvalidNetworkField
            | UpdateError::MalformedAsPath => Self::bare(3, error as u8),
            _ => Self::with(3, error as u8, attribute),
        }
    }

    /// 4/0 (RFC 4271 §6.5).
    #[must_use]
    pub const fn hold_timer_expired() -> Self {
        Self::bare(4, 0)
    }

    /// 5/x with the type of the message (RFC 6608 §3 and §4).
    #[must_use]
    pub fn unexpected_message(state: Unexpected, kind: Kind) -> Self {
        Self::with(5, state as u8, &[kind.code()])
    }

    /// 5/0: an event, not a message, that the state does not expect (RFC 4271 §6.6).
    #[must_use]
    pub const fn fsm_error() -> Self {
        Self::bare(5, 0)
    }

    /// 6/x without data (RFC 4486 §4).
    #[must_use]
    pub const fn cease(subcode: Cease) -> Self {
        Self::bare(CEASE, subcode as u8)
    }

    /// Whether it is Cease with that subcode.
    #[must_use]
    pub const fn is_cease(&self, subcode: Cease) -> bool {
        self.code == CEASE && self.subcode == subcode as u8
    }

    /// 6/1 with family and limit (RFC 4486 §4).
    #[must_use]
    pub fn maximum_prefixes(afi: u16, safi: u8, limit: u32) -> Self {
        let [a, b] = afi.to_be_bytes();
        let [c, d, e, f] = limit.to_be_bytes();
        Self::with(CEASE, Cease::MaximumPrefixes as u8, &[a, b, safi, c, d, e, f])
    }

    /// 6/2 with a text for the other side's operator, cut to 255 octets between
    /// two characters (RFC 9003 §2).
    #[must_use]
    pub fn administrative_shutdown(text: &str) -> Self {
        Self::with_text(Cease::AdministrativeShutdown, text)
    }

    /// 6/4 with a text as in [`Notification::administrative_shutdown`].
    #[must_use]
    pub fn administrative_reset(text: &str) -> Self {
        Self::with_text(Cease::AdministrativeReset, text)
    }

    fn with_text(subcode: Cease, text: &str) -> Self {
        let text = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
        let mut data = vec![u8::try_from(text.len()).unwrap_or(0)];
        data.extend_from_slice(text.as_bytes());
        Self { code: CEASE, subcode: subcode as u8, data }
    }

    /// 6/9 with the code, the subcode and the data of what it stands for (RFC 8538 §3.1).
    #[must_use]
    pub fn hard_reset(inner: &Self) -> Self {
        let mut data = vec![inner.code, inner.subcode];
        data.extend_from_slice(&inner.data);
        Self::with(CEASE, Cease::HardReset as u8, &data)
    }

    /// What a Hard Reset stands for (RFC 8538 §3.1).
    #[must_use]
    pub fn inner(&self) -> Option<Self> {
        match self.data.as_slice() {
            [code, subcode, data @ ..] if (self.code, self.subcode) == (CEASE, Cease::HardReset as u8) => {
                Some(Self { code: *code, subcode: *subcode, data: data.to_vec() })
            }
            _ => None,
        }
    }

    /// 7/1 with the whole message (RFC 7313 §5).
    #[must_use]
    pub fn bad_refresh_length(message: &[u8]) -> Self {
        Self::with(7, 1, message)
    }

    /// 8/0: the peer has not read for the send hold time (RFC 9687 §4).
    #[must_use]
    pub const fn send_hold_timer_expired() -> Self {
        Self::bare(8, 0)
    }

    /// The text of an administrative shutdown or reset; `None` where there is
    /// none, or none that is UTF-8 of the length it says (RFC 9003 §2).
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let shutdown = Cease::AdministrativeShutdown as u8;
        let reset = Cease::AdministrativeReset as u8;
        if self.code != CEASE || (self.subcode != shutdown && self.subcode != reset) {
            return None;
        }
        let (&len, text) = self.data.split_first()?;
        let text = core::str::from_utf8(text).ok()?;
        (len > 0 && usize::from(len) == text.len()).then_some(text)
    }

    /// The name of the code, and of the subcode where it has one.
    #[must_use]
    pub const fn words(&self) -> (&'static str, Option<&'static str>) {
        (word::code(self.code), word::subcode(self.code, self.subcode))
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = header::begin(out, Kind::Notification);
        out.extend_from_slice(&[self.code, self.subcode]);
        out.extend_from_slice(self.data.get(..MAX_DATA).unwrap_or(&self.data));
        header::finish(out, start);
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// 1/2 for a body without code and subcode. A NOTIFICATION is never answered
    /// by another (RFC 4271 §6.4): this one is for the log.
    pub fn decode(body: &[u8]) -> Result<Self, Self> {
        let mut cursor = Cursor::new(body);
        match (cursor.u8(), cursor.u8()) {
            (Some(code), Some(subcode)) => Ok(Self { code, subcode, data: cursor.rest().to_vec() }),
            _ => Err(Self::bad_message_length(header::length_of(body))),
        }
    }
}

/// How many octets of data are shown.
const SHOWN: usize = 64;

impl fmt::Display for Notification {
    /// `Cease/Administrative Shutdown (6/2): "maintenance"`, or with the data in hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, subcode) = self.words();
        f.write_str(code)?;
        if let Some(subcode) = subcode {
            write!(f, "/{subcode}")?;
        }
        write!(f, " ({}/{})", self.code, self.subcode)?;
        if let Some(text) = self.text() {
            // Escaped: the text is the peer's and goes to a terminal.
            return write!(f, ": \"{}\"", text.escape_debug());
        }
        // One level: what a Hard Reset in a Hard Reset stands for is shown as it lies.
        if let Some(inner) = self.inner().filter(|inner| inner.inner().is_none()) {
            return write!(f, ": {inner}");
        }
        for (index, octet) in self.data.iter().take(SHOWN).enumerate() {
            write!(f, "{}{octet:02x}", if index == 0 { ", data " } else { " " })?;
        }
        match self.data.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, " and {more} octets more"),
            _ => Ok(()),
        }
    }
}
