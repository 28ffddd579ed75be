//! Peers.

use api::v1;
use bgp::bfd::View;
use bgp::config::PeerRestart;
use bgp::io::{State, Told};
use bgp::prefix::Family;
use bgp::time::Duration;
use bgp::view::PeerView;
use bgp::wire::add_path::Mode;

use super::scalar::{family, timestamp};
use crate::discovery::shown;
use crate::status::clock::Moment;

/// One peer.
#[must_use]
pub fn peer(peer: &PeerView, moment: &Moment) -> v1::Peer {
    let families = Family::ALL.into_iter().filter(|family| peer.families[*family]);
    v1::Peer {
        name: peer.name.clone(),
        address: shown(peer.address),
        asn: peer.asn.map(|asn| asn.0),
        router_id: peer.router_id.map(|id| id.to_string()),
        local_address: peer.local.map(|local| local.to_string()),
        state: state(peer.state).into(),
        since_time: Some(timestamp(peer.since, moment)),
        since_seconds: moment.seconds_since(peer.since),
        down: peer
            .down
            .as_ref()
            .map(|down| v1::DownCause { reason: down.reason.word().to_owned(), detail: down.text.clone() }),
        retry_time: peer.retry_at.map(|at| timestamp(at, moment)),
        retry_seconds: peer.retry_at.map(|at| moment.seconds_until(at)),
        failed_attempts: peer.failures,
        add_path: Family::ALL.into_iter().filter_map(|family| add_path(peer, family)).collect(),
        hold_seconds: peer.hold.map(|hold| u32::try_from(hold.as_secs()).unwrap_or(u32::MAX)),
        families: families.map(|family| counts(peer, family)).collect(),
        established_count: peer.established_count,
        updates_received: peer.updates.0,
        updates_sent: peer.updates.1,
        malformed_count: peer.malformed.0,
        malformed_detail: peer.malformed.1.clone(),
        limits: peer.limits.clone(),
        notification_sent: peer.notifications.sent.as_ref().map(|told| notification(told, moment)),
        notification_received: peer.notifications.received.as_ref().map(|told| notification(told, moment)),
        restart: peer.restart.as_ref().map(restart),
        kept_until_time: peer.kept_until.map(|at| timestamp(at, moment)),
        kept_seconds: peer.kept_until.map(|at| moment.seconds_until(at)),
        stale: Family::ALL
            .into_iter()
            .filter(|family| peer.stale[*family] > 0)
            .map(|of| v1::StaleCount {
                family: family(of),
                count: peer.stale[of],
                long_lived_seconds: peer.long_lived_until[of].map(|at| moment.seconds_until(at)),
            })
            .collect(),
        bfd: peer.bfd.as_ref().map(|view| bfd(view, moment)),
    }
}

fn bfd(view: &View, moment: &Moment) -> v1::BfdSession {
    let milliseconds = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    v1::BfdSession {
        state: bfd_state(view.state).into(),
        remote_state: bfd_state(view.remote_state).into(),
        diagnostic: view.diagnostic.says().to_owned(),
        remote_diagnostic: view.remote_diagnostic.says().to_owned(),
        transmit_milliseconds: view.transmit.map(milliseconds),
        detection_milliseconds: view.detection.map(milliseconds),
        since_time: Some(timestamp(view.changed_at, moment)),
        since_seconds: moment.seconds_since(view.changed_at),
        loss_count: view.losses,
    }
}

const fn bfd_state(state: bgp::bfd::State) -> v1::BfdState {
    use bgp::bfd::State as Of;
    match state {
        Of::AdminDown => v1::BfdState::AdminDown,
        Of::Down => v1::BfdState::Down,
        Of::Init => v1::BfdState::Init,
        Of::Up => v1::BfdState::Up,
    }
}

fn restart(agreed: &PeerRestart) -> v1::GracefulRestart {
    let families = Family::ALL.into_iter().filter(|family| agreed.families[*family].is_some());
    let long_lived = |of: Family| {
        let seconds = agreed.long_lived[of]?.seconds;
        Some(v1::LongLivedFamily { family: family(of), seconds })
    };
    v1::GracefulRestart {
        restart_seconds: agreed.seconds.into(),
        notification: agreed.notification,
        families: families.map(family).collect(),
        long_lived: Family::ALL.into_iter().filter_map(long_lived).collect(),
    }
}

fn add_path(peer: &PeerView, of: Family) -> Option<v1::AddPathFamily> {
    let Mode { receive, send } = peer.add_path[of];
    (receive || send).then(|| v1::AddPathFamily { family: family(of), receive, send })
}

fn notification(told: &Told, moment: &Moment) -> v1::LastNotification {
    v1::LastNotification {
        code: told.notification.code.into(),
        subcode: told.notification.subcode.into(),
        text: told.notification.to_string(),
        hex: told.hex(),
        data_length: u32::try_from(told.data_len).unwrap_or(u32::MAX),
        communication: told.notification.text().map(str::to_owned),
        time: Some(timestamp(told.at, moment)),
        seconds: moment.seconds_since(told.at),
    }
}

/// A state's number in the messages.
#[must_use]
pub const fn state(state: State) -> v1::SessionState {
    match state {
        State::Idle => v1::SessionState::Idle,
        State::Connect => v1::SessionState::Connect,
        State::Active => v1::SessionState::Active,
        State::OpenSent => v1::SessionState::OpenSent,
        State::OpenConfirm => v1::SessionState::OpenConfirm,
        State::Established => v1::SessionState::Established,
    }
}

fn counts(peer: &PeerView, of: Family) -> v1::PeerFamily {
    let counts = &peer.counts[of];
    let rejected = counts.rejected.iter();
    v1::PeerFamily {
        family: family(of),
        received: counts.received,
        accepted: counts.accepted,
        rejected: rejected
            .map(|(reason, count)| v1::RejectedCount { reason: reason.word().to_owned(), count: *count })
            .collect(),
        sent: counts.sent,
        kept_back: counts.kept_back,
    }
}
