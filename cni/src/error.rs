//! Errors as the CNI specification writes them: a code, a message, details.
//!
//! Owns the code numbers. An error here is always an answer to a runtime, so its
//! message names the variable, the field or the object at fault.

use std::{fmt, io};

use serde_json::{Value, json};

use crate::version::Version;

/// Error codes: below 100 those of the specification ("Error", section 5.1), from 100 our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// The requested `cniVersion`, or the verb in that version, is not supported.
    Version = 1,
    /// A field of the configuration is not supported.
    Unsupported = 2,
    /// No reservation for this container.
    UnknownContainer = 3,
    /// An environment variable is missing or invalid.
    Environment = 4,
    /// A file, a socket or the kernel failed.
    Io = 5,
    /// The configuration is not JSON.
    Decode = 6,
    /// The configuration contradicts itself or the specification.
    Config = 7,
    /// `CNI_NETNS` is not a network namespace, or is the plugin's own.
    Namespace = 8,
    /// May work later: no address is free.
    TryAgain = 11,
    /// STATUS: an ADD would fail.
    NotAvailable = 50,
    /// STATUS: an ADD would fail, and existing containers have limited connectivity.
    Limited = 51,
    /// ADD: the interface or the attachment exists.
    Exists = 100,
    /// ADD: a requested address is in use.
    AddressInUse = 101,
    /// CHECK: the attachment is not as ADD left it.
    Damaged = 102,
    /// GC: something could not be freed; the rest was.
    Incomplete = 103,
    /// ADD: a port of the node is in use by another pod.
    PortInUse = 104,
    /// The IPAM plugin failed, with a code of its own.
    Delegate = 105,
}

impl Code {
    /// The code of another plugin's error, as far as the specification or we know it.
    pub fn from_number(number: u32) -> Self {
        let known = [
            Self::Version,
            Self::Unsupported,
            Self::UnknownContainer,
            Self::Environment,
            Self::Io,
            Self::Decode,
            Self::Config,
            Self::Namespace,
            Self::TryAgain,
            Self::NotAvailable,
            Self::Limited,
        ];
        known.into_iter().find(|code| *code as u32 == number).unwrap_or(Self::Delegate)
    }
}

/// What a verb failed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Why, for programs.
    pub code: Code,
    /// Why, in one line, for people.
    pub message: String,
    /// The longer story; may be empty.
    pub details: String,
}

/// The result of everything that can fail in this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: String::new() }
    }

    /// The same error with `details` in place of those before.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// An I/O error, with what was being done and why it failed: some runtimes show no more than the message.
    pub fn io(doing: impl fmt::Display, cause: &io::Error) -> Self {
        Self::new(Code::Io, format!("cannot {doing}: {cause}"))
    }

    /// The same error, and what failed after it.
    #[must_use]
    pub fn and(mut self, then: &str) -> Self {
        let before = if self.details.is_empty() { String::new() } else { format!("{}; ", self.details) };
        self.details = format!("{before}{then}");
        self
    }

    /// The JSON that goes to stdout.
    pub fn to_json(&self, version: Version) -> Value {
        json!({
            "cniVersion": version.as_str(),
            "code": self.code as u32,
            "msg": self.message,
            "details": self.details,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message, self.code as u32)?;
        if !self.details.is_empty() {
            write!(f, ": {}", self.details)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
