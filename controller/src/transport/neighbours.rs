//! On which terms connections with each peer are made: its key (RFC 2385) and
//! how far away it may be (RFC 5082); and the listeners that know of the keys.
//!
//! A peer whose key a listener did not take is not listened to: without the
//! kernel's check its connections would be anybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bgp::prefix::Prefix;
use bgp::zone;
use tokio::net::TcpListener;

use super::password::Password;
use super::sockopt::{self, Hops};

/// On which terms connections with a peer are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The key that signs each segment.
    pub password: Option<Password>,
    /// How far away the peer may be.
    pub hops: Hops,
}

/// The terms of the peers in each prefix: one peer's address, or the range of
/// peers that are not known one by one. The longest prefix counts.
pub type Neighbours = BTreeMap<Prefix, Terms>;

/// The terms of the longest prefix that holds an address.
#[must_use]
pub(super) fn terms(neighbours: &Neighbours, peer: IpAddr) -> Option<(Prefix, &Terms)> {
    let lengths = (0..=Prefix::host(peer).len()).rev();
    lengths
        .filter_map(|len| Prefix::new(peer, len))
        .find_map(|prefix| Some((prefix, neighbours.get(&prefix)?)))
}

/// The terms in force. Locked for look-ups and system calls that do not block.
#[derive(Clone, Debug, Default)]
pub(super) struct Book(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    wanted: Neighbours,
    listeners: Vec<Arc<TcpListener>>,
    /// Those whose key a listener did not take.
    refused: BTreeSet<Prefix>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes listeners in.
    pub(super) fn listen(&self, listeners: &[Arc<TcpListener>]) -> Vec<String> {
        let mut inner = self.lock();
        inner.listeners.extend(listeners.iter().cloned());
        let keyed = |(prefix, terms): (&Prefix, &Terms)| terms.password.is_some().then_some(*prefix);
        let all: Vec<Prefix> = inner.wanted.iter().filter_map(keyed).collect();
        all.into_iter().filter_map(|prefix| inner.install(prefix).err()).collect()
    }

    /// Makes these the terms; a key is set before the old one goes, each by itself.
    /// Returns the terms before, and what went wrong.
    pub(super) fn replace(&self, wanted: Neighbours) -> (Neighbours, Vec<String>) {
        let mut inner = self.lock();
        let before = std::mem::replace(&mut inner.wanted, wanted);
        let key = |of: &Neighbours, prefix| of.get(&prefix).and_then(|terms| terms.password.clone());
        let both: BTreeSet<Prefix> = before.keys().chain(inner.wanted.keys()).copied().collect();
        let differs = |prefix: &Prefix| key(&before, *prefix) != key(&inner.wanted, *prefix);
        let differing: BTreeSet<Prefix> = both.iter().copied().filter(differs).collect();
        let plain: BTreeSet<Prefix> = differing.iter().copied().filter_map(unlinked).collect();
        let shared = |prefix: &Prefix| unlinked(*prefix).is_some_and(|prefix| plain.contains(&prefix));
        let changed = both.iter().copied().filter(|prefix| differing.contains(prefix) || shared(prefix));
        // New ones first: a peer between two prefixes is never without a key that it is to have.
        let (set, gone): (Vec<_>, Vec<_>) = changed.partition(|prefix| key(&inner.wanted, *prefix).is_some());
        let troubles = set.into_iter().chain(gone).filter_map(|prefix| inner.install(prefix).err()).collect();
        (before, troubles)
    }

    /// The terms of a peer.
    pub(super) fn of(&self, peer: IpAddr) -> Option<Terms> {
        terms(&self.lock().wanted, peer).map(|(_, terms)| terms.clone())
    }

    /// Whether connections of the peer may be accepted.
    pub(super) fn admits(&self, peer: IpAddr) -> bool {
        let inner = self.lock();
        terms(&inner.wanted, peer).is_none_or(|(prefix, _)| !inner.refused.contains(&prefix))
    }
}

/// The address as the kernel's keys have it, of one on a link: neighbours on several may have the same.
fn unlinked(prefix: Prefix) -> Option<Prefix> {
    let (plain, zone) = zone::split(prefix.address());
    zone.map(|_| Prefix::host(plain))
}

impl Inner {
    fn key(&self, prefix: Prefix) -> Option<&Password> {
        self.wanted.get(&prefix)?.password.as_ref()
    }

    /// The key that the listeners are to have for a prefix. They know one for an address on whatever link: that of the
    /// first link whose neighbour has one.
    fn listened(&self, prefix: Prefix) -> Option<&Password> {
        let Some(plain) = unlinked(prefix) else { return self.key(prefix) };
        let same = self.wanted.iter().filter(|(other, _)| unlinked(**other) == Some(plain));
        same.filter_map(|(_, terms)| terms.password.as_ref()).next()
    }

    /// Tells the listeners of the prefix's family its key.
    fn install(&mut self, prefix: Prefix) -> Result<(), String> {
        let (own, key) = (self.key(prefix), self.listened(prefix));
        let of_family = |listener: &&Arc<TcpListener>| {
            listener.local_addr().is_ok_and(|local| local.is_ipv4() == prefix.address().is_ipv4())
        };
        let mut listeners = self.listeners.iter().filter(of_family);
        let outcome: io::Result<()> =
            listeners.try_for_each(|listener| sockopt::set_md5(listener, prefix, key));
        let outcome = match outcome {
            Ok(()) if own.is_some() && own != key => {
                Err(io::Error::other("the neighbour on another link has the same address and another key"))
            }
            outcome => outcome,
        };
        if outcome.is_err() && own.is_some() {
            self.refused.insert(prefix);
        } else {
            self.refused.remove(&prefix);
        }
        let peer =
            if prefix.is_host() { zone::shown(prefix.address(), |_| None) } else { prefix.to_string() };
        outcome.map_err(|error| format!("key of peer {peer} on the listener: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn neighbours_of_one_address_on_two_links_have_one_key() {
        let on = |link| {
            let zone = zone::Zone::new(link).unwrap();
            IpAddr::from(zone::within("fe80::1".parse().unwrap(), zone).unwrap())
        };
        let terms = |key: &str| {
            let password = Some(Password::new(key.as_bytes()).unwrap());
            Terms { password, hops: Hops::AtMost(1) }
        };
        let (three, four) = (on(3), on(4));
        let wanted = |keys: &[(IpAddr, &str)]| -> Neighbours {
            keys.iter().map(|(peer, key)| (Prefix::host(*peer), terms(key))).collect()
        };
        let book = Book::default();
        let listener = TcpListener::bind("[::]:0").await.unwrap();
        assert_eq!(book.listen(&[Arc::new(listener)]), Vec::<String>::new());
        let listened = |peer| book.lock().listened(Prefix::host(peer)).cloned();

        assert!(book.replace(wanted(&[(three, "one"), (four, "one")])).1.is_empty());
        assert!(book.admits(three) && book.admits(four));
        // One that goes leaves the other its key.
        assert!(book.replace(wanted(&[(four, "one")])).1.is_empty());
        assert_eq!(listened(three), terms("one").password);
        // One that comes with another key is the first: the other is not listened to.
        let (_, troubles) = book.replace(wanted(&[(three, "two"), (four, "one")]));
        assert!(troubles.len() == 1 && troubles[0].starts_with("key of peer fe80::1%4 on"), "{troubles:?}");
        assert!(book.admits(three) && !book.admits(four));
        assert_eq!(listened(four), terms("two").password);
        // And is, when that is gone.
        assert!(book.replace(wanted(&[(four, "one")])).1.is_empty());
        assert!(book.admits(four));
        assert!(book.replace(Neighbours::new()).1.is_empty());
        assert_eq!(listened(three), None);
    }

    #[test]
    fn the_longest_prefix_counts() {
        let prefixes = ["10.0.0.0/8", "10.0.1.0/24", "10.0.1.7/32", "fd00::/64"];
        let each = prefixes.into_iter().zip(1..).map(|(prefix, hops)| {
            (prefix.parse().unwrap(), Terms { password: None, hops: Hops::AtMost(hops) })
        });
        let neighbours: Neighbours = each.collect();
        let table = [
            ("10.0.1.7", Some(3)),
            ("10.0.1.8", Some(2)),
            ("10.0.2.1", Some(1)),
            ("192.0.2.1", None),
            ("fd00::9", Some(4)),
            ("fd01::9", None),
        ];
        for (peer, hops) in table {
            let found = terms(&neighbours, peer.parse().unwrap()).map(|(_, terms)| terms.hops);
            assert_eq!(found, hops.map(Hops::AtMost), "{peer}");
        }
    }
}
