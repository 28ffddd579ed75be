//! The session machine from outside: bytes, instants and actions.

mod exchange;
mod negotiation;
mod rig;
mod table;
