//! The key that a peer and this node share (RFC 2385). Never printed.

use std::fmt;
use std::sync::Arc;

/// A key; clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Arc<[u8]>);

/// Why octets are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No key is what it would mean.
    #[error("is empty")]
    Empty,
    /// More than the kernel takes.
    #[error("is longer than {} octets", Password::MOST)]
    Long,
}

impl Password {
    /// The most octets that the kernel takes (TCP_MD5SIG_MAXKEYLEN).
    pub const MOST: usize = 80;

    /// A key of these octets.
    ///
    /// # Errors
    /// When there are none, or too many.
    pub fn new(octets: &[u8]) -> Result<Self, PasswordError> {
        match octets.len() {
            0 => Err(PasswordError::Empty),
            1..=Self::MOST => Ok(Self(octets.into())),
            _ => Err(PasswordError::Long),
        }
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}
