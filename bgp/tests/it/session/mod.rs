//! The session machine from outside: bytes, instants and actions.

mod chaos;
mod collision;
mod exchange;
mod long_lived;
mod negotiation;
mod pair;
mod restart;
mod retry;
mod rig;
mod table;
mod world;
