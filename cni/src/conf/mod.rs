//! The network configuration on stdin: every field checked, each error names the field.
//!
//! Two levels: [`Document`] is what DEL and GC need, so that a field that ADD refuses never
//! keeps a container from being detached; [`Network`] is the whole. What is not supported is
//! refused by name (code 2), never ignored; keys with a dot or a slash belong to somebody's
//! name space (`cni.dev/…`) and are not ours to judge.

mod field;
mod pool;
mod route;
mod runtime;

use std::net::IpAddr;
use std::path::PathBuf;

use api::netconf::{DEFAULT_STATE_DIR, READY_FILE, Route};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use self::field::address;
use self::field::{Fields, field, inner, invalid, is_empty, is_foreign, path, unsupported};
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
const KNOWN: [&str; 27] = [
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
    "ipam",
    "exclude",
    "routes",
    "gateway",
    "defaultRoute",
    "hostRoutes",
    "notReadyWhenFull",
];

/// A configuration whose version and name are good.
#[derive(Debug, Clone)]
pub struct Document {
    fields: Fields,
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
    /// One pool a family, IPv4 first; at least one unless addresses are another plugin's task.
    pub pools: Vec<Pool>,
    /// The `type` of the plugin that gives the addresses, if that is not this one.
    pub ipam: Option<String>,
    /// Routes of the container beside its default routes.
    pub routes: Vec<Route>,
    /// Gateways of the container, where they are to be others than ours; at most one a family.
    pub gateways: Vec<IpAddr>,
    /// Whether the container gets default routes.
    pub default_route: bool,
    /// Whether addresses outside of the subnets are fine.
    pub host_routes: bool,
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
    /// Name servers of the runtime, else of the configuration; returned as they are.
    pub dns: Dns,
    /// The file that says that the node is ready; none for a network without an agent.
    pub ready_file: Option<PathBuf>,
    /// Whether STATUS says no where no address is free.
    pub not_ready_when_full: bool,
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
    pub fn new(mut fields: Map<String, Value>) -> Result<Self> {
        runtime::settle(&mut fields);
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
        let ipam = self.ipam()?;
        let section: Fields = field(&self.fields, "runtimeConfig")?.unwrap_or_default();
        let pools = pool::pools(&self.fields, &section, ipam.is_some())?;
        let mtu = field(&self.fields, "mtu")?.filter(|mtu| *mtu != 0);
        if let Some(mtu) = mtu {
            let v6 = pools.iter().any(|pool| pool.family() == Family::V6);
            let least = if v6 { MTU_V6 } else { *MTU.start() };
            if !(least..=*MTU.end()).contains(&mtu) {
                return Err(invalid("mtu", format!("is {mtu}; {least} to {} is possible", MTU.end())));
            }
        }
        let except: Vec<IpNet> = field(&self.fields, "masqExcept")?.unwrap_or_default();
        let ready_file = match self.fields.get("readyFile") {
            Some(Value::String(text)) if text.is_empty() => None,
            _ => Some(path(&self.fields, "readyFile")?.unwrap_or_else(|| READY_FILE.into())),
        };
        let runtime = runtime::runtime(&self.fields)?;
        let dns: Dns = field(&self.fields, "dns")?.unwrap_or_default();
        Ok(Network {
            pools,
            ipam,
            routes: route::routes(&self.fields)?,
            gateways: route::gateways(&self.fields)?,
            default_route: field(&self.fields, "defaultRoute")?.unwrap_or(true),
            host_routes: field(&self.fields, "hostRoutes")?.unwrap_or(false),
            mtu,
            ips: runtime.ips,
            mac: runtime.mac,
            masquerade_except: field(&self.fields, "ipMasq")?.unwrap_or(false).then_some(except),
            anti_spoof: field(&self.fields, "antiSpoof")?.unwrap_or(true),
            dns: if runtime.dns == Dns::default() { dns } else { runtime.dns },
            ready_file,
            not_ready_when_full: field(&self.fields, "notReadyWhenFull")?.unwrap_or(false),
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
        let runtime: Fields = field(&self.fields, "runtimeConfig")?.unwrap_or_default();
        inner(&runtime, "runtimeConfig", key)
    }

    /// The `type` in the `ipam` section, which is all of it that we judge.
    ///
    /// # Errors
    /// Code 7 for a section without one, or one that is no file name.
    pub fn ipam(&self) -> Result<Option<String>> {
        let section: Fields = field(&self.fields, "ipam")?.unwrap_or_default();
        if section.is_empty() {
            return Ok(None);
        }
        let kind: String =
            inner(&section, "ipam", "type")?.ok_or_else(|| invalid("ipam.type", "is missing"))?;
        if kind.is_empty() || kind.starts_with('.') || kind.contains(['/', '\0']) {
            return Err(invalid("ipam.type", format!("is {kind:?}, not the name of a plugin")));
        }
        Ok(Some(kind))
    }

    /// The whole configuration for a plugin that we call, in another version if that is given.
    pub fn to_json(&self, version: Option<Version>) -> Vec<u8> {
        let mut fields = self.fields.clone();
        if let Some(version) = version {
            fields.insert("cniVersion".into(), version.as_str().into());
            if let Some(Value::Object(previous)) = fields.get_mut("prevResult") {
                previous.insert("cniVersion".into(), version.as_str().into());
            }
        }
        // An object that came from JSON always serialises.
        serde_json::to_vec(&Value::Object(fields)).unwrap_or_default()
    }

    fn refuse_unsupported(&self) -> Result<()> {
        for (key, value) in &self.fields {
            if !(KNOWN.contains(&key.as_str()) || is_foreign(key) || is_empty(value)) {
                return Err(unsupported(key, value));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
