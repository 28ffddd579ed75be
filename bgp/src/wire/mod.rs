//! Bytes to messages and back, one object of the RFCs a file. Knows nothing of
//! sessions or tables; every function is pure.
//!
//! ```text
//!  header       what every message begins with
//!  frame        bytes in any pieces -> whole messages     open, update, notification, refresh
//!  update       one UPDATE's body -> prefixes + raw attributes, each located even beside a bad one
//!  decode       raw attributes -> PathAttributes, graded as RFC 7606 asks
//!  encode pack  PathAttributes + prefixes -> as few UPDATEs as hold them
//! ```
//!
//! The value of a protocol error is the [`notification::Notification`] to send.

pub mod add_path;
pub mod as_path;
pub mod attribute;
pub mod capability;
pub mod code;
pub mod codec;
pub mod community;
mod cursor;
pub mod decode;
pub mod encode;
pub mod extended_next_hop;
pub mod frame;
pub mod grade;
pub mod header;
pub mod identity;
pub mod long_lived;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod pack;
pub mod refresh;
pub mod restart;
pub mod role;
mod tlv;
pub mod update;
mod word;
