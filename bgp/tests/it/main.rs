//! it

mod rib;
