//! What an operator has the agent do: drain, undrain, reset a peer.
//!
//! ```text
//!  operator.sock ─> service ─> crate::drain (kept on disk) ─> order ─> agent loop ─> Speaker
//! ```
//!
//! The socket is its owner's alone (0600). A drain is kept before it holds, so that no restart forgets it.

pub mod order;
pub mod service;
