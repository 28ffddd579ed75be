//! Which addresses an attachment gets out of the subnets: what the ledger, the kernel and the
//! plugin before us say together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::catalogue;
use crate::conf::Network;
use crate::error::{Code, Error, Result};
use crate::ipam::{Family, NoAddress, Pool, pick};
use crate::kernel;
use crate::netlink::Netlink;
use crate::predecessor::{self, Held};
use crate::store::Store;

/// What to choose from, and for whom.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The network's name.
    pub name: &'a str,
    /// Its configuration.
    pub network: &'a Network,
    /// Addresses that are asked for, at most one a family.
    pub asked: Vec<IpAddr>,
    predecessor: Vec<Held>,
}

impl<'a> Choice<'a> {
    /// A choice among the pools of `network`.
    pub fn new(name: &'a str, network: &'a Network, asked: Vec<IpAddr>) -> Self {
        Self { name, network, asked, predecessor: predecessor::held(name) }
    }

    /// One address a family: the one asked for, or the next that is free and not in `refused`.
    ///
    /// # Errors
    /// Code 101 for an address that is in use, 11 for a full pool, 5 if the kernel does not tell.
    pub fn addresses(
        &self,
        store: &mut Store,
        host: &mut Netlink,
        refused: &BTreeSet<IpAddr>,
    ) -> Result<Vec<IpAddr>> {
        let mut addresses = Vec::with_capacity(Family::ALL.len());
        for family in Family::ALL {
            let wanted = self.asked.iter().copied().find(|address| Family::of(*address) == family);
            let pool = self.network.pools.iter().find(|pool| pool.family() == family);
            match (wanted, pool) {
                (Some(address), _) => addresses.push(self.claim(store, host, address)?),
                (None, Some(pool)) => addresses.push(self.next_free(store, host, pool, refused)?),
                (None, None) => {}
            }
        }
        Ok(addresses)
    }

    /// An address that somebody asked for.
    fn claim(&self, store: &mut Store, host: &mut Netlink, address: IpAddr) -> Result<IpAddr> {
        let in_use = |by: &str| {
            let text = format!("the requested address {address} is in use{by}");
            Err(Error::new(Code::AddressInUse, text))
        };
        if store.ledger().holder(address).is_some() {
            drop_dead(self.name, store, host)?;
        }
        if let Some(holder) = store.ledger().holder(address) {
            return in_use(&format!(" by {}", holder.holder()));
        }
        if let Some(held) = self.predecessor.iter().find(|held| held.address == address) {
            let holder = held.holder().map(|(container, _)| format!(" {container}")).unwrap_or_default();
            return in_use(&format!(" by host-local's container{holder}"));
        }
        if kernel::is_live(host, address)? {
            return in_use(": the host has a route to it");
        }
        Ok(address)
    }

    fn next_free(
        &self,
        store: &mut Store,
        host: &mut Netlink,
        pool: &Pool,
        refused: &BTreeSet<IpAddr>,
    ) -> Result<IpAddr> {
        for heal in [true, false] {
            let mut taken = store.ledger().taken();
            taken.extend(refused);
            taken.extend(self.predecessor.iter().map(|held| held.address));
            let is_live = |address| kernel::is_live(host, address);
            match pick(pool, store.ledger().last(pool.family()), &taken, is_live) {
                Ok(address) => return Ok(address),
                Err(NoAddress::Unknown(error)) => return Err(error),
                Err(NoAddress::Exhausted) if heal => drop_dead(self.name, store, host)?,
                Err(NoAddress::Exhausted) => {}
            }
        }
        Err(self.exhausted(store, pool))
    }

    fn exhausted(&self, store: &Store, pool: &Pool) -> Error {
        let text = format!("no free {} address", pool.family().as_str());
        Error::new(Code::TryAgain, text).with_details(self.usage(store, pool))
    }

    /// How many addresses of `pool` are in use, and by whom.
    fn usage(&self, store: &Store, pool: &Pool) -> String {
        let before = self.predecessor.iter().filter(|held| pool.contains(held.address)).count();
        let more =
            if before == 0 { String::new() } else { format!("; {before} held in host-local's folder") };
        format!("{}{more}", store.ledger().usage(pool))
    }
}

/// What to say of the first pool without a free address, where healing would not find one either.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn full(name: &str, network: &Network, store: &Store, host: &mut Netlink) -> Result<Option<Error>> {
    let choice = Choice::new(name, network, Vec::new());
    let links: BTreeSet<String> = kernel::links(host)?.into_iter().map(|link| link.name).collect();
    let alive = store.ledger().reservations().iter().filter(|held| links.contains(&held.link));
    let mut taken: BTreeSet<IpAddr> = alive.flat_map(|held| held.addresses.iter().copied()).collect();
    taken.extend(choice.predecessor.iter().map(|held| held.address));
    for pool in &network.pools {
        let is_live = |address| kernel::is_live(host, address);
        match pick(pool, store.ledger().last(pool.family()), &taken, is_live) {
            Ok(_) => {}
            Err(NoAddress::Unknown(error)) => return Err(error),
            Err(NoAddress::Exhausted) => return Ok(Some(choice.exhausted(store, pool))),
        }
    }
    Ok(None)
}

/// Drops reservations of which nothing is left in the kernel: their pods ended without a DEL.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn drop_dead(network: &str, store: &mut Store, host: &mut Netlink) -> Result<()> {
    let links: BTreeSet<String> = kernel::links(host)?.into_iter().map(|link| link.name).collect();
    let mut alive = BTreeSet::new();
    for reservation in store.ledger().reservations() {
        let mut live = links.contains(&reservation.link);
        for address in &reservation.addresses {
            live = live || kernel::is_live(host, *address)?;
        }
        // One that does not go keeps its reservation, and with it the knowledge of what is left.
        if live || catalogue::remove(network, &reservation.link, Some(reservation), host).is_err() {
            alive.insert(reservation.link.clone());
        }
    }
    store.ledger_mut().retain(|reservation| alive.contains(&reservation.link));
    Ok(())
}
