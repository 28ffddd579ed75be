//! STATUS: would an ADD find what it needs? A full pool is no reason to say no, unless the configuration says so.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;

use crate::catalogue;
use crate::choice;
use crate::conf::{Document, Network};
use crate::delegate::Delegate;
use crate::error::{Code, Error, Result};
use crate::kernel;
use crate::store::{Store, boot_id, probe};

/// Carries out STATUS for a configuration that has been checked.
///
/// # Errors
/// Code 50 if the node is not ready, the state folder is not writable, or a pool is full that must not be.
pub fn status(document: &Document, network: &Network, search: Option<OsString>) -> Result<()> {
    if let Some(path) = &network.ready_file {
        let shown = path.display();
        let not_ready = |why: String| {
            Error::new(Code::NotAvailable, "the network of this node is not ready").with_details(why)
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(not_ready(format!("{shown} is not there: the agent has not finished")));
            }
            Err(e) => return Err(not_ready(format!("cannot read {shown}: {e}"))),
        };
        if text.trim() != boot_id()? {
            return Err(not_ready(format!("{shown} is of another boot: the agent has not finished")));
        }
    }
    let unavailable =
        |error: Error| Error::new(Code::NotAvailable, error.message).with_details(error.details);
    probe(&document.state_dir, &document.name).map_err(unavailable)?;
    let mut host = kernel::open().map_err(unavailable)?;
    if network.not_ready_when_full {
        let store = Store::open(&document.state_dir, &document.name, &boot_id()?).map_err(unavailable)?;
        if let Some(error) = choice::full(&document.name, network, &store, &mut host)? {
            return Err(unavailable(error));
        }
    }
    catalogue::ready(document, network)?;
    match &network.ipam {
        Some(kind) => Delegate::find(document, kind, search).map_err(unavailable)?.ask("STATUS"),
        None => Ok(()),
    }
}
