//! The session machine from outside: bytes, instants and actions.

mod collision;
mod exchange;
mod negotiation;
mod retry;
mod rig;
mod table;
