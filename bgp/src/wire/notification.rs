//! NOTIFICATION (RFC 4271 §4.5 and §6, RFC 4486, RFC 6608, RFC 9003).

/// An error code, a subcode and data, as one NOTIFICATION carries them. Every
/// protocol error of the speaker is one of these: what is detected is what is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("NOTIFICATION {code}/{subcode}")]
pub struct Notification {
    /// The error code.
    pub code: u8,
    /// The subcode; 0 where none is defined.
    pub subcode: u8,
    /// The data field.
    pub data: Vec<u8>,
}
