//! it

mod rib;
mod wire;
