//! The CNI plugin of underlay: one point-to-point link and one address a family for each pod.
//!
//! A call is one process: it reads the environment and stdin, works, writes one JSON value
//! or nothing to stdout, and ends. No runtime, no agent; no child process but an IPAM plugin
//! where the configuration names one.
//!
//! Layers, lowest first; a module uses only those before it:
//!
//! | module | owns |
//! |---|---|
//! | `version`, `error` | what we speak, and how we say no |
//! | `attachment`, `ipam` | names of an attachment; which address is next |
//! | `hop` | routes of the pod; pure |
//! | `plan` | the link as steps with their undo; pure |
//! | `result`, `conf`, `command` | JSON out, JSON in, environment |
//! | `ledger`, `store` | who holds which address; the file behind it |
//! | `predecessor`, `delegate` | host-local's files of the same network; another IPAM plugin |
//! | `attribute`, `netlink`, `fact`, `message` | bytes, socket, replies, requests |
//! | `portmap`, `ruleset` | what of the packet filter a pod has; pure |
//! | `nftables`, `conntrack`, `forward` | the packet filter's socket, connections, the chain of others |
//! | `netns`, `sysctl`, `kernel` | the namespace, its files, and the plan carried out |
//! | `list` | the table for people |
//! | `feature`, `catalogue` | what else an attachment may have; all of it |
//! | `shaping`, `bandwidth` | rates as messages; both directions held to them |
//! | `tenancy`, `filter` | who has what in the packet filter; what is asked of it |
//! | `choice` | addresses for an attachment |
//! | `add`, `del`, `check`, `status`, `gc` | one verb each |

use std::io::Read;

use serde_json::Value;

pub mod add;
pub mod attachment;
pub mod attribute;
pub mod bandwidth;
pub mod catalogue;
pub mod check;
pub mod choice;
pub mod command;
pub mod conf;
pub mod conntrack;
pub mod del;
pub mod delegate;
pub mod error;
pub mod fact;
pub mod feature;
pub mod filter;
pub mod forward;
pub mod gc;
pub mod hop;
pub mod ipam;
pub mod kernel;
pub mod ledger;
pub mod list;
pub mod message;
pub mod netlink;
pub mod netns;
pub mod nftables;
pub mod plan;
pub mod portmap;
pub mod predecessor;
pub mod result;
pub mod ruleset;
pub mod shaping;
pub mod status;
pub mod store;
pub mod sysctl;
pub mod tenancy;
pub mod version;

use command::{Args, Lookup, Target, Verb};
use conf::Document;
use error::{Code, Error, Result};
use version::Version;

/// More than any configuration has, and little enough to read.
const STDIN_MAX: u64 = 4 * 1024 * 1024;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What to write to stdout; none for a verb that has no result.
    pub json: Option<Value>,
    /// Whether the exit status says failure.
    pub failed: bool,
}

/// One call, from its environment and stdin to its outcome.
pub fn run(lookup: Lookup<'_>, stdin: &mut dyn Read) -> Outcome {
    let mut version = Version::NEWEST;
    match call(lookup, stdin, &mut version) {
        Ok(json) => Outcome { json, failed: false },
        Err(error) => Outcome { json: Some(error.to_json(version)), failed: true },
    }
}

/// `version` becomes that of the request as soon as it is known, so that an error carries it.
fn call(lookup: Lookup<'_>, stdin: &mut dyn Read, version: &mut Version) -> Result<Option<Value>> {
    let verb = Verb::from_env(lookup)?;
    let mut bytes = Vec::new();
    stdin.take(STDIN_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read stdin", &e))?;
    if bytes.len() as u64 > STDIN_MAX {
        let text = format!("the network configuration on stdin has more than {STDIN_MAX} bytes");
        return Err(Error::new(Code::Decode, text));
    }
    if verb == Verb::Version {
        return versions(&bytes).map(Some);
    }
    let document = conf::object(&bytes).and_then(Document::new);
    if let Ok(document) = &document {
        *version = document.version;
    }
    match verb {
        Verb::Add => {
            let (target, args) = (Target::from_env(verb, lookup)?, Args::from_env(lookup)?);
            let document = document?;
            add::add(&target, &args, &document, &document.network()?, lookup("CNI_PATH")).map(Some)
        }
        Verb::Del => {
            let target = Target::from_env(verb, lookup)?;
            del::del(&target, &document?, lookup("CNI_PATH")).map(|()| None)
        }
        Verb::Check => {
            let target = Target::from_env(verb, lookup)?;
            let document = since(Version::V0_4_0, "CHECK", document?)?;
            check::check(&target, &document, &document.network()?, lookup("CNI_PATH")).map(|()| None)
        }
        Verb::Status => {
            let document = since(Version::V1_1_0, "STATUS", document?)?;
            status::status(&document, &document.network()?, lookup("CNI_PATH")).map(|()| None)
        }
        Verb::Gc => {
            let document = since(Version::V1_1_0, "GC", document?)?;
            gc::gc(&document, &document.valid_attachments()?, lookup("CNI_PATH")).map(|()| None)
        }
        Verb::Version => Ok(None),
    }
}

/// VERSION also answers where there is no configuration.
fn versions(bytes: &[u8]) -> Result<Value> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(result::versions(Version::NEWEST.as_str()));
    }
    let fields = conf::object(bytes)?;
    let requested = if fields.contains_key("cniVersion") {
        conf::requested_version(&fields)?
    } else {
        Version::NEWEST.as_str().into()
    };
    Ok(result::versions(&requested))
}

fn since(first: Version, verb: &str, document: Document) -> Result<Document> {
    if document.version < first {
        let text = format!("cniVersion {} has no {verb}; {} has", document.version.as_str(), first.as_str());
        return Err(Error::new(Code::Version, text));
    }
    Ok(document)
}
