//! What the runtime asks for in `runtimeConfig` and `args.cni`.

use std::net::IpAddr;

use serde::Deserialize;

use super::field::{Fields, addresses, field, inner, invalid, is_empty, is_foreign, unsupported};
use crate::attachment::Mac;
use crate::error::Result;
use crate::result::Dns;

/// Fields of `runtimeConfig` that features read.
const OF_FEATURES: [&str; 2] = ["bandwidth", "portMappings"];

/// The requests of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runtime {
    /// The `ips` capability, else `args.cni.ips`.
    pub(super) ips: Vec<IpAddr>,
    /// The `mac` capability.
    pub(super) mac: Option<Mac>,
    /// The `dns` capability.
    pub(super) dns: Dns,
}

/// The capability's own words for what a result calls nameservers and search.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DnsRequest {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

/// The requests; `ipRanges` is for the pools.
pub(super) fn runtime(fields: &Fields) -> Result<Runtime> {
    let section: Fields = field(fields, "runtimeConfig")?.unwrap_or_default();
    let mut runtime = Runtime::default();
    for (key, value) in &section {
        match key.as_str() {
            "ips" => runtime.ips = ips(&section, "runtimeConfig")?,
            "mac" => runtime.mac = mac(&section)?,
            "dns" => {
                let asked: DnsRequest = inner(&section, "runtimeConfig", "dns")?.unwrap_or_default();
                let DnsRequest { servers, searches, options } = asked;
                runtime.dns = Dns { nameservers: servers, domain: String::new(), search: searches, options };
            }
            // Pods of any group may have an address; the group is for those who shape or count by it.
            "ipRanges" | "cgroupPath" => {}
            known if OF_FEATURES.contains(&known) => {}
            _ if is_empty(value) || is_foreign(key) => {}
            _ => return Err(unsupported(&format!("runtimeConfig.{key}"), value)),
        }
    }
    if runtime.ips.is_empty() {
        let args: Fields = field(fields, "args")?.unwrap_or_default();
        // Other keys are arguments of other plugins: a network's args go to its whole chain.
        let cni: Fields = inner(&args, "args", "cni")?.unwrap_or_default();
        runtime.ips = ips(&cni, "args.cni")?;
    }
    Ok(runtime)
}

fn ips(section: &Fields, name: &str) -> Result<Vec<IpAddr>> {
    let texts: Vec<String> = inner(section, name, "ips")?.unwrap_or_default();
    addresses(&format!("{name}.ips"), &texts)
}

fn mac(section: &Fields) -> Result<Option<Mac>> {
    let text: Option<String> = inner(section, "runtimeConfig", "mac")?;
    text.filter(|text| !text.is_empty())
        .map(|text| {
            Mac::parse(&text).filter(|mac| mac.is_usable()).ok_or_else(|| {
                invalid("runtimeConfig.mac", format!("is {text:?}, not a unicast MAC address"))
            })
        })
        .transpose()
}
