//! The API server that an agent has its objects from, on the loopback of its node.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::kubernetes::{ApiServer, Setup};
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// The Node's own part, which `kubectl apply` leaves out.
const ADDRESSES: &str = r#"{"status": {"addresses": [{"type": "InternalIP", "address": "10.0.1.2"}]}}"#;

/// Starts one that holds these objects. An earlier one of the sandbox, and what it held, has to be gone.
///
/// # Errors
/// A program that does not say which kinds there are.
///
/// # Panics
/// Where the server does not become ready, or refuses an object.
pub fn start(sandbox: &Sandbox, netns: &Netns, underlay: &Path, objects: &str) -> io::Result<ApiServer> {
    let api = ApiServer::with(sandbox, Setup { namespace: Some(netns.clone()), ..Setup::default() });
    // This one is older than rules in CEL.
    let kinds = Command::new(underlay).args(["crd", "--without-cel"]).output()?;
    api.apply(&String::from_utf8_lossy(&kinds.stdout));
    api.kubectl(&["wait", "--for=condition=established", "crd", "--all", "--timeout=60s"]);
    api.apply(objects);
    api.kubectl(&["patch", "node", "node", "--subresource=status", "--type=merge", "-p", ADDRESSES]);
    Ok(api)
}
