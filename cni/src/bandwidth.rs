//! The feature that holds a pod to its rates, in both directions.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::attachment::{LINK_PREFIX, alias_is_of};
use crate::conf::{Document, Network};
use crate::error::{Code, Error, Result};
use crate::feature::{Feature, Site, Trace};
use crate::kernel::{self, refused};
use crate::message;
use crate::netlink::Netlink;
use crate::shaping::{self, Asked, Bucket, Rate, Rates};

/// The feature.
#[derive(Debug)]
pub struct Bandwidth;

/// Prefix of every `ifb` of ours; the rest of the name is that of the host end.
const IFB_PREFIX: &str = "ub";

fn ifb(host_link: &str) -> String {
    format!("{IFB_PREFIX}{}", host_link.strip_prefix(LINK_PREFIX).unwrap_or(host_link))
}

fn decode(record: &Value) -> Result<Rates> {
    Rates::deserialize(record).map_err(|e| {
        Error::new(Code::Io, "the ledger's entry of rates is unreadable").with_details(e.to_string())
    })
}

impl Feature for Bandwidth {
    fn name(&self) -> &'static str {
        "bandwidth"
    }

    fn record(&self, document: &Document, _: &Network) -> Result<Option<Value>> {
        const RUNTIME: &str = "runtimeConfig.bandwidth.";
        // What the network says counts for each pod, whatever the pod asks for.
        let configured = Asked::read("", |key| document.field(key))?;
        let runtime: Map<String, Value> = document.runtime_field("bandwidth")?.unwrap_or_default();
        let asked = Asked::read(RUNTIME, |key| Ok(runtime.get(key).cloned()))?;
        let asked = asked.rates(RUNTIME)?;
        let rates = if configured.is_empty() { asked } else { configured.rates("")? };
        if rates == Rates::default() {
            return Ok(None);
        }
        serde_json::to_value(rates).map(Some).map_err(|e| Error::new(Code::Io, e.to_string()))
    }

    fn install(&self, record: &Value, site: &mut Site<'_>) -> Result<()> {
        let rates = decode(record)?;
        if let Some(rate) = rates.egress {
            shape_egress(rate, site).inspect_err(|_| {
                // Best effort: the first error is the one to tell.
                let _ = kernel::delete_link(site.host, &ifb(site.host_link));
            })?;
        }
        if let Some(rate) = rates.ingress {
            let bucket = shaping::add_bucket(site.host_index, Bucket::new(rate, site.mtu));
            site.host
                .exchange(&[bucket])
                .map_err(|failure| refused("limit the rate to the container", &failure))?;
        }
        Ok(())
    }

    fn remove(&self, _: Option<&Value>, trace: &mut Trace<'_>) -> Result<()> {
        // What is before the host end has gone with it.
        kernel::delete_link(trace.host, &ifb(trace.host_link)).map(drop)
    }

    fn faults(&self, record: &Value, site: &mut Site<'_>) -> Result<Vec<String>> {
        let rates = decode(record)?;
        let mut faults = Vec::new();
        if let Some(rate) = rates.ingress {
            faults.extend(bucket_fault(site.host, (site.host_link, site.host_index), rate, site.mtu)?);
        }
        if let Some(rate) = rates.egress {
            let name = ifb(site.host_link);
            match kernel::link(site.host, &name)? {
                None => faults.push(format!("link {name} is missing on the host")),
                Some(link) if !link.up => faults.push(format!("{name} is down")),
                Some(link) => {
                    faults.extend(bucket_fault(site.host, (&name, link.index), rate, site.mtu)?);
                    if !is_led(site.host, site.host_index, link.index)? {
                        faults.push(format!("what comes by {} is not led to {name}", site.host_link));
                    }
                }
            }
        }
        Ok(faults)
    }

    fn sweep(&self, network: &str, keep: &BTreeSet<String>, host: &mut Netlink) -> Result<()> {
        let kept: BTreeSet<String> = keep.iter().map(|link| ifb(link)).collect();
        for link in kernel::links(host)? {
            let ours =
                link.kind == "ifb" && link.name.starts_with(IFB_PREFIX) && alias_is_of(&link.alias, network);
            if ours && !kept.contains(&link.name) {
                kernel::delete_link(host, &link.name)?;
            }
        }
        Ok(())
    }

    fn ready(&self, document: &Document, network: &Network) -> Result<()> {
        self.record(document, network).map(drop)
    }
}

fn shape_egress(rate: Rate, site: &mut Site<'_>) -> Result<()> {
    let name = ifb(site.host_link);
    let wrong = |failure: &_| refused("limit the rate from the container", failure);
    // One left by an attachment of this name that was killed half way is in the way.
    kernel::delete_link(site.host, &name)?;
    site.host.exchange(&[shaping::add_ifb(&name, site.mtu)]).map_err(|failure| wrong(&failure))?;
    let Some(link) = kernel::link(site.host, &name)? else {
        return Err(Error::new(Code::Io, format!("{name} is gone as soon as it was made")));
    };
    let requests = [
        message::set_alias(link.index, &site.attachment.alias(site.network)),
        message::no_link_local(link.index),
        shaping::add_bucket(link.index, Bucket::new(rate, site.mtu)),
        message::raise(link.index),
        shaping::add_ingress(site.host_index),
        shaping::lead(site.host_index, link.index),
    ];
    site.host.exchange(&requests).map(drop).map_err(|failure| wrong(&failure))
}

fn bucket_fault(
    host: &mut Netlink,
    (name, index): (&str, u32),
    rate: Rate,
    mtu: u32,
) -> Result<Option<String>> {
    let replies = match host.exchange(&[shaping::get_bucket(index)]) {
        Ok(replies) => replies,
        Err(failure) if failure.errno() == Some(libc::ENOENT) => Vec::new(),
        Err(failure) => return Err(refused(&format!("look at the queue of {name}"), &failure)),
    };
    let seen = replies.first().and_then(|reply| shaping::options(&reply.payload));
    let bucket = seen
        .filter(|(kind, _)| kind == "tbf")
        .and_then(|(_, options)| Bucket::read(options).map(|bucket| (bucket, options)));
    let wanted = Bucket::new(rate, mtu);
    Ok(match bucket {
        Some((bucket, _)) if bucket.rate != wanted.rate => {
            Some(format!("the rate of {name} is {} bytes a second, not {}", bucket.rate, wanted.rate))
        }
        Some((bucket, _)) if bucket.limit != wanted.limit => {
            Some(format!("the queue of {name} holds {} bytes, not {}", bucket.limit, wanted.limit))
        }
        Some((_, options)) if !wanted.has_burst(options) => {
            Some(format!("the burst of {name} is not {} bytes", wanted.burst))
        }
        Some(_) => None,
        None => Some(format!("the rate of {name} is not limited")),
    })
}

fn is_led(host: &mut Netlink, from: u32, to: u32) -> Result<bool> {
    let replies = match host.dump(&shaping::get_filters(from)) {
        Ok(replies) => replies,
        // No filter can stand there.
        Err(failure) if matches!(failure.errno(), Some(libc::EINVAL | libc::ENOENT)) => Vec::new(),
        Err(failure) => return Err(refused("list filters", &failure)),
    };
    let mut filters = replies.iter().filter_map(|reply| shaping::options(&reply.payload));
    Ok(filters.any(|(kind, options)| kind == "u32" && shaping::leads_to(options) == Some(to)))
}
