//! The Lease: who leads, since when nobody has heard of him, and what he is about to write. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

use super::plan::Write;

/// The name of the Lease.
pub const NAME: &str = "underlay-pool-controller";

/// Where the intents stand in it, as JSON.
pub const INTENTS: &str = "underlay.dev/intents";

/// What the intents of a Lease are.
///
/// # Errors
/// A text that is none of ours: nothing may be given out while it is not known what is under way.
pub fn intents(lease: &Lease) -> Result<Vec<Write>, String> {
    let annotations = lease.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|annotations| annotations.get(INTENTS)) else {
        return Ok(Vec::new());
    };
    serde_json::from_str(text).map_err(|error| format!("annotation {INTENTS} of Lease {NAME}: {error}"))
}

/// The Lease as it is to be: held by `holder` (by nobody if that is empty), with these intents. It replaces the version
/// that it was made of and no other.
#[must_use]
pub fn held(before: &Lease, holder: &str, duration: Duration, intents: &[Write], now: Timestamp) -> Lease {
    let mut lease = before.clone();
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(holder) {
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
        spec.acquire_time = Some(MicroTime(now));
    }
    let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
    *spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        renew_time: Some(MicroTime(now)),
        lease_duration_seconds: Some(seconds),
        ..spec.clone()
    };
    let annotations = lease.metadata.annotations.get_or_insert_with(BTreeMap::new);
    // A list of plain values is always JSON.
    annotations
        .insert(INTENTS.to_owned(), serde_json::to_string(intents).unwrap_or_else(|_| "[]".to_owned()));
    lease
}

/// Since when a Lease has not changed, as somebody sees it who does not lead. No clock but his own is asked.
#[derive(Debug, Default)]
pub struct Patience {
    seen: Option<(String, Instant)>,
}

impl Patience {
    /// Whether he may try to take it: nobody holds it, or it has not changed for as long as its leader may be silent.
    pub fn is_over(&mut self, lease: &Lease, duration: Duration, now: Instant) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => holder.is_empty() || now - *since >= duration,
            _ => {
                self.seen = Some((version, now));
                holder.is_empty()
            }
        }
    }
}
