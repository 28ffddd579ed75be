//! What is to be written: pure, and the same for whoever leads. See [`super`] for why no address is given twice.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use api::crd::FabricPoolSpec;
use bgp::prefix::Family;
use serde::{Deserialize, Serialize};

use super::claim::Claim;

/// The most Services that are written in one round: what is recorded of them fits into a Lease.
pub const MOST: usize = 64;

/// A pool by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The name.
    pub name: String,
    /// What it says; a pool that breaks a rule is left out.
    pub spec: FabricPoolSpec,
}

/// What a status is to say, in place of a version of the Service. As an intent it stands in the Lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Namespace and name.
    pub service: String,
    /// The UID.
    pub uid: String,
    /// The version that it replaces, and no other.
    pub version: String,
    /// The addresses; none takes away what the Service has.
    pub addresses: Vec<IpAddr>,
}

/// Why a Service lacks an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It asks in a way that means nothing.
    Malformed(String),
    /// It names a pool that is not there, or that it may not have.
    NoSuchPool(String),
    /// No pool with addresses of the family is for it.
    NoPool(Family),
    /// Those that are for it have none left.
    Exhausted(Family, Vec<String>),
    /// What it asks for is in no pool that is for it.
    NotInPool(IpAddr),
    /// What it asks for is another Service's.
    Taken(IpAddr, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::NoSuchPool(name) => write!(f, "there is no pool {name} that selects the Service"),
            Self::NoPool(family) => write!(f, "no pool with {family} addresses is for the Service"),
            Self::Exhausted(family, pools) => {
                write!(f, "no {family} address is left in {}", pools.join(", "))
            }
            Self::NotInPool(address) => write!(f, "{address} is in no pool that is for the Service"),
            Self::Taken(address, other) => write!(f, "{address} is that of Service {other}"),
        }
    }
}

/// What is to be written, and what is to be said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to write, at most [`MOST`] of it.
    pub writes: Vec<Write>,
    /// What the Lease is to hold before any of it is written.
    pub intents: Vec<Write>,
    /// Services that lack an address, and why.
    pub refusals: Vec<(String, Refusal)>,
    /// Addresses that several Services have and may not share.
    pub conflicts: Vec<(IpAddr, Vec<String>)>,
    /// Whether more is to be written than fits.
    pub more: bool,
}

/// Who has which address.
struct Ledger<'a> {
    holders: BTreeMap<IpAddr, Vec<&'a Claim>>,
    /// Where in a pool's range everything before is taken.
    passed: BTreeMap<(&'a str, usize), usize>,
}

/// Plans a round for these claims, of which each is as the API server has it at one moment.
#[must_use]
pub fn plan(pools: &[Pool], claims: &[Claim], intents: &[Write]) -> Plan {
    let by_name: BTreeMap<&str, &Claim> = claims.iter().map(|claim| (claim.name.as_str(), claim)).collect();
    // Any other was carried out, or never will be.
    let is_pending = |intent: &&Write| {
        let claim = by_name.get(intent.service.as_str());
        claim.is_some_and(|claim| claim.uid == intent.uid && claim.version == intent.version)
    };
    let pending: Vec<&Write> = intents.iter().filter(is_pending).collect();
    let mut ledger = Ledger { holders: BTreeMap::new(), passed: BTreeMap::new() };
    for claim in claims {
        for address in claim.held.iter().chain(&claim.external) {
            ledger.hold(*address, claim);
        }
    }
    let conflicts = ledger.conflicts();
    for intent in &pending {
        for address in &intent.addresses {
            ledger.hold(*address, by_name[intent.service.as_str()]);
        }
    }
    let mut plan = Plan { conflicts, ..Plan::default() };
    let mut ordered: Vec<&Claim> = claims.iter().collect();
    // Who came first is served first, and who asks for an address of his own before those who take any.
    let asks = |claim: &Claim| claim.requested.as_ref().is_ok_and(|asked| !asked.is_empty());
    ordered.sort_by_key(|claim| (!asks(claim), claim.created, claim.name.as_str()));
    for claim in ordered {
        let promised = pending.iter().filter(|intent| intent.service == claim.name);
        let promised: Vec<IpAddr> = promised.flat_map(|intent| intent.addresses.iter().copied()).collect();
        let Some(addresses) = decide(pools, claim, &promised, &mut ledger, &mut plan.refusals) else {
            continue;
        };
        if addresses == claim.held {
            continue;
        }
        if plan.writes.len() == MOST {
            plan.more = true;
            continue;
        }
        for address in &addresses {
            ledger.hold(*address, claim);
        }
        plan.writes.push(Write {
            service: claim.name.clone(),
            uid: claim.uid.clone(),
            version: claim.version.clone(),
            addresses,
        });
    }
    plan.intents = pending.into_iter().cloned().collect();
    let fresh: Vec<Write> =
        plan.writes.iter().filter(|write| !plan.intents.contains(write)).cloned().collect();
    plan.intents.extend(fresh);
    plan
}

/// The addresses that a Service is to have; `None` for what it has.
fn decide<'a>(
    pools: &'a [Pool],
    claim: &'a Claim,
    promised: &[IpAddr],
    ledger: &mut Ledger<'a>,
    refusals: &mut Vec<(String, Refusal)>,
) -> Option<Vec<IpAddr>> {
    if claim.releases {
        let ours = claim.held.iter().any(|held| pools.iter().any(|pool| pool.holds(*held)));
        return ours.then(Vec::new);
    }
    if !claim.wants {
        return None;
    }
    let mut refuse = |refusal| refusals.push((claim.name.clone(), refusal));
    let requested = match &claim.requested {
        Ok(requested) => requested,
        Err(why) => {
            refuse(Refusal::Malformed(why.clone()));
            return None;
        }
    };
    let (mut addresses, mut lacks) = (Vec::new(), false);
    for family in &claim.families {
        let of_family = |address: &&IpAddr| Family::of(**address) == *family;
        let has = claim.held.iter().chain(promised).find(of_family).copied();
        let wanted = requested.iter().find(of_family).copied();
        let found = match (has, wanted) {
            // What a status says is as it is given, also where a pool has changed.
            (Some(has), None) => Ok(has),
            (Some(has), Some(wanted)) if has == wanted => Ok(has),
            (_, Some(wanted)) => ledger.particular(pools, claim, wanted),
            (None, None) => ledger.any(pools, claim, *family),
        };
        match found {
            Ok(address) => addresses.push(address),
            Err(refusal) => {
                refuse(refusal);
                // Nothing is taken away for the sake of what cannot be had.
                addresses.extend(has);
                lacks |= has.is_none();
            }
        }
    }
    if lacks && claim.requires_all {
        return None;
    }
    Some(addresses)
}

impl Pool {
    /// Whether an address is one of the pool's.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.spec.addresses.iter().any(|range| range.contains(address)) && !self.avoids(address)
    }

    /// Whether an address is left out.
    fn avoids(&self, address: IpAddr) -> bool {
        let edge = match address {
            IpAddr::V4(address) => matches!(address.octets(), [.., 0 | 255]),
            IpAddr::V6(_) => false,
        };
        edge && self.spec.avoid_edges.unwrap_or_default()
    }

    /// Whether a Service may have its addresses.
    fn is_for(&self, claim: &Claim) -> bool {
        self.spec.service_selector.matches(&claim.labels)
            && self.spec.namespace_selector.matches(&claim.namespace_labels)
            && claim.pool.as_ref().is_none_or(|named| *named == self.name)
    }
}

impl<'a> Ledger<'a> {
    fn hold(&mut self, address: IpAddr, claim: &'a Claim) {
        let holders = self.holders.entry(address).or_default();
        if !holders.iter().any(|other| other.name == claim.name) {
            holders.push(claim);
        }
    }

    /// Who has an address and does not share it with a Service.
    fn obstacle(&self, address: IpAddr, claim: &Claim) -> Option<&'a Claim> {
        let holders = self.holders.get(&address).into_iter().flatten();
        holders.copied().find(|other| other.name != claim.name && !claim.shares_with(other))
    }

    fn conflicts(&self) -> Vec<(IpAddr, Vec<String>)> {
        let several = self.holders.iter().filter(|(_, holders)| {
            let pairs = holders.iter().enumerate();
            pairs
                .flat_map(|(at, one)| holders[..at].iter().map(move |other| (one, other)))
                .any(|(one, other)| !one.shares_with(other))
        });
        several
            .map(|(address, holders)| (*address, holders.iter().map(|one| one.name.clone()).collect()))
            .collect()
    }

    /// An address that is asked for.
    fn particular(&self, pools: &[Pool], claim: &Claim, wanted: IpAddr) -> Result<IpAddr, Refusal> {
        if !pools.iter().any(|pool| pool.is_for(claim) && pool.holds(wanted)) {
            return Err(Refusal::NotInPool(wanted));
        }
        match self.obstacle(wanted, claim) {
            Some(other) => Err(Refusal::Taken(wanted, other.name.clone())),
            None => Ok(wanted),
        }
    }

    /// Any address of a family: one that is shared, else the first that nobody has.
    fn any(&mut self, pools: &'a [Pool], claim: &Claim, family: Family) -> Result<IpAddr, Refusal> {
        let named = claim.pool.as_ref();
        if let Some(name) = named
            && !pools.iter().any(|pool| pool.is_for(claim))
        {
            return Err(Refusal::NoSuchPool(name.clone()));
        }
        let automatic = |pool: &&Pool| named.is_some() || pool.spec.auto_assign.unwrap_or(true);
        let has_family =
            |pool: &&Pool| pool.spec.addresses.iter().any(|range| Family::of(range.first) == family);
        let mut candidates: Vec<&Pool> =
            pools.iter().filter(|pool| pool.is_for(claim)).filter(automatic).filter(has_family).collect();
        candidates.sort_by(|one, other| one.name.cmp(&other.name));
        if candidates.is_empty() {
            return Err(Refusal::NoPool(family));
        }
        if claim.sharing_key.is_some() {
            let mut shared = self.holders.iter().filter(|(address, holders)| {
                Family::of(**address) == family
                    && candidates.iter().any(|pool| pool.holds(**address))
                    && holders.iter().all(|other| claim.shares_with(other))
            });
            if let Some((address, _)) = shared.next() {
                return Ok(*address);
            }
        }
        for pool in &candidates {
            for (at, range) in pool.spec.addresses.iter().enumerate() {
                if Family::of(range.first) != family {
                    continue;
                }
                let passed = self.passed.entry((pool.name.as_str(), at)).or_default();
                for address in range.iter().skip(*passed) {
                    if !pool.avoids(address) && !self.holders.contains_key(&address) {
                        return Ok(address);
                    }
                    *passed += 1;
                }
            }
        }
        Err(Refusal::Exhausted(family, candidates.iter().map(|pool| pool.name.clone()).collect()))
    }
}
