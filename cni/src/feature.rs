//! What an attachment may have beyond its link and addresses: the one shape of all of it.
//!
//! A feature (port mappings, shaping, …) is a value that implements [`Feature`]; the catalogue
//! lists them and the verbs call them all. What a feature was asked for is its *record*, a JSON
//! value of its own making that stands in the ledger before anything is made, so that a later
//! DEL, CHECK or GC finds it after a crash at any instruction.
//!
//! | verb | order |
//! |---|---|
//! | ADD | `record` (nothing touched yet), `admit` under the ledger's lock, ledger saved, link, `install` with the host end down, host end up, routes |
//! | ADD that succeeded | `mend`: what the other attachments should have |
//! | ADD that fails | `remove` in reverse order, link, ledger |
//! | DEL, GC, healing | link, `remove`, ledger; without a ledger entry `remove` has no record to go by |
//! | CHECK | `faults` |
//! | GC | `sweep`: what no ledger entry tells of |
//! | STATUS | `ready` |

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::attachment::Attachment;
use crate::conf::{Document, Network};
use crate::error::Result;
use crate::ledger::Reservation;
use crate::netlink::Netlink;
use crate::netns::Namespace;

/// An attachment with both ends in place.
#[derive(Debug)]
pub struct Site<'a> {
    /// The network's name.
    pub network: &'a str,
    /// Whose link it is.
    pub attachment: &'a Attachment,
    /// At most one address a family.
    pub addresses: &'a [IpAddr],
    /// Pod or container id, for messages and comments.
    pub holder: &'a str,
    /// Bytes.
    pub mtu: u32,
    /// Name of the host end.
    pub host_link: &'a str,
    /// Index of the host end in our namespace.
    pub host_index: u32,
    /// Index of the pod's end in its namespace.
    pub pod_index: u32,
    /// A socket in our namespace.
    pub host: &'a mut Netlink,
    /// A socket in the pod's namespace.
    pub pod: &'a mut Netlink,
    /// The pod's namespace.
    pub netns: &'a Namespace,
}

/// What is known of an attachment whose link is gone or about to go.
#[derive(Debug)]
pub struct Trace<'a> {
    /// The network's name.
    pub network: &'a str,
    /// Name of the host end.
    pub host_link: &'a str,
    /// Its addresses; none if the ledger tells of none.
    pub addresses: &'a [IpAddr],
    /// A socket in our namespace.
    pub host: &'a mut Netlink,
}

/// One kind of thing that an attachment may have.
pub trait Feature: Sync {
    /// Its name in the ledger and in messages.
    fn name(&self) -> &'static str;

    /// What the configuration asks for, checked in full; none if that is nothing.
    ///
    /// # Errors
    /// Code 2 for what is not supported, 7 for what is invalid. Nothing has been touched.
    fn record(&self, document: &Document, network: &Network) -> Result<Option<Value>>;

    /// Whether `record` goes together with what `others` hold. Dead ones are dropped from the
    /// ledger and the question is asked again before a no counts.
    ///
    /// # Errors
    /// A conflict, with the other's name.
    fn admit(&self, record: &Value, attachment: &Attachment, others: &[&Reservation]) -> Result<()> {
        let _ = (record, attachment, others);
        Ok(())
    }

    /// Makes it.
    ///
    /// # Errors
    /// Whatever failed; nothing of it is left then.
    fn install(&self, record: &Value, site: &mut Site<'_>) -> Result<()>;

    /// Takes away what the attachment has of it; nothing there is fine. Without a record the
    /// ledger was lost or never knew: what can be told by the link's name goes.
    ///
    /// # Errors
    /// What is left.
    fn remove(&self, record: Option<&Value>, trace: &mut Trace<'_>) -> Result<()>;

    /// What of it is missing or changed, in words.
    ///
    /// # Errors
    /// If the kernel does not tell.
    fn faults(&self, record: &Value, site: &mut Site<'_>) -> Result<Vec<String>>;

    /// Takes away everything of `network` that belongs to none of the host ends in `keep`.
    ///
    /// # Errors
    /// What is left.
    fn sweep(&self, network: &str, keep: &BTreeSet<String>, host: &mut Netlink) -> Result<()>;

    /// Makes anew what somebody else took away from the other attachments of `network`.
    ///
    /// # Errors
    /// What is still not there.
    fn mend(&self, network: &str, held: &[Reservation], host: &mut Netlink) -> Result<()> {
        let _ = (network, held, host);
        Ok(())
    }

    /// Whether `install` would find what it needs; must be quick, as runtimes ask often.
    ///
    /// # Errors
    /// Code 50 with what is missing.
    fn ready(&self, document: &Document, network: &Network) -> Result<()> {
        let _ = (document, network);
        Ok(())
    }
}
