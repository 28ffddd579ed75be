//! The node as a whole.

use api::v1;
use bgp::prefix::Family;
use bgp::time::Duration;

use super::scalar::{count32, family, timestamp};
use crate::drain::Drain;
use crate::status::clock::Moment;
use crate::status::snapshot::{Condition, Snapshot};

/// The node's status.
#[must_use]
pub fn node(snapshot: &Snapshot, moment: &Moment) -> v1::NodeStatus {
    let (configured, established) = snapshot.peer_counts();
    let source = &snapshot.source;
    v1::NodeStatus {
        node: snapshot.node.clone(),
        revision: snapshot.revision,
        version: snapshot.version.clone(),
        asn: snapshot.identity.map(|identity| identity.asn.0),
        router_id: snapshot.identity.map(|identity| identity.router_id.to_string()),
        started_time: Some(timestamp(Default::default(), moment)),
        uptime_seconds: moment.seconds_since(Default::default()),
        conditions: snapshot.conditions.iter().map(|c| condition(c, moment)).collect(),
        peers: Some(v1::PeerSummary { configured: count32(configured), established: count32(established) }),
        routes: Family::ALL.map(|family| routes(snapshot, family)).into(),
        source: Some(v1::ConfigurationSource {
            description: source.description.clone(),
            loaded_time: source.loaded_at.map(|at| timestamp(at, moment)),
            loaded_seconds: source.loaded_at.map(|at| moment.seconds_since(at)),
            errors: source.errors.clone(),
        }),
        impairments: snapshot.impairments.clone(),
        drain: snapshot.drain.as_ref().map(|held| drain(held, jiff::Timestamp::now())),
        fib: snapshot.fib.map(|fib| v1::Fib {
            next_hop_objects: fib.objects,
            supported: fib.supported,
            hops: fib.hops as u64,
            groups: fib.groups as u64,
        }),
    }
}

/// A drain; its ages count up to `now`.
#[must_use]
pub fn drain(drain: &Drain, now: jiff::Timestamp) -> v1::Drain {
    let shown = |at: jiff::Timestamp| v1::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_millisecond() * 1_000_000,
    };
    let seconds_up =
        |span: Duration| u64::try_from(span.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
    let seconds = |span: jiff::SignedDuration| u64::try_from(span.as_secs()).unwrap_or(0);
    v1::Drain {
        pods: drain.pods,
        reason: drain.reason.clone(),
        since_time: Some(shown(drain.since)),
        since_seconds: seconds(now.duration_since(drain.since)),
        until_time: drain.until.map(shown),
        until_seconds: drain.until.map(|until| seconds(until.duration_since(now))),
        services_time: drain.services.map(shown),
        services_seconds: drain.wait(now).map(seconds_up),
    }
}

fn condition(condition: &Condition, moment: &Moment) -> v1::Condition {
    let status = match condition.holds {
        Some(true) => v1::ConditionStatus::True,
        Some(false) => v1::ConditionStatus::False,
        None => v1::ConditionStatus::Unknown,
    };
    v1::Condition {
        r#type: condition.kind.name().to_owned(),
        status: status.into(),
        reason: condition.reason.to_owned(),
        message: condition.message.clone(),
        since_time: Some(timestamp(condition.since, moment)),
        since_seconds: moment.seconds_since(condition.since),
    }
}

fn routes(snapshot: &Snapshot, of: Family) -> v1::FamilyRoutes {
    let sum =
        |count: fn(&bgp::view::Counts) -> u64| snapshot.peers.iter().map(|p| count(&p.counts[of])).sum();
    let kernel = snapshot.kernel[of];
    v1::FamilyRoutes {
        family: family(of),
        received: sum(|counts| counts.received),
        accepted: sum(|counts| counts.accepted),
        sent: sum(|counts| counts.sent),
        installed: kernel.installed,
        pending: kernel.pending,
        failed: kernel.failed,
    }
}
