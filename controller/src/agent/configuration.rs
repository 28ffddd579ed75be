//! What the agent knows of its configuration: the newest objects and addresses,
//! the last good outcome, and what is wrong with the newest.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::config::SpeakerConfig;
use bgp::prefix::Prefix;
use bgp::time::Instant;
use bgp::zone::{self, Zone};

use crate::cluster::{Checkpoint, Objects, Problem, SourceEvent};
use crate::desired::cordon::Cordon;
use crate::desired::derivation::Derivation;
use crate::desired::services::{ServiceStory, Withheld};
use crate::desired::{self, Desired, Surroundings};
use crate::discovery::{Finding, Neighbours};
use crate::kernel::{KernelConfig, LocalAddress};
use crate::status::event::EventKind;
use crate::transport::Terms;

use super::gateway::Gateways;

/// Addresses of this node, shared with the kernel driver's events.
type Addresses = Arc<[LocalAddress]>;

/// The configuration and its problems.
///
/// Until the source gives something good for the first time, the checkpoint of an earlier run stands in for it;
/// from then on this run's own last good outcome does.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    objects: Option<Arc<Objects>>,
    addresses: Option<Addresses>,
    gateways: Gateways,
    /// Who was heard on links.
    neighbours: Neighbours,
    /// Temporary and deprecated addresses of this node.
    passing: Arc<[IpAddr]>,
    /// Addresses of pods outside of the node's PodCIDRs.
    hosts: Arc<[Prefix]>,
    /// The smallest MTU of the node's uplinks.
    uplink_mtu: Option<u32>,
    /// What an earlier run has kept; gone once the source has given something good.
    checkpoint: Option<Checkpoint>,
    /// Why there is no checkpoint, though there is a file.
    unusable: Option<Problem>,
    /// Whether the outcome in use is the checkpoint's.
    stands_in: bool,
    /// How the source's objects came to the outcome before.
    derivation: Derivation,
    /// The last good outcome.
    desired: Option<Desired>,
    /// When that was read.
    loaded_at: Option<Instant>,
    /// The objects that gave it, and whether they have been handed out to be kept.
    good: Option<(Arc<Objects>, bool)>,
    /// What keeps the newest state of the source from being read.
    unread: Vec<Problem>,
    /// What keeps the newest state of the own Node from being read.
    node_unread: Option<Problem>,
    /// What the own Node said last of being out of service.
    cordon: Option<Cordon>,
    /// What keeps the newest objects from being applied.
    refused: Vec<Problem>,
    /// Addresses of nodes behind which another Node stands since the last outcome.
    replaced: Vec<IpAddr>,
    /// What readers of the status are to be told.
    news: Vec<(EventKind, String)>,
}

impl Configuration {
    /// Takes in what the source says.
    pub(super) fn source(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Checkpoint(Ok(checkpoint)) => self.checkpoint = Some(checkpoint),
            SourceEvent::Checkpoint(Err(problem)) => {
                report(EventKind::Checkpoint, std::slice::from_ref(&problem), &[], &mut self.news);
                self.unusable = Some(problem);
            }
            SourceEvent::Objects(objects) => {
                self.node_unread = None;
                self.read(Vec::new());
                self.objects = Some(objects);
            }
            SourceEvent::Partial { objects, problems, node } => {
                self.node_unread = node;
                self.read(problems);
                self.objects = Some(objects);
            }
            SourceEvent::Broken(problems) => {
                self.node_unread = problems.first().cloned();
                self.read(problems);
            }
        }
    }

    /// The source was read, but for what these problems are about.
    fn read(&mut self, problems: Vec<Problem>) {
        report(EventKind::ConfigurationUnread, &problems, &self.unread, &mut self.news);
        if problems.is_empty() && !self.unread.is_empty() {
            let text = "the source is whole again";
            tracing::info!(event = EventKind::Configured.word(), reason = text);
            self.news.push((EventKind::Configured, text.to_owned()));
        }
        self.unread = problems;
    }

    /// Takes in the node's addresses.
    pub(super) fn addresses(&mut self, addresses: Addresses) {
        let up = |ifindex: u32| addresses.iter().any(|own| own.ifindex == ifindex && own.up);
        let links = self.links().into_iter().flat_map(BTreeMap::keys).copied();
        for zone in links.filter(|ifindex| !up(*ifindex)).filter_map(Zone::new).collect::<Vec<_>>() {
            self.neighbours.lose(zone);
        }
        self.addresses = Some(addresses);
    }

    /// Takes in that a router is there on a link: by what it said now, or to an earlier run.
    pub(super) fn router(
        &mut self,
        address: IpAddr,
        is_up: impl FnOnce(IpAddr) -> bool,
        now: Instant,
    ) -> Finding {
        self.neighbours.hear(address, is_up, now)
    }

    /// The links whose neighbours are peers.
    fn links(&self) -> Option<&BTreeMap<u32, String>> {
        self.desired.as_ref().map(|desired| &desired.links)
    }

    /// Whether an address is on a link whose neighbour is a peer.
    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        let links = self.links();
        zone::of(address).is_some_and(|zone| links.is_some_and(|links| links.contains_key(&zone.0.get())))
    }

    /// On which terms connections with a peer are made.
    pub(super) fn terms(&self, peer: IpAddr) -> Option<&Terms> {
        self.desired.as_ref()?.neighbours.get(&Prefix::host(peer))
    }

    /// Takes in the node's temporary and deprecated addresses.
    pub(super) fn passing(&mut self, addresses: Arc<[IpAddr]>) {
        self.passing = addresses;
    }

    /// Takes in the addresses of pods outside of the node's PodCIDRs.
    pub(super) fn hosts(&mut self, hosts: Arc<[Prefix]>) {
        self.hosts = hosts;
    }

    /// Takes in the smallest MTU of the node's uplinks.
    pub(super) fn uplink_mtu(&mut self, mtu: u32) {
        self.uplink_mtu = Some(mtu);
    }

    /// The MTU that pods' packets fit into uplinks with, if that is known.
    pub(super) fn pod_mtu(&self) -> Option<u32> {
        self.uplink_mtu
    }

    /// Takes in the gateways of the node's default routes.
    pub(super) fn gateways(&mut self, gateways: &[IpAddr], now: Instant) {
        self.gateways.take(gateways, now);
    }

    /// When the configuration has to be computed though nothing came in.
    pub(super) fn due(&self) -> Option<Instant> {
        self.gateways.due()
    }

    /// What the node is to be, if that can be told and differs from before.
    /// Without the node's addresses nothing can.
    pub(super) fn compute(&mut self, node: &str, now: Instant) -> Option<Desired> {
        let addresses = self.addresses.clone()?;
        self.gateways.expire(now);
        let gateways = self.gateways.addresses();
        let (passing, hosts) = (Arc::clone(&self.passing), Arc::clone(&self.hosts));
        let (links, neighbours) = (self.links().cloned(), self.neighbours.addresses().collect::<Vec<_>>());
        let around = Surroundings {
            addresses: &addresses,
            gateways: &gateways,
            passing: &passing,
            hosts: &hosts,
            links: links.as_ref(),
            neighbours: &neighbours,
        };
        if let Some(objects) = self.objects.clone() {
            // Heeded though the rest may be refused.
            self.hear(&objects, node);
            match self.derivation.compute(&objects, node, around) {
                None if self.refused.is_empty() => {
                    self.return_to_source(objects);
                    return None;
                }
                // What stood in the way stands there still.
                None => {}
                Some(Ok(desired)) => {
                    self.refused.clear();
                    self.return_to_source(objects);
                    return self.apply(desired, now);
                }
                Some(Err(problems)) => {
                    report(EventKind::ConfigurationRefused, &problems, &self.refused, &mut self.news);
                    self.refused = problems;
                }
            }
        }
        self.stand_in(node, around, now)
    }

    /// The source's objects are good: they are what is kept from here on.
    fn return_to_source(&mut self, objects: Arc<Objects>) {
        if std::mem::take(&mut self.stands_in) {
            tracing::info!(event = EventKind::Checkpoint.word(), reason = "the source has returned");
            self.news.push((EventKind::Checkpoint, "the source has returned".to_owned()));
        }
        (self.checkpoint, self.unusable) = (None, None);
        if !self.good.as_ref().is_some_and(|(good, _)| Arc::ptr_eq(good, &objects)) {
            self.good = Some((objects, false));
        }
    }

    /// The checkpoint's outcome, where the source has failed and gave nothing good before.
    fn stand_in(&mut self, node: &str, around: Surroundings<'_>, now: Instant) -> Option<Desired> {
        if self.unread.is_empty() && self.refused.is_empty() {
            return None;
        }
        let Checkpoint { objects, description } = self.checkpoint.clone()?;
        match desired::compute(&objects, node, around) {
            Ok(desired) => {
                if self.objects.is_none() {
                    self.hear(&objects, node);
                }
                if !std::mem::replace(&mut self.stands_in, true) {
                    let text = format!("running from {description}");
                    tracing::warn!(event = EventKind::Checkpoint.word(), reason = text);
                    self.news.push((EventKind::Checkpoint, text));
                }
                self.apply(desired, now)
            }
            Err(problems) => {
                let because: Vec<String> = problems.iter().map(Problem::to_string).collect();
                let problem = Problem::anywhere(format!("{description}: {}", because.join("; ")));
                let (now, before) = (std::slice::from_ref(&problem), self.unusable.as_slice());
                report(EventKind::Checkpoint, now, before, &mut self.news);
                self.unusable = Some(problem);
                None
            }
        }
    }

    /// What happened since it was last asked for.
    pub(super) fn news(&mut self) -> Vec<(EventKind, String)> {
        std::mem::take(&mut self.news)
    }

    fn apply(&mut self, desired: Desired, now: Instant) -> Option<Desired> {
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
        let before = self.desired.iter().flat_map(|before| &before.nodes);
        let replaced = before.filter(|(at, uid)| desired.nodes.get(at).is_some_and(|new| new != *uid));
        self.replaced.extend(replaced.map(|(at, _)| *at));
        self.desired = Some(desired.clone());
        self.loaded_at = Some(now);
        Some(desired)
    }

    /// The addresses of nodes whose Node is another one since this was last asked.
    pub(super) fn replaced(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.replaced)
    }

    /// The source's newest good objects, once.
    pub(super) fn unkept(&mut self) -> Option<Arc<Objects>> {
        let (objects, kept) = self.good.as_mut()?;
        (!std::mem::replace(kept, true)).then(|| Arc::clone(objects))
    }

    /// Whether the newest objects have other Nodes and not this one, of which there was something before. A source that
    /// has lost all Nodes says nothing of this one.
    pub(super) fn lacks(&self, node: &str) -> bool {
        let of_source = self.desired.is_some() && !self.stands_in;
        let nodes = self.objects.as_ref().map(|objects| &objects.nodes);
        of_source && nodes.is_some_and(|nodes| nodes.get(node).is_none() && !nodes.is_empty())
    }

    /// The kernel driver's part of the configuration in use.
    pub(super) fn kernel(&self) -> Option<&KernelConfig> {
        self.desired.as_ref().map(|desired| &desired.kernel)
    }

    /// Keeps what the own Node says of being out of service, and what it said before where there is none.
    fn hear(&mut self, objects: &Objects, node: &str) {
        if let Some(own) = objects.nodes.get(node) {
            self.cordon = Some(Cordon::of(node, &own.value));
        }
    }

    /// What the own Node said last of being out of service.
    pub(super) fn cordon(&self) -> Option<&Cordon> {
        self.cordon.as_ref()
    }

    /// Why it is not known what the own Node says of that; `None` where it is.
    pub(super) fn cordon_unread(&self) -> Option<String> {
        let unread = |problem: &Problem| format!("the Node is not read: {problem}; what it said last holds");
        let said = self.cordon.iter().flat_map(|cordon| &cordon.unread).cloned();
        let lines: Vec<String> = self.node_unread.iter().map(unread).chain(said).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// The speaker's part of the configuration in use.
    pub(super) fn speaker(&self) -> Option<&SpeakerConfig> {
        self.desired.as_ref().map(|desired| &desired.speaker)
    }

    /// The prefixes of this node's pods.
    pub(super) fn pods(&self) -> &[Prefix] {
        self.desired.as_ref().map_or(&[], |desired| &desired.kernel.unreachable)
    }

    /// Addresses of Services that are not originated, and why.
    pub(super) fn withheld(&self) -> Arc<Withheld> {
        self.desired.as_ref().map(|desired| Arc::clone(&desired.withheld)).unwrap_or_default()
    }

    /// What the node makes of a Service.
    pub(super) fn service(&self, name: &str) -> Option<ServiceStory> {
        self.derivation.service(name)
    }

    /// When the configuration in use was read.
    pub(super) fn loaded_at(&self) -> Option<Instant> {
        self.loaded_at
    }

    /// Everything that is wrong, as lines for people.
    pub(super) fn errors(&self) -> Vec<String> {
        let warnings = self.desired.iter().flat_map(|desired| &desired.warnings);
        let stand_in = self.checkpoint.iter().filter(|_| self.stands_in);
        let stand_in = stand_in.map(|checkpoint| format!("running from {}", checkpoint.description));
        let problems = self.unread.iter().chain(&self.refused).chain(&self.unusable).chain(warnings);
        stand_in.chain(problems.map(Problem::to_string)).collect()
    }
}

/// Tells what is wrong once, and not again with each reading.
fn report(kind: EventKind, problems: &[Problem], before: &[Problem], news: &mut Vec<(EventKind, String)>) {
    for problem in problems.iter().filter(|problem| !before.contains(problem)) {
        tracing::warn!(event = kind.word(), reason = %problem);
        news.push((kind, problem.to_string()));
    }
}
