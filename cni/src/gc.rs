//! GC: what is not in the runtime's list goes, both reservations and links of this network.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::attachment::{Attachment, alias_is_of, is_link_name};
use crate::catalogue;
use crate::conf::Document;
use crate::delegate::Delegate;
use crate::error::{Code, Error, Result};
use crate::kernel;
use crate::ledger::Reservation;
use crate::predecessor;
use crate::store::{Store, boot_id};

/// Frees everything of the network but what `valid` holds.
///
/// A link is told by the network in its alias, or by its reservation where a crash came
/// before the alias. A reservation stays if its link cannot be deleted.
///
/// # Errors
/// Code 5 if nothing could be looked at, 103 with all failures if something could not be freed.
pub fn gc(document: &Document, valid: &[Attachment], search: Option<OsString>) -> Result<()> {
    let keep: BTreeSet<String> = valid.iter().map(Attachment::link_name).collect();
    let mut netlink = kernel::open()?;
    let mut store = Store::open(&document.state_dir, &document.name, &boot_id()?)?;
    let present = kernel::links(&mut netlink)?;
    let ours = present.iter().filter(|link| {
        link.kind == "veth" && is_link_name(&link.name) && alias_is_of(&link.alias, &document.name)
    });
    let reserved = store.ledger().reservations().iter().map(|reservation| reservation.link.clone());
    let orphans: BTreeSet<String> =
        ours.map(|link| link.name.clone()).chain(reserved).filter(|name| !keep.contains(name)).collect();

    let mut failures = Vec::new();
    let mut stuck = BTreeSet::new();
    for name in orphans {
        let reservation = store.ledger().reservations().iter().find(|held| held.link == name);
        let freed = kernel::delete_link(&mut netlink, &name)
            .and_then(|_| catalogue::remove(&document.name, &name, reservation, &mut netlink));
        if let Err(error) = freed {
            failures.push(error.to_string());
            stuck.insert(name);
        }
    }
    failures.extend(catalogue::sweep(&document.name, &keep, &mut netlink));
    let freed = store
        .ledger_mut()
        .retain(|reservation| keep.contains(&reservation.link) || stuck.contains(&reservation.link));
    if !freed.is_empty() {
        store.save_release().unwrap_or_else(|error| failures.push(error.to_string()));
    }
    drop(store);
    match document.ipam()?.map(|kind| Delegate::find(document, &kind, search)) {
        None => predecessor::release(&document.name, |held| !valid.iter().any(|one| held.is_of(one))),
        Some(Ok(delegate)) => failures.extend(forward(&delegate, &freed)),
        Some(Err(error)) => failures.push(error.to_string()),
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::new(Code::Incomplete, format!("{} objects could not be freed", failures.len()))
        .with_details(failures.join("; ")))
}

/// GC of the IPAM plugin. One that has none is told of each attachment that was freed.
fn forward(delegate: &Delegate<'_>, freed: &[Reservation]) -> Vec<String> {
    let one = |reservation: &Reservation| {
        let attachment = Attachment::new(&reservation.container, &reservation.interface).ok()?;
        delegate.del(Some(&attachment)).err()
    };
    let freed = freed.iter().filter_map(one);
    freed.chain(delegate.ask("GC").err()).map(|error| error.to_string()).collect()
}
