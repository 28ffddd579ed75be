//! The environment of a call: which verb, for whom, where. Parsed and checked before anything else.
//!
//! Every error here has code 4 and names the variable.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::attachment::{Attachment, Mac, Part};
use crate::conf::address;
use crate::error::{Code, Error, Result};

/// Looks a variable up, as `std::env::var_os` does.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// `CNI_COMMAND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Attach a container.
    Add,
    /// Detach it; also when there is nothing to detach.
    Del,
    /// Is it as ADD left it?
    Check,
    /// Would an ADD succeed?
    Status,
    /// Free what is not in the list.
    Gc,
    /// Which versions?
    Version,
}

impl Verb {
    /// The verb in `CNI_COMMAND`.
    ///
    /// # Errors
    /// Code 4 if it is missing or none of ours.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self> {
        let name = required(lookup, "CNI_COMMAND")?;
        match name.as_str() {
            "ADD" => Ok(Self::Add),
            "DEL" => Ok(Self::Del),
            "CHECK" => Ok(Self::Check),
            "STATUS" => Ok(Self::Status),
            "GC" => Ok(Self::Gc),
            "VERSION" => Ok(Self::Version),
            _ => Err(environment(
                "CNI_COMMAND",
                format!("is {name:?}; one of ADD, DEL, CHECK, STATUS, GC, VERSION is expected"),
            )),
        }
    }
}

/// What the verbs that concern one container need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `CNI_CONTAINERID` and `CNI_IFNAME`.
    pub attachment: Attachment,
    /// `CNI_NETNS` verbatim; may be missing on DEL.
    pub netns: Option<String>,
    /// `CNI_NETNS_OVERRIDE` is set: the plugin's own namespace is accepted.
    pub own_netns_allowed: bool,
}

impl Target {
    /// The target of `verb`, which is one of ADD, DEL and CHECK.
    ///
    /// # Errors
    /// Code 4 with every variable that is missing, or the first that is invalid.
    pub fn from_env(verb: Verb, lookup: Lookup<'_>) -> Result<Self> {
        let needed: &[&str] = match verb {
            Verb::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            _ => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
        };
        let missing: Vec<&str> =
            needed.iter().copied().filter(|name| lookup(name).is_none_or(|value| value.is_empty())).collect();
        if !missing.is_empty() {
            return Err(environment(&missing.join(", "), "missing or empty"));
        }
        let container = required(lookup, "CNI_CONTAINERID")?;
        let interface = required(lookup, "CNI_IFNAME")?;
        let attachment = Attachment::new(&container, &interface).map_err(|(part, why)| {
            let name = if part == Part::Container { "CNI_CONTAINERID" } else { "CNI_IFNAME" };
            environment(name, why)
        })?;
        let netns = optional(lookup, "CNI_NETNS")?;
        let own_netns_allowed = optional(lookup, "CNI_NETNS_OVERRIDE")?.is_some_and(|value| is_true(&value));
        Ok(Self { attachment, netns, own_netns_allowed })
    }

    /// The namespace's path.
    pub fn netns_path(&self) -> Option<PathBuf> {
        self.netns.as_ref().map(PathBuf::from)
    }
}

/// `CNI_ARGS`, as far as we know its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// `IP`: addresses that are asked for.
    pub ips: Vec<IpAddr>,
    /// `MAC`: the address of the pod's end.
    pub mac: Option<Mac>,
    /// `namespace/name` of the pod.
    pub pod: Option<String>,
}

impl Args {
    /// The arguments in `CNI_ARGS`.
    ///
    /// # Errors
    /// Code 4 for a value that is invalid, and for an unknown key unless `IgnoreUnknown` is true.
    pub fn from_env(lookup: Lookup<'_>) -> Result<Self> {
        let text = optional(lookup, "CNI_ARGS")?.unwrap_or_default();
        let mut args = Self::default();
        let (mut namespace, mut name, mut unknown, mut lenient) = (None, None, None, false);
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| environment("CNI_ARGS", format!("has {pair:?}, which is not KEY=VALUE")))?;
            let invalid = || environment("CNI_ARGS", format!("has {key}={value}, which is not valid"));
            match key {
                "IgnoreUnknown" => lenient = is_true(value),
                "IP" => {
                    for part in value.split(',') {
                        args.ips.push(address(part).ok_or_else(invalid)?);
                    }
                }
                "MAC" => {
                    args.mac = Some(Mac::parse(value).filter(|mac| mac.is_usable()).ok_or_else(invalid)?);
                }
                "K8S_POD_NAMESPACE" => namespace = Some(value),
                "K8S_POD_NAME" => name = Some(value),
                "K8S_POD_INFRA_CONTAINER_ID" | "K8S_POD_UID" => {}
                _ => unknown = unknown.or(Some(key)),
            }
        }
        if let (Some(key), false) = (unknown, lenient) {
            return Err(environment(
                "CNI_ARGS",
                format!("has the unknown key {key}, without IgnoreUnknown=1"),
            ));
        }
        args.pod = namespace.zip(name).map(|(namespace, name)| format!("{namespace}/{name}"));
        Ok(args)
    }
}

fn is_true(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("true")
}

/// A variable's value; none if it is unset or empty.
fn optional(lookup: Lookup<'_>, name: &str) -> Result<Option<String>> {
    match lookup(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) if value.contains('\0') => Err(environment(name, "contains a NUL byte")),
        Some(Ok(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
        Some(Err(value)) => Err(environment(name, format!("is not UTF-8: {}", value.to_string_lossy()))),
    }
}

fn required(lookup: Lookup<'_>, name: &str) -> Result<String> {
    optional(lookup, name)?.ok_or_else(|| environment(name, "missing or empty"))
}

fn environment(name: &str, why: impl AsRef<str>) -> Error {
    Error::new(Code::Environment, format!("environment variable {name}: {}", why.as_ref()))
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
