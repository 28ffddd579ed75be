//! Labs and the tests' library: namespaces, daemons, and waiting for a condition.
//!
//! Two readers use this package. Tests of the other packages take the library as a dev-dependency and run in a
//! [`sandbox`](mod@sandbox); people take the program behind `cargo lab` (feature `runner`). Both stand on the same pieces; each
//! row uses those above it:
//!
//! ```text
//! wait  program  namespace              namespace holds all unsafe code
//! cache                                 what is built once, outside of the repository
//! need  netns                           what a test needs of the machine; a named network namespace
//! sandbox  daemon                       a test's private machine; a program that runs in it
//! bird  frr  gobgp  openbgpd  exabgp    peers: one file a daemon
//! normal                                printed output without what differs from run to run
//!
//! words  image  process  interrupt      runner: pieces without state
//! kind  topology                        a cluster of kind, and a containerlab file, read and checked
//! node  state                           a node's namespaces; what is up on this machine
//! lab                                   up and down
//! kubernetes                            an API server of a test's own; with the runner, a whole Kubernetes in a lab
//! cluster  pod  path                    what a lab's manifests say; pods by the plugin; the way of their packets
//! cargo  build  debian  python          cargo with a clean environment; Kubernetes, built once; missing packages
//! bench  load                           speakers compared; the load generator, a program of its own
//! cli                                   one file a verb
//! ```
//!
//! Nothing here knows the other packages' code: their programs are found in the build and run as a user would run
//! them. The load generator alone (feature `bench`) writes and reads BGP, with the codec of `bgp`.

pub mod bird;
pub mod cache;
pub mod daemon;
pub mod exabgp;
pub mod frr;
pub mod gobgp;
pub mod kubernetes;
pub mod namespace;
pub mod need;
pub mod netns;
pub mod normal;
pub mod openbgpd;
pub mod program;
pub mod sandbox;
pub mod wait;

#[cfg(feature = "runner")]
pub mod bench;
#[cfg(feature = "runner")]
pub mod build;
#[cfg(feature = "runner")]
pub mod cargo;
#[cfg(feature = "runner")]
pub mod cli;
#[cfg(feature = "runner")]
pub mod cluster;
#[cfg(feature = "runner")]
pub mod debian;
#[cfg(feature = "runner")]
pub mod endure;
#[cfg(feature = "runner")]
pub mod failover;
#[cfg(feature = "runner")]
pub mod image;
#[cfg(feature = "runner")]
pub mod interrupt;
#[cfg(feature = "runner")]
pub mod kind;
#[cfg(feature = "runner")]
pub mod lab;
#[cfg(feature = "bench")]
pub mod load;
#[cfg(feature = "runner")]
pub mod node;
#[cfg(feature = "runner")]
pub mod path;
#[cfg(feature = "runner")]
pub mod pod;
#[cfg(feature = "runner")]
pub mod process;
#[cfg(feature = "runner")]
pub mod python;
#[cfg(feature = "runner")]
pub mod restart;
#[cfg(feature = "runner")]
pub mod state;
#[cfg(feature = "runner")]
pub mod stream;
#[cfg(feature = "runner")]
pub mod topology;
#[cfg(feature = "runner")]
pub mod words;

pub use netns::Netns;
pub use program::program;
pub use sandbox::Sandbox;
