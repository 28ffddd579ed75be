//! A peer as a request names it.

use std::fmt::Write as _;

use bgp::view::PeerView;
use tonic::Status;

use super::error::Fault;
use super::nearest;
use super::snapshot::Snapshot;
use crate::discovery::{self, shown};

/// The peer with this address, else the only one with this name.
///
/// # Errors
/// That there is none, with the nearest words; that there are several.
pub fn find<'a>(text: &str, snapshot: &'a Snapshot) -> Result<&'a PeerView, Status> {
    let address = discovery::parse(text);
    if let Some(peer) = snapshot.peers.iter().find(|peer| Some(peer.address) == address) {
        return Ok(peer);
    }
    let named: Vec<&PeerView> = snapshot.peers.iter().filter(|peer| peer.name == text).collect();
    match named.as_slice() {
        [peer] => Ok(peer),
        [] => Err(unknown(text, snapshot)),
        several => {
            let addresses: Vec<String> = several.iter().map(|peer| shown(peer.address)).collect();
            let addresses = addresses.join(", ");
            let message = format!("several peers are called `{text}`, name one by its address: {addresses}");
            Err(Fault::AmbiguousPeer.status_with(message, [("addresses", addresses)]))
        }
    }
}

/// No peer is called so; these are.
pub(super) fn unknown(text: &str, snapshot: &Snapshot) -> Status {
    let words = snapshot.peers.iter().map(|peer| peer.name.clone());
    let words = words.chain(snapshot.peers.iter().map(|peer| shown(peer.address)));
    let nearest = nearest::words(text, words).join(", ");
    let mut message = format!("no peer `{text}` on {}", snapshot.node);
    if !nearest.is_empty() {
        // Writing to a String does not fail.
        let _ = write!(message, "; nearest: {nearest}");
    }
    Fault::UnknownPeer.status_with(message, [("nearest", nearest)])
}
