//! What is said of a plan: the conditions of each pool, and an Event of a Service for what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::crd::{FabricPool, FabricPoolStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::access::Access;
use super::claim::Claim;
use super::plan::{Plan, Pool, Refusal, Write};
use crate::cluster::kubernetes::trouble::Trouble;

/// Who says it.
const COMPONENT: &str = "underlay-pool-controller";

/// The most that a message names.
const NAMED: usize = 8;

/// What was said so far, so that each thing is said once.
#[derive(Debug, Default)]
pub(super) struct Report {
    refused: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// Writes the conditions of pools that have changed.
    pub(super) async fn pools(
        &self,
        access: &Access,
        pools: &[FabricPool],
        claims: &[Claim],
        plan: &Plan,
    ) -> Result<(), Trouble> {
        let api: Api<FabricPool> = Api::all(access.client.clone());
        for pool in pools {
            let before = pool.status.clone().unwrap_or_default();
            let next = status(pool, claims, plan);
            if next == before {
                continue;
            }
            let patch = Patch::Merge(json!({"status": next}));
            access.ask(api.patch_status(&pool.name_any(), &PatchParams::default(), &patch)).await?;
        }
        Ok(())
    }

    /// Tells Services what they lack, once for each change of it.
    pub(super) async fn refusals(
        &mut self,
        access: &Access,
        claims: &[Claim],
        plan: &Plan,
    ) -> Result<(), Trouble> {
        let mut refused = BTreeMap::<String, Vec<String>>::new();
        for (service, refusal) in &plan.refusals {
            refused.entry(service.clone()).or_default().push(refusal.to_string());
        }
        self.refused.retain(|service, _| refused.contains_key(service));
        for (service, reasons) in refused {
            if self.refused.get(&service) == Some(&reasons) {
                continue;
            }
            if let Some(claim) = claims.iter().find(|claim| claim.name == service) {
                tell(access, &claim.name, &claim.uid, "AddressUnavailable", &reasons.join("; ")).await?;
            }
            self.refused.insert(service, reasons);
        }
        Ok(())
    }
}

/// Tells a Service what was written of it.
pub(super) async fn written(access: &Access, write: &Write) -> Result<(), Trouble> {
    let addresses: Vec<String> = write.addresses.iter().map(IpAddr::to_string).collect();
    let (reason, text) = match addresses.as_slice() {
        [] => ("AddressReleased", "its addresses are free again".to_owned()),
        addresses => ("AddressAssigned", format!("it has {}", addresses.join(", "))),
    };
    tell(access, &write.service, &write.uid, reason, &text).await
}

async fn tell(access: &Access, service: &str, uid: &str, reason: &str, text: &str) -> Result<(), Trouble> {
    let Some((namespace, name)) = service.split_once('/') else { return Ok(()) };
    let now = Timestamp::now();
    tracing::info!(event = "service-address", service, reason, text);
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        },
        reason: Some(reason.to_owned()),
        message: Some(text.to_owned()),
        type_: Some(if reason == "AddressUnavailable" { "Warning" } else { "Normal" }.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        ..Event::default()
    };
    let events: Api<Event> = Api::namespaced(access.client.clone(), namespace);
    access.ask(events.create(&PostParams::default(), &event)).await.map(drop)
}

/// What is to be said of a pool.
fn status(pool: &FabricPool, claims: &[Claim], plan: &Plan) -> FabricPoolStatus {
    let before = pool.status.clone().unwrap_or_default();
    let name = pool.name_any();
    let own = Pool { name: name.clone(), spec: pool.spec.clone() };
    let given: BTreeSet<IpAddr> =
        claims.iter().flat_map(|claim| &claim.held).copied().filter(|held| own.holds(*held)).collect();
    let size = own.spec.addresses.iter().fold(0_u128, |sum, range| sum.saturating_add(range.size()));
    let free = size.saturating_sub(given.len() as u128 + edges(&own));
    let violations: Vec<String> = pool.spec.violations().iter().map(ToString::to_string).collect();
    let wanting = plan
        .refusals
        .iter()
        .filter(|(_, refusal)| matches!(refusal, Refusal::Exhausted(_, pools) if pools.contains(&name)));
    let wanting: Vec<&str> = wanting.map(|(service, _)| service.as_str()).take(NAMED).collect();
    let conflicts = plan.conflicts.iter().filter(|(address, _)| own.holds(*address));
    let conflicts: Vec<String> =
        conflicts.map(|(address, all)| format!("{address}: {}", all.join(", "))).take(NAMED).collect();
    let generation = pool.metadata.generation;
    let condition = |kind: &str, holds: bool, reason: &str, message: String| {
        let old = before.conditions.iter().find(|old| old.type_ == kind);
        let holds = if holds { "True" } else { "False" };
        let since = old.filter(|old| old.status == holds).map(|old| old.last_transition_time.clone());
        Condition {
            type_: kind.to_owned(),
            status: holds.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: since.unwrap_or_else(|| Time(now())),
        }
    };
    FabricPoolStatus {
        given: u32::try_from(given.len()).unwrap_or(u32::MAX),
        free: if free > u128::from(u32::MAX) { "many".to_owned() } else { free.to_string() },
        conditions: vec![
            match violations.as_slice() {
                [] => condition("Accepted", true, "Accepted", "its addresses are given".to_owned()),
                wrong => condition("Accepted", false, "Invalid", wrong.join("; ")),
            },
            match wanting.as_slice() {
                [] => condition("Exhausted", false, "AddressesLeft", "no Service waits for one".to_owned()),
                wanting => {
                    condition("Exhausted", true, "NoneLeft", format!("{} want one", wanting.join(", ")))
                }
            },
            match conflicts.as_slice() {
                [] => condition("Conflicting", false, "GivenOnce", "no Service has another's".to_owned()),
                conflicts => condition("Conflicting", true, "GivenTwice", conflicts.join("; ")),
            },
        ],
    }
}

/// To the second, as the API server keeps it.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

/// How many addresses of a pool are left out.
fn edges(pool: &Pool) -> u128 {
    if !pool.spec.avoid_edges.unwrap_or_default() {
        return 0;
    }
    let of = |range: &api::crd::pool::AddressRange| match (range.first, range.last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            // Below a number, those that end in .0 and in .255.
            let below = |number: u64| number.div_ceil(256) + number / 256;
            let (first, last) = (u64::from(u32::from(first)), u64::from(u32::from(last)));
            u128::from(below(last + 1) - below(first))
        }
        _ => 0,
    };
    pool.spec.addresses.iter().map(of).sum()
}
