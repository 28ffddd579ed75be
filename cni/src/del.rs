//! DEL: whatever is left of an attachment goes; nothing left is fine.
//!
//! The host end's name follows from the attachment, and everything that ADD made in the
//! kernel hangs on that link. So neither the namespace nor the reservation is needed.

use std::ffi::OsString;

use crate::catalogue;
use crate::command::Target;
use crate::conf::Document;
use crate::delegate::Delegate;
use crate::error::Result;
use crate::kernel;
use crate::netns::Namespace;
use crate::predecessor;
use crate::store::{Store, boot_id};

/// Carries out DEL. The link goes first: an address is never free while it is in use.
///
/// # Errors
/// Code 5 if the link cannot be deleted or the address not freed, 8 if the namespace is our own.
pub fn del(target: &Target, document: &Document, search: Option<OsString>) -> Result<()> {
    let netns = target.netns_path().and_then(|path| Namespace::open(&path).ok());
    if let (Some(netns), false) = (netns, target.own_netns_allowed) {
        netns.refuse_own()?;
    }
    let mut host = kernel::open()?;
    let link = target.attachment.link_name();
    kernel::delete_link(&mut host, &link)?;
    let mut store = Store::open(&document.state_dir, &document.name, &boot_id()?)?;
    catalogue::remove(&document.name, &link, store.ledger().find(&target.attachment), &mut host)?;
    if store.ledger_mut().release(&target.attachment) {
        store.save_release()?;
    }
    // Not under the lock: what another plugin does may take its time.
    drop(store);
    match document.ipam()? {
        Some(kind) => Delegate::find(document, &kind, search)?.del(None),
        None => {
            predecessor::release(&document.name, |held| held.is_of(&target.attachment));
            Ok(())
        }
    }
}
