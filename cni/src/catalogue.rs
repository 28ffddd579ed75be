//! All features, and each verb over all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

use crate::attachment::Attachment;
use crate::bandwidth::Bandwidth;
use crate::conf::{Document, Network};
use crate::error::{Code, Error, Result};
use crate::feature::{Feature, Site, Trace};
use crate::filter::Filter;
use crate::kernel::Ends;
use crate::ledger::Reservation;
use crate::netlink::Netlink;
use crate::plan::{Extra, Kernel, Step, Undo};

/// In the order in which they are installed.
const FEATURES: [&dyn Feature; 2] = [&Bandwidth, &Filter];

fn feature(name: &str) -> Option<&'static dyn Feature> {
    FEATURES.into_iter().find(|feature| feature.name() == name)
}

/// What a configuration asks of each feature.
///
/// # Errors
/// The first field that is invalid or not supported.
pub fn extras(document: &Document, network: &Network) -> Result<Vec<Extra>> {
    let mut extras = Vec::new();
    for feature in FEATURES {
        if let Some(record) = feature.record(document, network)? {
            extras.push(Extra { feature: feature.name(), record });
        }
    }
    Ok(extras)
}

/// Whether `extras` go together with what other attachments hold.
///
/// # Errors
/// The first conflict.
pub fn admit(extras: &[Extra], attachment: &Attachment, ledger: &[Reservation]) -> Result<()> {
    let others: Vec<&Reservation> = ledger
        .iter()
        .filter(|other| {
            (other.container.as_str(), other.interface.as_str())
                != (attachment.container(), attachment.interface())
        })
        .collect();
    extras
        .iter()
        .filter_map(|extra| feature(extra.feature).map(|feature| (feature, extra)))
        .try_for_each(|(feature, extra)| feature.admit(&extra.record, attachment, &others))
}

/// What the ledger keeps of `extras`.
pub fn kept(extras: &[Extra]) -> BTreeMap<String, Value> {
    extras.iter().map(|extra| (extra.feature.to_owned(), extra.record.clone())).collect()
}

/// Takes away what every feature has of an attachment, and goes on after an error.
///
/// # Errors
/// All errors in one.
pub fn remove(
    network: &str,
    link: &str,
    reservation: Option<&Reservation>,
    host: &mut Netlink,
) -> Result<()> {
    let mut failures = Vec::new();
    let addresses: &[IpAddr] = reservation.map_or(&[], |reservation| &reservation.addresses);
    let mut trace = Trace { network, host_link: link, addresses, host };
    for feature in FEATURES.into_iter().rev() {
        let removed = match reservation {
            Some(reservation) => match reservation.features.get(feature.name()) {
                Some(record) => feature.remove(Some(record), &mut trace),
                None => Ok(()),
            },
            None => feature.remove(None, &mut trace),
        };
        failures.extend(removed.err().map(|error| format!("{}: {error}", feature.name())));
    }
    whole(&format!("cannot take away all that {link} had"), &failures)
}

/// Makes anew what somebody else took away from attachments of `network`. It is not the caller's, so that a failure
/// is not either: CHECK tells, and the next ADD tries again.
pub fn mend(network: &str, held: &[Reservation], host: &mut Netlink) {
    for feature in FEATURES {
        let _ = feature.mend(network, held, host);
    }
}

/// What of the features in `records` is missing or changed.
///
/// # Errors
/// If the kernel does not tell.
pub fn faults(records: &BTreeMap<String, Value>, site: &mut Site<'_>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for feature in FEATURES {
        if let Some(record) = records.get(feature.name()) {
            faults.extend(feature.faults(record, site)?);
        }
    }
    Ok(faults)
}

/// Takes away what features have of `network` for host ends that are not in `keep`.
pub fn sweep(network: &str, keep: &BTreeSet<String>, host: &mut Netlink) -> Vec<String> {
    FEATURES
        .into_iter()
        .filter_map(|feature| feature.sweep(network, keep, host).err())
        .map(|error| error.to_string())
        .collect()
}

/// Whether each feature would find what it needs.
///
/// # Errors
/// The first that would not.
pub fn ready(document: &Document, network: &Network) -> Result<()> {
    FEATURES.into_iter().try_for_each(|feature| feature.ready(document, network))
}

/// The kernel with every feature: carries out whole plans.
#[derive(Debug)]
pub struct Equipped<'a, 'k> {
    /// Link, addresses and routes.
    pub ends: Ends<'k>,
    /// The network's name.
    pub network: &'a str,
    /// Whose link it is.
    pub attachment: &'a Attachment,
    /// At most one address a family.
    pub addresses: &'a [IpAddr],
    /// Pod or container id.
    pub holder: &'a str,
    /// Bytes.
    pub mtu: u32,
}

impl Kernel for Equipped<'_, '_> {
    fn apply(&mut self, batch: &[Step]) -> Result<()> {
        let [Step::Install(extra)] = batch else { return self.ends.apply(batch) };
        let link = self.attachment.link_name();
        let sides = self.ends.sides();
        let mut site = Site {
            network: self.network,
            attachment: self.attachment,
            addresses: self.addresses,
            holder: self.holder,
            mtu: self.mtu,
            host_link: &link,
            host_index: sides.host_index,
            pod_index: sides.pod_index,
            host: sides.host,
            pod: sides.pod,
            netns: sides.netns,
        };
        known(extra)?.install(&extra.record, &mut site)
    }

    fn undo(&mut self, undo: &Undo) -> Result<()> {
        let Undo::Remove(extra) = undo else { return self.ends.undo(undo) };
        let link = self.attachment.link_name();
        let host = self.ends.sides().host;
        let mut trace = Trace { network: self.network, host_link: &link, addresses: self.addresses, host };
        known(extra)?.remove(Some(&extra.record), &mut trace)
    }
}

fn known(extra: &Extra) -> Result<&'static dyn Feature> {
    feature(extra.feature)
        .ok_or_else(|| Error::new(Code::Unsupported, format!("no feature is called {}", extra.feature)))
}

fn whole(text: &str, failures: &[String]) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::new(Code::Io, text).with_details(failures.join("; ")))
}
