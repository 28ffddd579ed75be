//! Who has what in the plugin's table: putting a pod's elements in, and taking them out.
//!
//! All of a pod goes in and out in one batch, so there is no moment with half of it. What
//! stands is asked of the kernel each time, and belongs to whom its comment says: taking out
//! needs neither ledger nor namespace. A batch that was made from what was read carries the
//! generation of the rule set, so that it never acts on what has changed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::nft::{Batch, Element, Question, SeenElement, SeenRule, dump};
use ipnet::IpNet;

use crate::attachment::is_link_name;
use crate::error::{Code, Error, Result};
use crate::ipam::Family;
use crate::netlink::Netlink;
use crate::nftables::{Nftables, Outcome, wrong};
use crate::portmap::{self, Map, Mapping, Protocol, hairpins};
use crate::ruleset::{self, FREE, GUARDED, Needs, Owner, PORT_CHAINS, TABLE};
use crate::{conntrack, forward, kernel};

/// How often a batch is made anew because somebody else changed the rule set, or because what a
/// dead pod left was in the way.
const ATTEMPTS: usize = 16;

/// What one attachment has in the table.
#[derive(Debug, Clone)]
pub struct Tenant<'a> {
    /// Whose it is.
    pub owner: Owner<'a>,
    /// What of the table it needs.
    pub needs: Needs<'a>,
    /// Its port mappings.
    pub mappings: &'a [Mapping],
    /// Destinations that see the network's pods as they are; none if it masquerades for nobody.
    pub except: Option<&'a [IpNet]>,
    /// Its elements, each with its set.
    pub elements: Vec<(String, Element)>,
}

/// The error of a port that somebody else has.
pub fn taken(port: &str, holder: &str) -> Error {
    Error::new(Code::PortInUse, format!("{port} is in use by {holder}"))
}

/// Puts the elements in place, with whatever of the table is missing.
///
/// # Errors
/// Code 104 if another pod has a port, 5 if the kernel refuses; nothing has changed then.
pub fn add(nft: &mut Nftables, tenant: &Tenant<'_>, host: &mut Netlink) -> Result<()> {
    let table = ruleset::table(tenant.needs);
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let generation = nft.generation()?;
        refuse_overlap(nft, tenant, host)?;
        let mut batch = Batch::new(generation);
        if table.damage(&rules(nft)?).is_some() {
            table.put(&mut batch);
        }
        for (set, elements) in exceptions(nft, tenant)?.into_iter().flatten() {
            batch.empty_set(TABLE.0, TABLE.1, &set);
            batch.add_elements(TABLE.0, TABLE.1, &set, &elements);
        }
        forward::add(&mut batch, &forward::missing(nft)?);
        for (set, element) in &tenant.elements {
            batch.add_elements(TABLE.0, TABLE.1, set, std::slice::from_ref(element));
        }
        match nft.commit(batch)? {
            Outcome::Done => return Ok(()),
            Outcome::Changed => {}
            Outcome::Clash(error) => {
                make_way(nft, tenant, host)?;
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(restless))
}

/// The host ends that have an element of their own, as keys.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn ends(nft: &mut Nftables) -> Result<BTreeSet<Vec<u8>>> {
    let mut ends = BTreeSet::new();
    for set in [GUARDED, FREE] {
        ends.extend(nft.elements(TABLE, set)?.into_iter().map(|element| element.key));
    }
    Ok(ends)
}

fn restless() -> Error {
    Error::new(Code::TryAgain, "the rule set of the packet filter never stands still")
}

fn rules(nft: &mut Nftables) -> Result<Vec<SeenRule>> {
    let replies =
        nft.ask(Question::Rules(TABLE.0, TABLE.1)).map_err(|failure| wrong("list rules", &failure))?;
    Ok(replies.iter().filter_map(|reply| dump::rule(reply)).filter(|rule| rule.table == TABLE.1).collect())
}

/// Refuses what collides with another pod's mapping though the kernel would take it: one address
/// of the node, and all of them, are different keys. What has the same key the kernel refuses, so
/// that the maps, which may be long, need not be looked through.
fn refuse_overlap(nft: &mut Nftables, tenant: &Tenant<'_>, host: &mut Netlink) -> Result<()> {
    let of_one = |mapping: &&Mapping| mapping.host_ip.is_some_and(|address| !address.is_unspecified());
    let ones = tenant.mappings.iter().filter(of_one).count();
    let differs = |map: &Map| if map.one_address { ones < tenant.mappings.len() } else { ones > 0 };
    for map in Map::ALL.into_iter().filter(differs) {
        for element in nft.elements(TABLE, map.name())? {
            let Some(held) = portmap::read(map, &element) else { continue };
            let Some(mapping) = tenant.mappings.iter().find(|mapping| portmap::collide(mapping, &held))
            else {
                continue;
            };
            if !is_orphan(&element, tenant.owner, host)? {
                return Err(taken(&portmap::shown(mapping), holder(&element)));
            }
            discard(nft, &[(map.name().to_owned(), element)])?;
        }
    }
    Ok(())
}

fn holder(element: &SeenElement) -> &str {
    Owner::of(&element.comment).map_or("somebody else", |owner| owner.holder)
}

/// Takes away what stands where the tenant's elements shall, if its pod is gone.
fn make_way(nft: &mut Nftables, tenant: &Tenant<'_>, host: &mut Netlink) -> Result<()> {
    let mut dead = Vec::new();
    for (set, element) in &tenant.elements {
        for other in nft.elements(TABLE, set)?.into_iter().filter(|other| other.key == element.key) {
            if !is_orphan(&other, tenant.owner, host)? {
                let map = Map::ALL.into_iter().find(|map| map.name() == set);
                let mapping = map.and_then(|map| portmap::read(map, &other));
                let what = mapping.map_or_else(
                    || format!("an element of {set} in the packet filter"),
                    |mapping| portmap::shown(&mapping),
                );
                return Err(taken(&what, holder(&other)));
            }
            dead.push((set.clone(), other));
        }
    }
    discard(nft, &dead)
}

/// Whether an element was left by an attachment whose link is gone, or by an earlier one of this name.
fn is_orphan(element: &SeenElement, owner: Owner<'_>, host: &mut Netlink) -> Result<bool> {
    match Owner::of(&element.comment) {
        Some(other) if other.link == owner.link => Ok(true),
        Some(other) if is_link_name(other.link) => Ok(kernel::link(host, other.link)?.is_none()),
        _ => Ok(false),
    }
}

fn discard(nft: &mut Nftables, dead: &[(String, SeenElement)]) -> Result<()> {
    let mut batch = Batch::new(None);
    for (set, element) in dead {
        batch.delete_elements(TABLE.0, TABLE.1, set, std::slice::from_ref(element));
    }
    // Another call may have been quicker; who tries again finds out.
    nft.commit(batch).map(drop)
}

/// A set's name and what shall be in it.
type Content = (String, Vec<Element>);

/// The sets of exceptions from masquerading, if what stands in them is not what shall.
fn exceptions(nft: &mut Nftables, tenant: &Tenant<'_>) -> Result<Option<Vec<Content>>> {
    let Some(except) = tenant.except else { return Ok(None) };
    let (mut wanted, mut differs) = (Vec::new(), false);
    for family in Family::ALL {
        let set = ruleset::keep_set(tenant.owner.network, family);
        let elements = ruleset::kept(except, family);
        let mut seen = nft.elements(TABLE, &set)?;
        // `nft` says of the lowest prefix that none is before it.
        seen.retain(|element| !element.end || element.key.iter().any(|byte| *byte != 0));
        seen.sort_by(|a, b| a.key.cmp(&b.key));
        differs |= seen != elements;
        wanted.push((set, elements));
    }
    Ok(differs.then_some(wanted))
}

/// What of the tenant's is missing or changed, in words.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn faults(nft: &mut Nftables, tenant: &Tenant<'_>) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    if let Some(chain) = ruleset::table(tenant.needs).damage(&rules(nft)?) {
        faults.push(format!("chain {chain} of table {} in the packet filter is missing or changed", TABLE.1));
    }
    for (set, element) in &tenant.elements {
        let seen = nft.elements(TABLE, set)?;
        if !seen.iter().any(|other| (&other.key, &other.value) == (&element.key, &element.value)) {
            faults.push(format!("an element of {set} in the packet filter is missing or leads elsewhere"));
        }
    }
    if exceptions(nft, tenant)?.is_some() {
        faults.push("the exceptions from masquerading in the packet filter are changed".into());
    }
    if !forward::missing(nft)?.is_empty() {
        faults.push("chain FORWARD of table filter drops packets of pods".into());
    }
    Ok(faults)
}

/// Takes out what the attachment with this host end has; nothing is fine.
///
/// # Errors
/// Code 5 if the kernel refuses.
pub fn remove(nft: &mut Nftables, network: &str, link: &str, host: &mut Netlink) -> Result<()> {
    clear(nft, network, host, Some(link), |owner| owner.link == link)
}

/// Takes out what attachments of `network` have whose host ends are not in `keep`.
///
/// # Errors
/// Code 5 if the kernel refuses.
pub fn sweep(nft: &mut Nftables, network: &str, keep: &BTreeSet<String>, host: &mut Netlink) -> Result<()> {
    clear(nft, network, host, None, |owner| owner.network == network && !keep.contains(owner.link))
}

/// What is to be taken out of one set, and how much stays.
struct Cut {
    set: String,
    dead: Vec<SeenElement>,
    alive: usize,
}

fn cut(nft: &mut Nftables, set: &str, doomed: impl Fn(&Owner<'_>) -> bool) -> Result<Cut> {
    let ours = |element: &SeenElement| Owner::of(&element.comment).is_some_and(|owner| doomed(&owner));
    let (dead, alive): (Vec<_>, Vec<_>) = nft.elements(TABLE, set)?.into_iter().partition(ours);
    Ok(Cut { set: set.into(), dead, alive: alive.len() })
}

/// Takes out the elements of `doomed` owners, then what stands for nobody, and makes the kernel
/// forget connections that lead there. The link of name `leaving` does not count as a pod's.
fn clear(
    nft: &mut Nftables,
    network: &str,
    host: &mut Netlink,
    leaving: Option<&str>,
    doomed: impl Fn(&Owner<'_>) -> bool + Copy,
) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let generation = nft.generation()?;
        let standing = rules(nft)?;
        let stands = |chain: &str| standing.iter().any(|rule| rule.chain == chain);
        let each = |nft: &mut Nftables, names: &[String]| -> Result<Vec<Cut>> {
            names.iter().map(|set| cut(nft, set, doomed)).collect()
        };
        let pods = each(nft, &[GUARDED.into(), FREE.into()])?;
        let (mut ports, mut hidden) = (Vec::new(), Vec::new());
        if stands(PORT_CHAINS[0]) {
            ports = each(nft, &Map::ALL.map(|map| map.name().to_owned()))?;
            ports.extend(each(nft, &Family::ALL.map(|family| hairpins(family).name))?);
        }
        if stands(&ruleset::masquerade_chain(network)) {
            hidden = each(nft, &Family::ALL.map(|family| ruleset::source_set(network, family)))?;
        }

        let mut batch = Batch::new(generation);
        let empty = |cuts: &[Cut]| !cuts.is_empty() && cuts.iter().all(|cut| cut.alive == 0);
        if empty(&pods) && !somebody_lives(host, leaving)? {
            forward::remove(nft, &mut batch)?;
            if !standing.is_empty() || pods.iter().any(|cut| !cut.dead.is_empty()) {
                batch.delete_table(TABLE.0, TABLE.1);
            }
        } else {
            for cut in pods.iter().chain(&ports).chain(&hidden).filter(|cut| !cut.dead.is_empty()) {
                batch.delete_elements(TABLE.0, TABLE.1, &cut.set, &cut.dead);
            }
            if empty(&ports) {
                drop_ports(&mut batch);
            }
            if empty(&hidden) {
                drop_masquerading(&mut batch, network);
            }
        }
        if nft.commit(batch)? == Outcome::Done {
            return forget_connections(nft, &ports);
        }
    }
    Err(restless())
}

fn somebody_lives(host: &mut Netlink, leaving: Option<&str>) -> Result<bool> {
    let links = kernel::links(host)?;
    Ok(links
        .iter()
        .any(|link| link.kind == "veth" && is_link_name(&link.name) && Some(link.name.as_str()) != leaving))
}

fn drop_ports(batch: &mut Batch) {
    for chain in PORT_CHAINS {
        batch.delete_chain(TABLE.0, TABLE.1, chain);
    }
    for map in Map::ALL {
        batch.delete_set(TABLE.0, TABLE.1, map.name());
    }
    for family in Family::ALL {
        batch.delete_set(TABLE.0, TABLE.1, &hairpins(family).name);
    }
}

fn drop_masquerading(batch: &mut Batch, network: &str) {
    batch.delete_chain(TABLE.0, TABLE.1, &ruleset::masquerade_chain(network));
    for family in Family::ALL {
        batch.delete_set(TABLE.0, TABLE.1, &ruleset::source_set(network, family));
        batch.delete_set(TABLE.0, TABLE.1, &ruleset::keep_set(network, family));
    }
}

/// Connections of UDP that were led to a pod whose mappings are gone.
fn forget_connections(nft: &mut Nftables, ports: &[Cut]) -> Result<()> {
    let gone: BTreeSet<IpAddr> = Map::ALL
        .into_iter()
        .flat_map(|map| {
            let cuts = ports.iter().filter(move |cut| cut.set == map.name());
            cuts.flat_map(|cut| &cut.dead).map(move |element| (map, element))
        })
        .filter(|(map, element)| {
            portmap::read(*map, element).is_some_and(|mapping| mapping.protocol == Protocol::Udp)
        })
        .filter_map(|(map, element)| portmap::pod(map, element))
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    conntrack::forget(nft, Protocol::Udp.number(), |flow| {
        Ok(gone.contains(&flow.answers) && flow.destination != flow.answers)
    })
}
