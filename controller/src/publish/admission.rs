//! Whether Kubernetes may give pods to this node: the taint `underlay.dev/agent-not-ready` and the condition
//! `NetworkUnavailable` of the Node.
//!
//! ```text
//!  a new boot, pods not yet connected   taint there, NetworkUnavailable True
//!  the node can carry pods              NetworkUnavailable False, then the taint goes
//! ```
//!
//! The kubelet may go by a network configuration of the boot before; the scheduler goes by the taint. It latches for
//! the boot as the condition PodNetworkReady does: an agent that restarts takes no node out of service. What the Node
//! says is watched, so that a Node that is registered anew, with a taint of the kubelet's, is admitted too.
//!
//! Cancel-safe: dropping the task ends a request and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::core::Request;
use kube::core::params::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::report::camel_case;
use super::task::send;
use crate::cluster::kubernetes::backoff::Backoff;
use crate::cluster::kubernetes::standing::NETWORK_UNAVAILABLE;
use crate::cluster::kubernetes::trouble::Trouble;
use crate::cluster::kubernetes::{Connection, Standing};
use crate::status::snapshot::{ConditionKind, Snapshot, Snapshots};

/// The key of the taint. A kubelet that registers its node with it leaves no moment in between.
pub const TAINT: &str = "underlay.dev/agent-not-ready";

/// The least time between two writes of the same: whoever sets it the other way each time is not fought in a loop,
/// and a write that its own watch does not show is made again.
const AGAIN: Duration = Duration::from_secs(10);

/// What is wanted of the Node, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Whether the node may carry pods.
    pub ready: bool,
    /// Why, in kebab-case.
    pub reason: &'static str,
}

impl Admission {
    /// What the snapshot says. A node that has no pods to wait for has nothing to be kept from.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let condition = snapshot.conditions.iter().find(|c| c.kind == ConditionKind::PodNetworkReady);
        let no_pods = Self { ready: true, reason: "no-pods" };
        condition.map_or(no_pods, |found| Self { ready: found.holds == Some(true), reason: found.reason })
    }
}

/// A part of the Node that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The taint.
    Taint,
    /// The condition.
    Condition,
}

/// The part of a Node to change next: the taint comes first and goes last, as the scheduler goes by it.
#[must_use]
pub fn next(standing: &Standing, ready: bool) -> Option<Part> {
    let tainted = standing.taints.iter().any(is_ours);
    let said = standing.network_unavailable.as_ref().map(|said| said.status.as_str());
    let taint = (tainted == ready).then_some(Part::Taint);
    let condition = (said != Some(if ready { "False" } else { "True" })).then_some(Part::Condition);
    if ready { condition.or(taint) } else { taint.or(condition) }
}

fn is_ours(taint: &Value) -> bool {
    taint["key"] == TAINT
}

/// The taints as they should be, as a merge patch that fails if the Node has changed.
#[must_use]
pub fn taints(standing: &Standing, ready: bool) -> Value {
    let mut taints: Vec<Value> = standing.taints.iter().filter(|taint| !is_ours(taint)).cloned().collect();
    if !ready {
        taints.push(json!({"key": TAINT, "effect": "NoSchedule"}));
    }
    let taints = if taints.is_empty() { Value::Null } else { taints.into() };
    json!({
        "metadata": {"resourceVersion": standing.resource_version, "uid": standing.uid},
        "spec": {"taints": taints},
    })
}

/// The condition as it should be, as a strategic merge patch of the status.
#[must_use]
pub fn condition(admission: Admission, now: Timestamp) -> Value {
    let Admission { ready, reason } = admission;
    let now = format!("{now:.0}");
    let message = if ready { "underlay carries the node's pods" } else { "underlay does not carry pods yet" };
    json!({"status": {"conditions": [{
        "type": NETWORK_UNAVAILABLE,
        "status": if ready { "False" } else { "True" },
        "reason": camel_case(reason),
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }]}})
}

/// Keeps the Node as the snapshots say, until the agent that shows them is gone. `same_boot` says that pods were
/// connected in this boot already.
pub async fn run(
    connection: Connection,
    node: String,
    mut snapshots: Snapshots,
    mut standing: watch::Receiver<Option<Standing>>,
    same_boot: bool,
) {
    let mut latched = same_boot;
    let mut written: BTreeMap<(Part, bool), Instant> = BTreeMap::new();
    let (mut backoff, mut told) = (Backoff::default(), None);
    loop {
        let mut wanted = Admission::of(&snapshots.borrow_and_update());
        if latched && !wanted.ready {
            wanted = Admission { ready: true, reason: "same-boot" };
        }
        latched |= wanted.ready;
        let found = standing.borrow_and_update().clone();
        let step = found.and_then(|found| Some((next(&found, wanted.ready)?, found)));
        let again = step.as_ref().and_then(|(part, _)| written.get(&(*part, wanted.ready)));
        let again = again.map(|at| *at + AGAIN).filter(|at| *at > Instant::now());
        let (Some((part, found)), None) = (step, again) else {
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                changed = standing.changed() => if changed.is_err() { return },
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
            continue;
        };
        let outcome = write(&connection, &node, part, &found, wanted).await;
        let conflict = outcome.as_ref().is_err_and(|trouble| trouble.conflict);
        let why = outcome.as_ref().err().filter(|trouble| !trouble.conflict).map(|t| t.text.clone());
        if why != told {
            match &why {
                Some(reason) => tracing::warn!(event = "node-unwritten", reason),
                None => tracing::info!(event = "node-written"),
            }
            told = why;
        }
        match outcome {
            Ok(()) => {
                backoff.reset();
                written.insert((part, wanted.ready), Instant::now());
                tracing::info!(event = "admission", ready = wanted.ready, part = ?part, reason = wanted.reason);
            }
            // The change that was in the way is on its way.
            Err(_) if conflict => tokio::select! {
                changed = standing.changed() => if changed.is_err() { return },
                () = sleep(AGAIN) => {}
            },
            Err(trouble) => {
                if trouble.refused {
                    connection.refused();
                }
                sleep(backoff.pause(trouble.wait)).await;
            }
        }
    }
}

async fn write(
    connection: &Connection,
    node: &str,
    part: Part,
    found: &Standing,
    wanted: Admission,
) -> Result<(), Trouble> {
    let linked = connection.linked().await?;
    let (request, params) = (Request::new("/api/v1/nodes"), PatchParams::default());
    let request = match part {
        Part::Taint => request.patch(node, &params, &Patch::Merge(taints(found, wanted.ready))),
        Part::Condition => {
            let patch = Patch::Strategic(condition(wanted, Timestamp::now()));
            request.patch_subresource("status", node, &params, &patch)
        }
    };
    send(&linked, request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::kubernetes::item::Said;

    fn standing(taints: &[&str], said: &str) -> Standing {
        let taint = |key: &&str| json!({"key": key, "effect": "NoSchedule", "timeAdded": "x"});
        let said = Said { status: said.into(), ..Said::default() };
        Standing {
            uid: "u".into(),
            resource_version: "7".into(),
            taints: taints.iter().map(taint).collect(),
            network_unavailable: (!said.status.is_empty()).then_some(said),
        }
    }

    #[test]
    fn the_taint_comes_first_and_goes_last() {
        let other = "example.org/other";
        for (taints, said, ready, expected) in [
            (&[][..], "", false, Some(Part::Taint)),
            (&[TAINT], "", false, Some(Part::Condition)),
            (&[TAINT], "True", false, None),
            (&[TAINT, other], "True", true, Some(Part::Condition)),
            (&[TAINT, other], "False", true, Some(Part::Taint)),
            (&[other], "False", true, None),
            (&[], "", true, Some(Part::Condition)),
            (&[other], "False", false, Some(Part::Taint)),
        ] {
            assert_eq!(next(&standing(taints, said), ready), expected, "{taints:?} {said} {ready}");
        }
    }

    #[test]
    fn other_taints_stay_as_they_are_and_a_node_that_changed_is_not_overwritten() {
        let found = standing(&["a", TAINT, "b"], "True");
        let patch = taints(&found, true);
        assert_eq!(patch["spec"]["taints"], json!([found.taints[0], found.taints[2]]));
        assert_eq!(patch["metadata"], json!({"resourceVersion": "7", "uid": "u"}));
        assert_eq!(taints(&standing(&[TAINT], ""), true)["spec"]["taints"], Value::Null);
        let patch = taints(&standing(&["a"], ""), false);
        assert_eq!(patch["spec"]["taints"][1], json!({"key": TAINT, "effect": "NoSchedule"}));
    }
}
