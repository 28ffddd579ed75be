//! Labs and the tests' library: namespaces, daemons, and waiting for a condition.
//!
//! Two readers use this package. Tests of the other packages take the library as a dev-dependency and run in a
//! [`sandbox`]; people take the program behind `cargo lab`. Both stand on the same pieces, in this order:
//!
//! ```text
//! wait  need  program  namespace        no dependency on each other (need prints, namespace holds all unsafe code)
//!         netns                         a named network namespace
//!           sandbox  daemon             a test's private machine; a program that runs in it
//!             bird                      BIRD 2 as a peer
//! ```
//!
//! Nothing here knows BGP, Kubernetes or the other packages' code: their programs are found next to the test and
//! run as a user would run them.

pub mod bird;
pub mod daemon;
pub mod namespace;
pub mod need;
pub mod netns;
pub mod program;
pub mod sandbox;
pub mod wait;

pub use netns::Netns;
pub use program::program;
pub use sandbox::Sandbox;
