//! Bytes to messages and back, one object of the RFCs a file. Knows nothing of
//! sessions or tables; every function is pure.

pub mod as_path;
pub mod attribute;
pub mod community;
pub mod notification;
