//! Which peers have a key, and the listeners that know of it.
//!
//! A peer whose key a listener did not take is not listened to: without the
//! kernel's check its connections would be anybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;

use super::password::Password;
use super::sockopt;

/// Peers by address with their keys.
pub type Passwords = BTreeMap<IpAddr, Password>;

/// The keys in force. Locked for look-ups and system calls that do not block.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    wanted: Passwords,
    listeners: Vec<Arc<TcpListener>>,
    /// Peers whose key a listener did not take.
    refused: BTreeSet<IpAddr>,
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes listeners in.
    pub(super) fn listen(&self, listeners: &[Arc<TcpListener>]) -> Vec<String> {
        let mut inner = self.lock();
        inner.listeners.extend(listeners.iter().cloned());
        let all: Vec<IpAddr> = inner.wanted.keys().copied().collect();
        all.into_iter().filter_map(|peer| inner.install(peer).err()).collect()
    }

    /// Makes these the keys: set before the old ones go, each by itself. Returns
    /// the peers that had a key and have another one, and what went wrong.
    pub(super) fn replace(&self, wanted: Passwords) -> (Passwords, Vec<String>) {
        let mut inner = self.lock();
        let before = std::mem::replace(&mut inner.wanted, wanted);
        let mut changed: Vec<IpAddr> = inner
            .wanted
            .iter()
            .filter(|(peer, key)| before.get(peer) != Some(key))
            .map(|(peer, _)| *peer)
            .collect();
        changed.extend(before.keys().filter(|peer| !inner.wanted.contains_key(peer)));
        let troubles = changed.iter().filter_map(|peer| inner.install(*peer).err()).collect();
        let renewed = changed.into_iter().filter(|peer| before.contains_key(peer));
        (renewed.filter_map(|peer| Some((peer, inner.wanted.get(&peer)?.clone()))).collect(), troubles)
    }

    /// The key of a peer.
    pub(super) fn of(&self, peer: IpAddr) -> Option<Password> {
        self.lock().wanted.get(&peer).cloned()
    }

    /// Whether connections of the peer may be accepted.
    pub(super) fn admits(&self, peer: IpAddr) -> bool {
        !self.lock().refused.contains(&peer)
    }
}

impl Inner {
    /// Tells the listeners of the peer's family its key.
    fn install(&mut self, peer: IpAddr) -> Result<(), String> {
        let key = self.wanted.get(&peer);
        let of_family = |listener: &&Arc<TcpListener>| {
            listener.local_addr().is_ok_and(|local| local.is_ipv4() == peer.is_ipv4())
        };
        let mut listeners = self.listeners.iter().filter(of_family);
        let outcome: io::Result<()> =
            listeners.try_for_each(|listener| sockopt::set_md5(listener, peer, key));
        if outcome.is_err() && key.is_some() {
            self.refused.insert(peer);
        } else {
            self.refused.remove(&peer);
        }
        outcome.map_err(|error| format!("key of peer {peer} on the listener: {error}"))
    }
}
