//! Addresses by another plugin: the `ipam` section's type, called with every verb.
//!
//! Owns finding it in `CNI_PATH`, calling it and reading its answer. It gets our environment
//! and configuration, its stderr is ours. A plugin that does not speak our version is called
//! in 1.0.0, and one that has no STATUS or GC is not asked for it.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use api::netconf::Route;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use crate::attachment::Attachment;
use crate::conf::Document;
use crate::error::{Code, Error, Result};
use crate::result::Dns;
use crate::version::Version;

/// The plugin behind an `ipam` section.
#[derive(Debug)]
pub struct Delegate<'a> {
    document: &'a Document,
    kind: String,
    program: PathBuf,
}

/// What it gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// At least one.
    pub addresses: Vec<IpAddr>,
    /// The first gateway of each family that has one.
    pub gateways: Vec<IpAddr>,
    /// Routes of the container.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Dns,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    ips: Vec<AnswerIp>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Deserialize)]
struct AnswerIp {
    address: IpNet,
    #[serde(default)]
    gateway: Option<IpAddr>,
}

impl<'a> Delegate<'a> {
    /// The plugin of that type in the folders of `path`, which is written as `CNI_PATH` is.
    ///
    /// # Errors
    /// Code 4 without a path, 5 if no folder has it.
    pub fn find(document: &'a Document, kind: &str, path: Option<OsString>) -> Result<Self> {
        let path = path.filter(|path| !path.is_empty()).ok_or_else(|| {
            let text =
                format!("environment variable CNI_PATH: missing or empty; the ipam plugin {kind} is in it");
            Error::new(Code::Environment, text)
        })?;
        let found = std::env::split_paths(&path).map(|folder| folder.join(kind)).find(|file| file.is_file());
        let program = found.ok_or_else(|| {
            let text = format!("no folder of CNI_PATH has the ipam plugin {kind}");
            Error::new(Code::Io, text).with_details(path.to_string_lossy())
        })?;
        Ok(Self { document, kind: kind.into(), program })
    }

    /// ADD.
    ///
    /// # Errors
    /// What the plugin says; code 6 for an answer that is no result, 7 for one without an address.
    pub fn add(&self) -> Result<Given> {
        let value = self.call("ADD", None)?.unwrap_or_default();
        let answer: Answer = serde_json::from_value(value).map_err(|e| {
            Error::new(Code::Decode, format!("the ipam plugin {} answers with no result", self.kind))
                .with_details(e.to_string())
        })?;
        let mut given = Given { routes: answer.routes, dns: answer.dns, ..Given::default() };
        for ip in answer.ips {
            given.addresses.push(ip.address.addr());
            let known =
                |gateway: &IpAddr| given.gateways.iter().any(|other| other.is_ipv4() == gateway.is_ipv4());
            if let Some(gateway) = ip.gateway.filter(|gateway| !gateway.is_unspecified() && !known(gateway)) {
                given.gateways.push(gateway);
            }
        }
        // The order of results: IPv4 first, else as given.
        given.addresses.sort_by_key(IpAddr::is_ipv6);
        if given.addresses.is_empty() {
            return Err(Error::new(Code::Config, format!("the ipam plugin {} gives no address", self.kind)));
        }
        Ok(given)
    }

    /// DEL of the attachment in the environment, or of another.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn del(&self, other: Option<&Attachment>) -> Result<()> {
        self.call("DEL", other).map(drop)
    }

    /// CHECK.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn check(&self) -> Result<()> {
        self.call("CHECK", None).map(drop)
    }

    /// STATUS or GC, which older plugins do not have.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn ask(&self, verb: &str) -> Result<()> {
        match self.run(verb, None, None) {
            Err(error) if is_unknown(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    fn call(&self, verb: &str, other: Option<&Attachment>) -> Result<Option<Value>> {
        match self.run(verb, None, other) {
            Err(error) if error.code == Code::Version && self.document.version > Version::V1_0_0 => {
                self.run(verb, Some(Version::V1_0_0), other)
            }
            answer => answer,
        }
    }

    fn run(&self, verb: &str, version: Option<Version>, other: Option<&Attachment>) -> Result<Option<Value>> {
        let fail = |e: &std::io::Error| Error::io(format_args!("run {}", shown(&self.program)), e);
        let mut command = Command::new(&self.program);
        command.env("CNI_COMMAND", verb).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(other) = other {
            command.env("CNI_CONTAINERID", other.container()).env("CNI_IFNAME", other.interface());
            command.env_remove("CNI_NETNS").env_remove("CNI_ARGS");
        }
        let mut child = command.spawn().map_err(|e| fail(&e))?;
        let written = write(&mut child, &self.document.to_json(version));
        let output = child.wait_with_output().map_err(|e| fail(&e))?;
        if output.status.success() {
            written.map_err(|e| fail(&e))?;
            if output.stdout.iter().all(u8::is_ascii_whitespace) {
                return Ok(None);
            }
            return serde_json::from_slice(&output.stdout).map(Some).map_err(|e| {
                Error::new(Code::Decode, format!("the ipam plugin {} writes no JSON", self.kind))
                    .with_details(e.to_string())
            });
        }
        Err(self.failure(&output.stdout, &output.status.to_string()))
    }

    /// The plugin's own words, with its name before them.
    fn failure(&self, stdout: &[u8], status: &str) -> Error {
        #[derive(Deserialize)]
        struct Failure {
            code: u32,
            #[serde(default)]
            msg: String,
            #[serde(default)]
            details: String,
        }
        match serde_json::from_slice::<Failure>(stdout) {
            Ok(Failure { code, msg, details }) => {
                let known = Code::from_number(code);
                let number = if known == Code::Delegate { format!(" (code {code})") } else { String::new() };
                Error::new(known, format!("ipam plugin {}: {msg}{number}", self.kind)).with_details(details)
            }
            Err(_) => Error::new(Code::Delegate, format!("ipam plugin {}: {status}", self.kind))
                .with_details(String::from_utf8_lossy(stdout)),
        }
    }
}

/// Whether a plugin says that it knows no such verb or version.
fn is_unknown(error: &Error) -> bool {
    // Old plugins look for a container before they look at the verb; these verbs have none.
    matches!(error.code, Code::Version | Code::Environment | Code::UnknownContainer)
}

fn write(child: &mut Child, bytes: &[u8]) -> std::io::Result<()> {
    match child.stdin.take().map(|mut pipe| pipe.write_all(bytes)) {
        // One that ends without reading says why in its answer.
        Some(Err(e)) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        Some(result) => result,
        None => Ok(()),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
