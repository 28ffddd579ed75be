//! Everything of underlay that crosses a process boundary, one feature a
//! boundary, so that a program builds no more than it speaks.

#[cfg(feature = "crd")]
pub mod crd;
#[cfg(feature = "netconf")]
pub mod netconf;
#[cfg(feature = "nft")]
pub mod nft;
#[cfg(feature = "grpc")]
pub mod v1;
