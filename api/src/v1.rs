//! Package `underlay.v1`: the messages, client and server of `StatusService`,
//! generated from `proto/underlay/v1/`, where each is described.

#[allow(clippy::all, missing_docs, unreachable_pub, reason = "generated")]
mod generated {
    tonic::include_proto!("underlay.v1");
}

pub use generated::*;
pub use prost_types::Timestamp;

/// The encoded `FileDescriptorSet` of the package and its imports, with
/// comments: what server reflection shows.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/underlay.v1.bin"));
