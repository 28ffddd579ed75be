//! The agent in numbers, for Prometheus and whatever else reads OpenMetrics.
//!
//! ```text
//!  family   the table: name, kind, labels, what it says, and how it comes from the snapshot
//!  text     the table and a snapshot -> OpenMetrics
//!  serve    HTTP: /metrics, and /ready for a kubelet
//! ```
//!
//! Nothing is counted here: a page is made of the newest snapshot when it is asked for, and costs nothing while nobody
//! asks. No label is a prefix. A mesh of a thousand nodes has no series a pair of nodes: the internal peers of a node
//! are one, `(internal)`.

pub mod family;
pub mod serve;
pub mod text;
