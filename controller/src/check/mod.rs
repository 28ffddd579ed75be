//! The doctor: what on this host keeps the network of pods from working, or will, and how to mend it.
//!
//! ```text
//!  /proc, /sys, netlink, files ─> gather ─> facts ─> one file a group of rules ─> findings ─> cli
//! ```
//!
//! Rules are pure over the facts; nothing is ever changed, and no program but `iptables-legacy` is started, to read
//! what only it can. What cannot be looked at is a finding too.
//!
//! ```text
//!  fact         what a host is, as far as anybody judges it
//!  finding      what is said of it: a state, a subject, what was found, how to mend it
//!  sysctl       forwarding, rp_filter, accept_ra, the hash of multipath routes
//!  port         who holds the port of BGP
//!  capability   what the agent may do
//!  manager      networkd and NetworkManager, which remove what they do not know
//!  route        routes and addresses of others inside the pods' prefixes
//!  uplink       packets that fit into uplinks
//!  network      the runtime's folders, the plugin, the order of network configurations
//!  firewall     who drops what is forwarded
//!  leftover     what other networks of pods have left
//!  gather       the host's own word
//! ```

mod capability;
pub mod fact;
pub mod finding;
mod firewall;
pub mod gather;
mod leftover;
mod manager;
mod network;
mod port;
mod route;
mod sysctl;
mod uplink;

pub use fact::Facts;
pub use finding::{Finding, Report, State};
pub use gather::{Places, gather};

/// Judges a host: each group says at least one thing of each of its checks, or why it cannot.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut report = Report::default();
    for group in [
        sysctl::judge,
        port::judge,
        capability::judge,
        manager::judge,
        route::judge,
        uplink::judge,
        network::judge,
        firewall::judge,
        leftover::judge,
    ] {
        group(facts, &mut report);
    }
    for (check, why) in &facts.unread {
        report.unknown(check, why);
    }
    report.findings()
}
