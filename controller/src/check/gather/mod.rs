//! The host's own word: what is read where. Nothing is changed.
//!
//! ```text
//!  kernel    interfaces, addresses, routes, policy rules; switches under /proc/sys
//!  filter    tables, chains, sets of addresses: by netlink, and by `iptables-legacy-save` where the old tables are in use
//!  process   who runs, who listens, what a process may do
//!  file      configuration of the runtime, of networkd and of NetworkManager
//!  places    where the host's files are
//!  pods      the pods' prefixes, by the last good configuration
//! ```

mod file;
mod filter;
mod kernel;
mod places;
mod pods;
mod process;

use super::fact::Facts;

pub use places::Places;

/// Looks at the host whose network namespace the calling thread is in.
#[must_use]
pub fn gather(places: &Places) -> Facts {
    let mut facts = Facts::default();
    kernel::interfaces(places, &mut facts);
    kernel::switches(&mut facts);
    filter::chains(&mut facts);
    process::look(&mut facts);
    file::managers(places, &mut facts);
    file::runtime(places, &mut facts);
    pods::prefixes(places, &mut facts);
    facts
}
