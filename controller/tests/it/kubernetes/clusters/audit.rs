//! What the agent asked of the API server, by the server's audit log.

use serde_json::Value;

use super::{ACCOUNT, NAMESPACE};

/// The events of the agent's account.
pub(super) fn asked(audit: &str) -> impl Iterator<Item = Value> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let events = audit.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(move |event| event["user"]["username"] == user.as_str())
}

/// How many lists of Nodes, or pages of one, there were.
pub(in super::super) fn lists(audit: &str) -> usize {
    asked(audit).filter(|event| event["verb"] == "list" && event["objectRef"]["resource"] == "nodes").count()
}
