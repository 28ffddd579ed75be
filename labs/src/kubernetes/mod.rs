//! A real Kubernetes 1.20 for tests and labs, of Debian 12's source package.
//!
//! What its programs are started with stands in `labs/kubernetes/control-plane.sh` and nowhere else.

mod api_server;
#[cfg(feature = "runner")]
mod cluster;
mod extensions;

pub use api_server::{ApiServer, Setup};
#[cfg(feature = "runner")]
pub use cluster::{Cluster, Pod};
pub use extensions::Extensions;
