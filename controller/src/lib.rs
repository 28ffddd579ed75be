//! The node agent of underlay and its command line.
//!
//! ```text
//!     cluster  objects ────┐                                ┌──> transport  connect, write, close
//!     transport  bytes ────┤                                │
//!     kernel  netlink ─────┼─> event ─> agent ─> effect ────┼──> kernel     plan -> netlink batch -> acks
//!     status  queries ─────┤             │                  │
//!     timers ──────────────┘          desired               └──> status     snapshot -> gRPC -> cli
//! ```
//!
//! Only the agent's loop owns state: the speaker of package `bgp`, and what the
//! node is to be. Drivers never talk to each other; each is a module with its own
//! picture, and all they exchange with the loop is plain data.
//!
//! | module | what it is |
//! |---|---|
//! | [`agent`] | the loop and the daemon around it |
//! | [`event`], [`effect`] | what goes into the loop, and what it drives |
//! | [`cluster`] | where objects come from: the Kubernetes API, or a folder of manifests |
//! | [`desired`] | pure: objects and addresses -> what this node is to be |
//! | [`transport`] | TCP |
//! | [`discovery`] | router advertisements: who is behind a link without addresses |
//! | [`kernel`] | routes and next hops by netlink |
//! | [`check`] | the doctor: what on a host keeps pods from being reached |
//! | [`install`] | the CNI plugin's binary, put in place |
//! | [`netconf`] | what the container runtime and the plugin are told |
//! | [`status`] | the snapshot, queries and the gRPC service |
//! | [`drain`] | how a node is taken out of service, and the file that remembers it |
//! | [`metrics`] | the status in numbers, over HTTP |
//! | [`operator`] | orders: drain, undrain, reset of a session |
//! | [`pool`] | addresses for Services of type LoadBalancer, given by one leader |
//! | [`publish`] | what the Kubernetes API is told of the node |
//! | [`uninstall`] | the end of a node: what is left of the agent and the plugin, taken away |
//! | [`cli`] | the command line, one file a verb |

pub mod agent;
pub mod bfd;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod desired;
pub mod discovery;
pub mod drain;
pub mod effect;
pub mod event;
pub mod install;
pub mod kernel;
pub mod metrics;
pub mod netconf;
pub mod operator;
pub mod pool;
pub mod publish;
pub mod record;
pub mod status;
pub mod transport;
pub mod uninstall;
