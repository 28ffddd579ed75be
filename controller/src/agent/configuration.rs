//! What the agent knows of its configuration: the newest objects and addresses,
//! the last good outcome, and what is wrong with the newest.

use std::sync::Arc;

use bgp::config::SpeakerConfig;
use bgp::time::Instant;

use crate::cluster::{Objects, Problem, SourceEvent};
use crate::desired::{self, Desired};
use crate::kernel::LocalAddress;
use crate::status::event::EventKind;

/// Addresses of this node, shared with the kernel driver's events.
type Addresses = Arc<[LocalAddress]>;

/// The configuration and its problems.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    objects: Option<Arc<Objects>>,
    addresses: Option<Addresses>,
    /// The last good outcome.
    desired: Option<Desired>,
    /// When that was read.
    loaded_at: Option<Instant>,
    /// What keeps the newest state of the source from being read.
    unread: Vec<Problem>,
    /// What keeps the newest objects from being applied.
    refused: Vec<Problem>,
    /// What readers of the status are to be told.
    news: Vec<(EventKind, String)>,
}

impl Configuration {
    /// Takes in what the source says.
    pub(super) fn source(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Objects(objects) => {
                self.unread.clear();
                self.objects = Some(objects);
            }
            SourceEvent::Broken(problems) => {
                report(EventKind::ConfigurationUnread, &problems, &self.unread, &mut self.news);
                self.unread = problems;
            }
        }
    }

    /// Takes in the node's addresses.
    pub(super) fn addresses(&mut self, addresses: Addresses) {
        self.addresses = Some(addresses);
    }

    /// What the node is to be, if that can be told and differs from before.
    /// Without the node's addresses nothing can.
    pub(super) fn compute(&mut self, node: &str, now: Instant) -> Option<Desired> {
        let (objects, addresses) = (self.objects.as_ref()?, self.addresses.as_ref()?);
        match desired::compute(objects, node, addresses) {
            Ok(desired) => {
                self.refused.clear();
                if self.desired.as_ref() == Some(&desired) {
                    return None;
                }
                let before = self.desired.as_ref().map_or(&[][..], |desired| &desired.warnings);
                report(EventKind::ConfigurationIncomplete, &desired.warnings, before, &mut self.news);
                tracing::info!(
                    event = "configured",
                    asn = desired.speaker.asn.0,
                    router_id = %desired.speaker.router_id,
                    peers = desired.speaker.peers.len(),
                    origins = desired.speaker.origins.len(),
                );
                let summary = format!(
                    "AS {}, router id {}, peers {}, own prefixes {}",
                    desired.speaker.asn,
                    desired.speaker.router_id,
                    desired.speaker.peers.len(),
                    desired.speaker.origins.len(),
                );
                self.news.push((EventKind::Configured, summary));
                self.desired = Some(desired.clone());
                self.loaded_at = Some(now);
                Some(desired)
            }
            Err(problems) => {
                report(EventKind::ConfigurationRefused, &problems, &self.refused, &mut self.news);
                self.refused = problems;
                None
            }
        }
    }

    /// What happened since it was last asked for.
    pub(super) fn news(&mut self) -> Vec<(EventKind, String)> {
        std::mem::take(&mut self.news)
    }

    /// The speaker's part of the configuration in use.
    pub(super) fn speaker(&self) -> Option<&SpeakerConfig> {
        self.desired.as_ref().map(|desired| &desired.speaker)
    }

    /// When the configuration in use was read.
    pub(super) fn loaded_at(&self) -> Option<Instant> {
        self.loaded_at
    }

    /// Everything that is wrong, as lines for people.
    pub(super) fn errors(&self) -> Vec<String> {
        let warnings = self.desired.iter().flat_map(|desired| &desired.warnings);
        self.unread.iter().chain(&self.refused).chain(warnings).map(Problem::to_string).collect()
    }
}

/// Tells what is wrong once, and not again with each reading.
fn report(kind: EventKind, problems: &[Problem], before: &[Problem], news: &mut Vec<(EventKind, String)>) {
    for problem in problems.iter().filter(|problem| !before.contains(problem)) {
        tracing::warn!(event = kind.word(), reason = %problem);
        news.push((kind, problem.to_string()));
    }
}
