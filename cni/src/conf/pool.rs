//! `subnets`, `exclude` and the `ipRanges` capability: which addresses are handed out.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::field::{Fields, field, inner, invalid, unsupported};
use crate::error::Result;
use crate::ipam::{Family, Pool, Subnet};

/// A subnet with the part of it that is handed out; a bare prefix means all of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Prefix(String),
    Range(RangeEntry),
}

/// The words of host-local.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RangeEntry {
    subnet: String,
    #[serde(default)]
    range_start: Option<IpAddr>,
    #[serde(default)]
    range_end: Option<IpAddr>,
}

impl From<Entry> for RangeEntry {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Prefix(subnet) => Self { subnet, range_start: None, range_end: None },
            Entry::Range(range) => range,
        }
    }
}

/// One pool a family; none where addresses are another plugin's task.
pub(super) fn pools(fields: &Fields, runtime: &Fields, delegated: bool) -> Result<Vec<Pool>> {
    let entries: Vec<Entry> = match field(fields, "subnets")? {
        Some(entries) => entries,
        None if delegated || runtime.contains_key("ipRanges") => Vec::new(),
        None => return Err(invalid("subnets", "is missing")),
    };
    let mut subnets = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        add(&mut subnets, &format!("subnets[{at}]"), &entry.into())?;
    }
    let exclude = excluded(fields)?;
    let configured = pools_of(&subnets, &exclude);
    let asked = ranges(runtime)?;
    if !asked.is_empty() {
        let allowed = field(fields, "hostRoutes")?.unwrap_or(false) || subnets.is_empty();
        let outside =
            asked.iter().find(|range| !subnets.iter().any(|subnet| subnet.net.contains(&range.net)));
        return match outside {
            Some(outside) if !allowed => {
                Err(invalid("runtimeConfig.ipRanges", format!("has {}, outside of subnets", outside.net)))
            }
            _ => Ok(pools_of(&asked, &exclude)),
        };
    }
    if configured.is_empty() && !delegated {
        return Err(invalid("subnets", "is empty"));
    }
    Ok(configured)
}

fn pools_of(subnets: &[Subnet], exclude: &[IpNet]) -> Vec<Pool> {
    Family::ALL.iter().filter_map(|family| Pool::new(*family, subnets, exclude)).collect()
}

fn add(subnets: &mut Vec<Subnet>, name: &str, entry: &RangeEntry) -> Result<()> {
    let text = &entry.subnet;
    let net: IpNet = text.parse().map_err(|_| invalid(name, format!("is {text:?}, not a prefix")))?;
    let net = net.trunc();
    if let Some(other) = subnets.iter().find(|other| other.net.contains(&net) || net.contains(&other.net)) {
        return Err(invalid(name, format!("{net} overlaps {}", other.net)));
    }
    for (word, bound) in [("rangeStart", entry.range_start), ("rangeEnd", entry.range_end)] {
        if let Some(bound) = bound.filter(|bound| !net.contains(bound)) {
            return Err(invalid(name, format!("has the {word} {bound}, which is not in {net}")));
        }
    }
    if let (Some(start), Some(end)) = (entry.range_start, entry.range_end)
        && start > end
    {
        return Err(invalid(name, format!("has the rangeStart {start} behind the rangeEnd {end}")));
    }
    subnets.push(Subnet { net, start: entry.range_start, end: entry.range_end });
    Ok(())
}

/// Addresses and prefixes that are handed out only to who asks for them.
fn excluded(fields: &Fields) -> Result<Vec<IpNet>> {
    let texts: Vec<String> = field(fields, "exclude")?.unwrap_or_default();
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| {
            text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).ok_or_else(
                || invalid(&format!("exclude[{at}]"), format!("is {text:?}, neither address nor prefix")),
            )
        })
        .collect()
}

/// The capability: one list of ranges an address, at most one of a family.
fn ranges(runtime: &Fields) -> Result<Vec<Subnet>> {
    let sets: Vec<Vec<RangeEntry>> = inner(runtime, "runtimeConfig", "ipRanges")?.unwrap_or_default();
    let mut subnets: Vec<Subnet> = Vec::new();
    for set in sets {
        let first = subnets.len();
        for entry in set {
            add(&mut subnets, "runtimeConfig.ipRanges", &entry)?;
        }
        let (before, own) = subnets.split_at(first);
        let family = |subnet: &Subnet| Family::of(subnet.net.addr());
        if own.iter().any(|subnet| before.iter().any(|other| family(other) == family(subnet)))
            || own.iter().any(|subnet| own.iter().any(|other| family(other) != family(subnet)))
        {
            let value = runtime.get("ipRanges").unwrap_or(&Value::Null);
            return Err(unsupported("runtimeConfig.ipRanges", value));
        }
    }
    Ok(subnets)
}
