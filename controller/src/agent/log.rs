//! Logs: one line a state change, with the same fields everywhere; JSON unless
//! a person looks on.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::net::IpAddr;

use bgp::io::{Note, Notice, State};
use bgp::reason::Reason;
use tracing_subscriber::EnvFilter;

use crate::discovery::shown;

/// What is logged unless `RUST_LOG` says otherwise. The Kubernetes client tells each failed attempt; the source
/// tells a failure once.
const DEFAULT: &str = "info,kube_client=off,kube_runtime=off";

/// Starts logging to standard error. `RUST_LOG` chooses what is logged.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // A second start in one process keeps the first.
    let _ = if io::stderr().is_terminal() {
        lines.try_init()
    } else {
        lines.json().flatten_event(true).with_ansi(false).try_init()
    };
}

/// Logs that somebody who is no peer connected.
pub(super) fn stranger(address: IpAddr) {
    let address = shown(address);
    let reason = format!("no peer has the address {address}");
    tracing::warn!(event = "connection-rejected", address, reason);
}

/// What was said of each peer since its session was last up, so that the same failure is said once and not
/// with each attempt.
#[derive(Debug, Default)]
pub(super) struct Journal {
    said: HashMap<(IpAddr, Reason), String>,
}

impl Journal {
    /// Logs what happened to a session; whether that is news.
    pub(super) fn note(&mut self, note: &Note) -> bool {
        let changed = note.from == State::Established || note.to == State::Established;
        let news = match &note.cause {
            Some(cause) => {
                let before = self.said.insert((note.address, cause.reason), cause.text.clone());
                before.as_ref() != Some(&cause.text)
            }
            None => false,
        };
        if note.to == State::Established {
            self.said.retain(|(address, _), _| *address != note.address);
        }
        let reason = note.cause.as_ref().map(|cause| cause.reason.word());
        let text = note.cause.as_ref().map(|cause| cause.text.as_str());
        let (peer, address) = (note.name.as_str(), shown(note.address));
        let (from, to) = (note.from.name(), note.to.name());
        let asn = note.asn.map(|asn| asn.0);
        if changed || news {
            tracing::info!(event = "session", peer, address, asn, from, to, reason, text);
        } else {
            // The way up, and attempts that fail as the one before.
            tracing::debug!(event = "session", peer, address, asn, from, to, reason, text);
        }
        changed || news
    }
}

/// Whether the notice is of a NOTIFICATION; else it is of a limit.
pub(super) const fn is_notification(notice: &Notice) -> bool {
    matches!(notice.reason, Reason::NotificationSent | Reason::NotificationReceived)
}

/// Logs that a limit was reached, or that a NOTIFICATION went or came.
pub(super) fn notice(notice: &Notice) {
    let (peer, address, reason) = (notice.name.as_str(), shown(notice.address), notice.reason.word());
    let text = notice.text.as_str();
    if is_notification(notice) {
        tracing::info!(event = "notification", peer, address, reason, text);
    } else {
        let of_restart = matches!(notice.reason, Reason::Stale | Reason::LongLivedStale);
        let event = if of_restart { "restart" } else { "limit" };
        tracing::warn!(event, peer, address, reason, text);
    }
}
