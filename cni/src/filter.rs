//! The feature that keeps a pod's share of the packet filter: where its packets may come from,
//! the node's ports that lead to it, and whether the node hides it.
//!
//! Owns what is asked for and what is written outside of the table for it: two switches of the
//! host end, and connections that are led past a new mapping.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::nft::Element;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attachment::Attachment;
use crate::conf::{Document, Network};
use crate::error::{Code, Error, Result};
use crate::feature::{Feature, Site, Trace};
use crate::ipam::Family;
use crate::ledger::Reservation;
use crate::netlink::Netlink;
use crate::nftables::Nftables;
use crate::plan::Sysctl;
use crate::portmap::{self, Mapping, Protocol, hairpins};
use crate::ruleset::{self, FREE, GUARDED, Needs, Owner};
use crate::tenancy::{self, Tenant, taken};
use crate::{conntrack, kernel, sysctl};

/// The name in the ledger.
const NAME: &str = "filter";

/// The feature.
#[derive(Debug)]
pub struct Filter;

/// What an attachment asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    anti_spoof: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    port_mappings: Vec<Mapping>,
    /// Destinations that are not masqueraded for; none where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    masquerade_except: Option<Vec<IpNet>>,
}

impl Record {
    fn decode(record: &Value) -> Result<Self> {
        Self::deserialize(record).map_err(|e| {
            Error::new(Code::Io, "the ledger's entry of the packet filter is unreadable")
                .with_details(e.to_string())
        })
    }

    fn tenant<'a>(&'a self, owner: Owner<'a>, addresses: &[IpAddr]) -> Tenant<'a> {
        Tenant {
            owner,
            needs: Needs {
                ports: !self.port_mappings.is_empty(),
                masquerade: self.masquerade_except.is_some().then_some(owner.network),
            },
            mappings: &self.port_mappings,
            except: self.masquerade_except.as_deref(),
            elements: self.elements(owner, addresses),
        }
    }

    /// Every element of the attachment, with the set that it belongs to.
    fn elements(&self, owner: Owner<'_>, addresses: &[IpAddr]) -> Vec<(String, Element)> {
        let comment = owner.comment();
        let end = if self.anti_spoof { GUARDED } else { FREE };
        let mut elements = vec![(end.to_owned(), ruleset::end(owner.link, &comment))];
        let mapped = portmap::elements(&self.port_mappings, addresses, &comment);
        elements.extend(mapped.into_iter().map(|(map, element)| (map.name().to_owned(), element)));
        for address in addresses {
            let family = Family::of(*address);
            if !self.port_mappings.is_empty() {
                elements.push((hairpins(family).name, portmap::hairpin(*address, &comment)));
            }
            if self.masquerade_except.is_some() {
                elements
                    .push((ruleset::source_set(owner.network, family), ruleset::member(*address, &comment)));
            }
        }
        elements
    }
}

impl Feature for Filter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn record(&self, document: &Document, network: &Network) -> Result<Option<Value>> {
        let asked: Vec<portmap::Asked> = document.runtime_field("portMappings")?.unwrap_or_default();
        let own = network.pools.iter().flat_map(|pool| pool.subnets().iter().copied());
        let record = Record {
            anti_spoof: network.anti_spoof,
            port_mappings: portmap::parse(&asked)?,
            masquerade_except: network
                .masquerade_except
                .as_ref()
                .map(|except| own.chain(except.iter().map(IpNet::trunc)).collect()),
        };
        Ok(Some(serde_json::to_value(record).map_err(|e| Error::new(Code::Io, e.to_string()))?))
    }

    fn admit(&self, record: &Value, _: &Attachment, others: &[&Reservation]) -> Result<()> {
        let own = Record::decode(record)?.port_mappings;
        if own.is_empty() {
            return Ok(());
        }
        for other in others {
            let Some(theirs) = other.features.get(NAME).and_then(|record| Record::decode(record).ok()) else {
                continue;
            };
            for mapping in &own {
                if theirs.port_mappings.iter().any(|held| portmap::collide(mapping, held)) {
                    return Err(taken(&portmap::shown(mapping), other.holder()));
                }
            }
        }
        Ok(())
    }

    fn install(&self, record: &Value, site: &mut Site<'_>) -> Result<()> {
        let record = Record::decode(record)?;
        portmap::reachable(&record.port_mappings, site.addresses)?;
        let mut nft = Nftables::open()?;
        let tenant = record.tenant(owner(site), site.addresses);
        tenancy::add(&mut nft, &tenant, site.host)?;
        let rest = let_loopback_in(&record, site).and_then(|()| lead_anew(&mut nft, &record, site));
        rest.inspect_err(|_| {
            // Best effort: the first error is the one to tell.
            let _ = tenancy::remove(&mut nft, site.network, site.host_link, site.host);
        })
    }

    fn remove(&self, _: Option<&Value>, trace: &mut Trace<'_>) -> Result<()> {
        tenancy::remove(&mut Nftables::open()?, trace.network, trace.host_link, trace.host)
    }

    fn faults(&self, record: &Value, site: &mut Site<'_>) -> Result<Vec<String>> {
        let record = Record::decode(record)?;
        let mut faults =
            tenancy::faults(&mut Nftables::open()?, &record.tenant(owner(site), site.addresses))?;
        if from_loopback(&record, site.addresses, Family::V4)
            && sysctl::value(Sysctl::RouteLocalnet, site.host_link)?.as_deref() != Some("1")
        {
            faults.push(format!("RouteLocalnet of {} is not 1", site.host_link));
        }
        if from_loopback(&record, site.addresses, Family::V6)
            && !kernel::leads_to_loopback(site.host, site.host_index)?
        {
            faults.push(format!("the route to ::1 by {} is missing", site.host_link));
        }
        Ok(faults)
    }

    fn mend(&self, network: &str, held: &[Reservation], host: &mut Netlink) -> Result<()> {
        let mut nft = Nftables::open()?;
        let known = tenancy::ends(&mut nft)?;
        for reservation in held {
            let Some(record) = reservation.features.get(NAME) else { continue };
            let owner = Owner { link: &reservation.link, network, holder: reservation.holder() };
            if known.contains(&ruleset::end(owner.link, "").key) || kernel::link(host, owner.link)?.is_none()
            {
                continue;
            }
            let record = Record::decode(record)?;
            tenancy::add(&mut nft, &record.tenant(owner, &reservation.addresses), host)?;
        }
        Ok(())
    }

    fn ready(&self, document: &Document, network: &Network) -> Result<()> {
        self.record(document, network)?;
        Nftables::open()
            .and_then(|mut nft| nft.generation())
            .map(drop)
            .map_err(|error| Error::new(Code::NotAvailable, error.message).with_details(error.details))
    }

    fn sweep(&self, network: &str, keep: &BTreeSet<String>, host: &mut Netlink) -> Result<()> {
        tenancy::sweep(&mut Nftables::open()?, network, keep, host)
    }
}

fn owner<'a>(site: &Site<'a>) -> Owner<'a> {
    Owner { link: site.host_link, network: site.network, holder: site.holder }
}

fn has(addresses: &[IpAddr], family: Family) -> bool {
    addresses.iter().any(|address| Family::of(*address) == family)
}

/// Whether packets from loopback shall reach the pod's address of this family.
fn from_loopback(record: &Record, addresses: &[IpAddr], family: Family) -> bool {
    has(addresses, family) && portmap::loopback(&record.port_mappings, family)
}

/// Lets answers of mappings on 127.0.0.1 and ::1 in by the host end. The elements stand, so
/// the end may come up.
fn let_loopback_in(record: &Record, site: &mut Site<'_>) -> Result<()> {
    if from_loopback(record, site.addresses, Family::V4) {
        sysctl::set(Sysctl::RouteLocalnet, site.host_link, 1)?;
    }
    if from_loopback(record, site.addresses, Family::V6) {
        kernel::lead_to_loopback(site.host, site.host_index)?;
    }
    Ok(())
}

/// Makes the kernel forget whom it led past the new mappings.
fn lead_anew(nft: &mut Nftables, record: &Record, site: &mut Site<'_>) -> Result<()> {
    let udp: BTreeSet<u16> = record
        .port_mappings
        .iter()
        .filter(|mapping| mapping.protocol == Protocol::Udp)
        .map(|mapping| mapping.host_port)
        .collect();
    if udp.is_empty() {
        return Ok(());
    }
    let (own, host) = (site.addresses, &mut *site.host);
    conntrack::forget(nft, Protocol::Udp.number(), |flow| {
        let past = udp.contains(&flow.port) && !own.contains(&flow.answers);
        Ok(past && kernel::route(host, flow.destination, None)?.is_some_and(|route| route.local))
    })
}
