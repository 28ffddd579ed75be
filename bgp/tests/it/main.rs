//! it

mod rib;
mod session;
mod wire;
