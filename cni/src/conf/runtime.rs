//! What the runtime asks for in `runtimeConfig` and `args.cni`.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

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

/// Reads capabilities as the reference plugins do, whose language knows neither upper and lower case in names nor the
/// difference between nothing and a field that is not there. Of containerd come `HostPort`, `"RangeStart": ""` and
/// `"Servers": null`.
pub(super) fn settle(fields: &mut Fields) {
    let Some(Value::Object(section)) = fields.get_mut("runtimeConfig") else { return };
    section.values_mut().for_each(settle_value);
}

fn settle_value(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(settle_value),
        Value::Object(fields) => {
            let (exact, capital): (Fields, Fields) = std::mem::take(fields)
                .into_iter()
                .filter(|(_, value)| !value.is_null() && value.as_str() != Some(""))
                .partition(|(key, _)| !key.starts_with(|first: char| first.is_ascii_uppercase()));
            *fields = exact;
            for (mut key, value) in capital {
                key[..1].make_ascii_lowercase();
                fields.entry(key).or_insert(value);
            }
            fields.values_mut().for_each(settle_value);
        }
        _ => {}
    }
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
