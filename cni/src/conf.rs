//! The network configuration on stdin: every field checked, each error names the field.
//!
//! Two levels: [`Document`] is what DEL and GC need, so that a field that ADD refuses never
//! keeps a container from being detached; [`Network`] is the whole. What is not supported is
//! refused by name (code 2), never ignored; keys with a dot or a slash belong to somebody's
//! name space (`cni.dev/…`) and are not ours to judge.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use api::netconf::{DEFAULT_STATE_DIR, READY_FILE};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::attachment::{Attachment, Mac, container_id};
use crate::error::{Code, Error, Result};
use crate::ipam::{Family, Pool};
use crate::result::{Dns, PrevResult};
use crate::version::Version;

/// Longest name of a network: it must leave room in the link's alias.
const NAME_MAX: usize = 100;

/// Smallest and largest MTU, bytes: RFC 791 §3.2 and what veth takes.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;

/// Smallest MTU of a link with IPv6, bytes (RFC 8200 §5).
const MTU_V6: u32 = 1_280;

/// Keys that [`Document::network`] or [`Document`] reads, or that only the runtime needs.
const KNOWN: [&str; 20] = [
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "subnets",
    "mtu",
    "stateDir",
    "readyFile",
    "capabilities",
    "runtimeConfig",
    "args",
    "dns",
    "prevResult",
    "antiSpoof",
    "ingressRate",
    "ingressBurst",
    "egressRate",
    "egressBurst",
    "ipMasq",
    "masqExcept",
];

/// Fields of `runtimeConfig` that features read.
const RUNTIME_OF_FEATURES: [&str; 2] = ["bandwidth", "portMappings"];

/// A configuration whose version and name are good.
#[derive(Debug, Clone)]
pub struct Document {
    fields: Map<String, Value>,
    /// The version to answer in.
    pub version: Version,
    /// The network's name.
    pub name: String,
    /// Folder of the reservations of all networks.
    pub state_dir: PathBuf,
}

/// All that ADD, CHECK and STATUS need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// One pool a family, IPv4 first; at least one.
    pub pools: Vec<Pool>,
    /// MTU in bytes, if configured.
    pub mtu: Option<u32>,
    /// Addresses from the `ips` capability.
    pub ips: Vec<IpAddr>,
    /// MAC address from the `mac` capability.
    pub mac: Option<Mac>,
    /// Whether sources that a pod does not own are dropped.
    pub anti_spoof: bool,
    /// Destinations that are not masqueraded for beside the subnets; none where nothing is.
    pub masquerade_except: Option<Vec<IpNet>>,
    /// Name servers, returned as they are.
    pub dns: Dns,
    /// The file that says that the node is ready; none for a network without an agent.
    pub ready_file: Option<PathBuf>,
    /// The result so far.
    pub prev_result: Option<PrevResult>,
}

/// The JSON object in `bytes`.
///
/// # Errors
/// Code 6 if it is none.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    let fail = |why: String| {
        Error::new(Code::Decode, "the network configuration is not a JSON object").with_details(why)
    };
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(fail("stdin holds another JSON value".into())),
        Err(e) => Err(fail(e.to_string())),
    }
}

/// The version that an object asks for; 0.1.0 where it says none, as the specification has it.
///
/// # Errors
/// Code 7 if it is not a string.
pub fn requested_version(fields: &Map<String, Value>) -> Result<String> {
    Ok(field(fields, "cniVersion")?.unwrap_or_else(|| "0.1.0".into()))
}

impl Document {
    /// Checks version, name and state folder.
    ///
    /// # Errors
    /// Code 1 for a version that we do not speak, 7 for a field that is invalid.
    pub fn new(fields: Map<String, Value>) -> Result<Self> {
        let requested = requested_version(&fields)?;
        let version = Version::parse(&requested).ok_or_else(|| {
            let spoken = Version::ALL.map(Version::as_str).join(", ");
            Error::new(Code::Version, format!("cniVersion {requested:?} is not supported"))
                .with_details(format!("supported: {spoken}"))
        })?;
        let name: String = field(&fields, "name")?.ok_or_else(|| invalid("name", "is missing"))?;
        container_id(&name).map_err(|why| invalid("name", why))?;
        if name.len() > NAME_MAX {
            return Err(invalid("name", format!("is longer than {NAME_MAX} bytes")));
        }
        let state_dir = path(&fields, "stateDir")?.unwrap_or_else(|| DEFAULT_STATE_DIR.into());
        Ok(Self { fields, version, name, state_dir })
    }

    /// The rest of the configuration.
    ///
    /// # Errors
    /// Code 2 for a field that is not supported, 7 for one that is invalid.
    pub fn network(&self) -> Result<Network> {
        self.refuse_unsupported()?;
        let pools = self.pools()?;
        let mtu = field(&self.fields, "mtu")?.filter(|mtu| *mtu != 0);
        if let Some(mtu) = mtu {
            let least =
                if pools.iter().any(|pool| pool.family() == Family::V6) { MTU_V6 } else { *MTU.start() };
            if !(least..=*MTU.end()).contains(&mtu) {
                return Err(invalid("mtu", format!("is {mtu}; {least} to {} is possible", MTU.end())));
            }
        }
        let except: Vec<IpNet> = field(&self.fields, "masqExcept")?.unwrap_or_default();
        let ready_file = match self.fields.get("readyFile") {
            Some(Value::String(text)) if text.is_empty() => None,
            _ => Some(path(&self.fields, "readyFile")?.unwrap_or_else(|| READY_FILE.into())),
        };
        let (ips, mac) = self.runtime_config()?;
        Ok(Network {
            pools,
            mtu,
            ips,
            mac,
            masquerade_except: field(&self.fields, "ipMasq")?.unwrap_or(false).then_some(except),
            anti_spoof: field(&self.fields, "antiSpoof")?.unwrap_or(true),
            dns: field(&self.fields, "dns")?.unwrap_or_default(),
            ready_file,
            prev_result: field(&self.fields, "prevResult")?,
        })
    }

    /// The attachments that GC must keep.
    ///
    /// # Errors
    /// Code 7 if the list is missing or holds something else.
    pub fn valid_attachments(&self) -> Result<Vec<Attachment>> {
        const KEY: &str = "cni.dev/valid-attachments";
        #[derive(Deserialize)]
        struct Valid {
            #[serde(rename = "containerID")]
            container: String,
            ifname: String,
        }
        let list: Vec<Valid> = field(&self.fields, KEY)?.ok_or_else(|| invalid(KEY, "is missing"))?;
        list.iter()
            .map(|valid| {
                Attachment::new(&valid.container, &valid.ifname)
                    .map_err(|(part, why)| invalid(KEY, format!("{part:?} {why}")))
            })
            .collect()
    }

    /// A field of the configuration, for the feature that owns it.
    ///
    /// # Errors
    /// Code 7 if it has another shape.
    pub fn field<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        field(&self.fields, key)
    }

    /// A field of `runtimeConfig`, for the feature that owns it.
    ///
    /// # Errors
    /// Code 7 if it has another shape.
    pub fn runtime_field<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let runtime: Map<String, Value> = field(&self.fields, "runtimeConfig")?.unwrap_or_default();
        field(&runtime, key).map_err(|error| {
            let details = error.details.clone();
            invalid(&format!("runtimeConfig.{key}"), "is invalid").with_details(details)
        })
    }

    fn pools(&self) -> Result<Vec<Pool>> {
        let texts: Vec<String> =
            field(&self.fields, "subnets")?.ok_or_else(|| invalid("subnets", "is missing"))?;
        let mut subnets: Vec<IpNet> = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            let net: IpNet = text
                .parse()
                .map_err(|_| invalid(&format!("subnets[{at}]"), format!("is {text:?}, not a prefix")))?;
            let net = net.trunc();
            if let Some(other) = subnets.iter().find(|other| other.contains(&net) || net.contains(*other)) {
                return Err(invalid(&format!("subnets[{at}]"), format!("{net} overlaps {other}")));
            }
            subnets.push(net);
        }
        let pools: Vec<Pool> = Family::ALL.iter().filter_map(|family| Pool::new(*family, &subnets)).collect();
        if pools.is_empty() {
            return Err(invalid("subnets", "is empty"));
        }
        Ok(pools)
    }

    fn runtime_config(&self) -> Result<(Vec<IpAddr>, Option<Mac>)> {
        let runtime: Map<String, Value> = field(&self.fields, "runtimeConfig")?.unwrap_or_default();
        let (mut ips, mut mac) = (Vec::new(), None);
        for (key, value) in &runtime {
            match key.as_str() {
                "ips" => {
                    let texts: Vec<String> = field(&runtime, "ips")?.unwrap_or_default();
                    for text in texts {
                        ips.push(address(&text).ok_or_else(|| {
                            invalid("runtimeConfig.ips", format!("has {text:?}, not an address"))
                        })?);
                    }
                }
                "mac" => {
                    let text: Option<String> = field(&runtime, "mac")?;
                    mac = text
                        .filter(|text| !text.is_empty())
                        .map(|text| {
                            Mac::parse(&text).filter(|mac| mac.is_usable()).ok_or_else(|| {
                                invalid(
                                    "runtimeConfig.mac",
                                    format!("is {text:?}, not a unicast MAC address"),
                                )
                            })
                        })
                        .transpose()?;
                }
                known if RUNTIME_OF_FEATURES.contains(&known) => {}
                _ if is_empty(value) || is_foreign(key) => {}
                _ => return Err(unsupported(&format!("runtimeConfig.{key}"), value)),
            }
        }
        Ok((ips, mac))
    }

    fn refuse_unsupported(&self) -> Result<()> {
        for (key, value) in &self.fields {
            if !(KNOWN.contains(&key.as_str()) || is_foreign(key) || is_empty(value)) {
                return Err(unsupported(key, value));
            }
        }
        let args: Map<String, Value> = field(&self.fields, "args")?.unwrap_or_default();
        match args.get("cni") {
            Some(value) if !is_empty(value) => Err(unsupported("args.cni", value)),
            _ => Ok(()),
        }
    }
}

/// An address, with or without a prefix length behind it.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().or_else(|| text.parse::<IpNet>().ok().map(|net| net.addr()))
}

/// Whether a value asks for nothing, so that not supporting its field changes nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn is_foreign(key: &str) -> bool {
    key.contains(['.', '/'])
}

fn field<T: DeserializeOwned>(fields: &Map<String, Value>, key: &str) -> Result<Option<T>> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value)
            .map(Some)
            .map_err(|e| invalid(key, "is invalid").with_details(e.to_string())),
    }
}

fn path(fields: &Map<String, Value>, key: &str) -> Result<Option<PathBuf>> {
    let text: Option<String> = field(fields, key)?;
    match text {
        Some(text) if !Path::new(&text).is_absolute() || text.contains('\0') => {
            Err(invalid(key, format!("is {text:?}, not an absolute path")))
        }
        other => Ok(other.map(PathBuf::from)),
    }
}

fn invalid(key: &str, why: impl AsRef<str>) -> Error {
    Error::new(Code::Config, format!("network configuration: {key} {}", why.as_ref()))
}

fn unsupported(key: &str, value: &Value) -> Error {
    Error::new(
        Code::Unsupported,
        format!("network configuration: field {key} with value {value} is not supported"),
    )
}

#[cfg(test)]
#[path = "conf_tests.rs"]
mod tests;
