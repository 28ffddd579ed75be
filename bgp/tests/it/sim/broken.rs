//! Routers that are wrong on purpose. The speaker is whole: what it is told, or
//! what it wants done, is changed on the way.

use std::collections::{BTreeMap, BTreeSet};

use bgp::config::SpeakerConfig;
use bgp::id::{Asn, ConnId};
use bgp::io::{Event, NextHop};
use bgp::prefix::Prefix;
use bgp::rule::{Changes, Condition, Rule, Rules};
use bgp::time::Duration;
use bgp::wire::capability::Capability;
use bgp::wire::frame::{HEADER_LEN, Kind};
use bgp::wire::long_lived::MOST_SECONDS;
use bgp::wire::open::Open;
use bytes::Bytes;

use super::watch::{Content, Written, content, messages};

/// In which way a router is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breakage {
    /// Does not tell of routes that are gone.
    SkipsWithdraw,
    /// Keeps a session on which nothing is heard (RFC 4271 §6.5).
    IgnoresHoldTimer,
    /// Keeps the first path of a prefix that a peer replaces (RFC 4271 §3.1).
    ForgetsImplicitWithdraw,
    /// Sends what is for one peer to another one.
    SendsToWrongPeer,
    /// Leaves routes in the kernel whose session is lost.
    KeepsRoutesOfDeadSession,
    /// Sends no End-of-RIB (RFC 4724 §2).
    LosesEndOfRib,
    /// Prefers the paths of its last peer.
    PicksWrongBestPath,
    /// Does not see its own AS in AS_PATH (RFC 4271 §9.1.2).
    ForwardsToOwnAsLoop,
    /// Does not notice that a next hop resolves again (RFC 4271 §9.1.2.1).
    ForgetsNextHopChange,
    /// Takes a route for installed as soon as it asked for it.
    AwaitsNoAck,
    /// Sends no KEEPALIVE but the first (RFC 4271 §4.4).
    ForgetsKeepalive,
    /// Does not close connections that are over.
    LeaksConnections,
    /// Sends long-lived stale routes to everybody (RFC 9494 §4.3).
    TellsAllOfStale,
    /// Keeps routes of a peer that is away for days, whatever was agreed on (RFC 9494 §4.2).
    ForgetsStaleTime,
    /// Asks for a connection each second, however often it was refused (RFC 4271 §8.1.1).
    NeverBacksOff,
}

impl Breakage {
    pub(crate) const ALL: [Self; 15] = [
        Self::SkipsWithdraw,
        Self::IgnoresHoldTimer,
        Self::ForgetsImplicitWithdraw,
        Self::SendsToWrongPeer,
        Self::KeepsRoutesOfDeadSession,
        Self::LosesEndOfRib,
        Self::PicksWrongBestPath,
        Self::ForwardsToOwnAsLoop,
        Self::ForgetsNextHopChange,
        Self::AwaitsNoAck,
        Self::ForgetsKeepalive,
        Self::LeaksConnections,
        Self::TellsAllOfStale,
        Self::ForgetsStaleTime,
        Self::NeverBacksOff,
    ];
}

/// A broken router, and what it has to remember for it.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) breakage: Breakage,
    own: Asn,
    /// Octets of a message that has not come whole.
    parts: BTreeMap<ConnId, Vec<u8>>,
    /// Prefixes that were announced on a connection.
    seen: BTreeSet<(ConnId, Prefix)>,
    /// Next hops that did not resolve at some time.
    lost: BTreeSet<NextHop>,
    /// Connections on which a KEEPALIVE was sent.
    alive: BTreeSet<ConnId>,
}

/// A message with its header.
fn whole(message: &Written<'_>) -> Vec<u8> {
    let len = (HEADER_LEN + message.body.len()) as u16;
    [&[0xff; 16][..], &len.to_be_bytes(), &[message.kind], message.body].concat()
}

pub(super) fn keepalive() -> Vec<u8> {
    whole(&Written { kind: Kind::Keepalive.code(), body: &[] })
}

impl Broken {
    pub(super) fn new(breakage: Breakage, own: Asn) -> Self {
        Self {
            breakage,
            own,
            parts: BTreeMap::new(),
            seen: BTreeSet::new(),
            lost: BTreeSet::new(),
            alive: BTreeSet::new(),
        }
    }

    pub(super) fn keeps_routes(&self) -> bool {
        self.breakage == Breakage::KeepsRoutesOfDeadSession
    }

    pub(super) fn closes(&self) -> bool {
        self.breakage != Breakage::LeaksConnections
    }

    pub(super) fn awaits_ack(&self) -> bool {
        self.breakage != Breakage::AwaitsNoAck
    }

    /// Connections that are to be heard on whatever comes.
    pub(super) fn pretended(&self) -> Vec<ConnId> {
        let pretends = self.breakage == Breakage::IgnoresHoldTimer;
        self.alive.iter().copied().filter(|_| pretends).collect()
    }

    /// What the speaker is configured with in place of what is wanted.
    pub(super) fn configured(&self, mut config: SpeakerConfig) -> SpeakerConfig {
        if self.breakage == Breakage::PicksWrongBestPath
            && let Some(last) = config.peers.last_mut()
        {
            let set = Changes { local_preference: Some(500), ..Changes::default() };
            last.import = Rules::new(vec![Rule { when: Condition::default(), reject: false, set }]);
        }
        if self.breakage == Breakage::ForgetsStaleTime {
            for restart in config.peers.iter_mut().map(|peer| &mut peer.restart) {
                restart.long_lived = if restart.long_lived > 0 { MOST_SECONDS } else { 0 };
            }
        }
        if self.breakage == Breakage::NeverBacksOff {
            let timers = config.peers.iter_mut().map(|peer| &mut peer.timers);
            timers.for_each(|timers| timers.connect_retry = Duration::from_secs(1));
        }
        config
    }

    /// Whether the speaker is told.
    pub(super) fn hears(&mut self, event: &Event<'_>) -> bool {
        let Event::NextHop { next_hop, metric } = event else { return true };
        if metric.is_none() {
            self.lost.insert(*next_hop);
        }
        let again = metric.is_some() && self.lost.contains(next_hop);
        !(again && self.breakage == Breakage::ForgetsNextHopChange)
    }

    /// What the speaker reads in place of what came: whole messages.
    pub(super) fn read(&mut self, conn: ConnId, bytes: &[u8]) -> Vec<u8> {
        let mut held = self.parts.remove(&conn).unwrap_or_default();
        held.extend_from_slice(bytes);
        let mut read = Vec::new();
        while held.len() >= HEADER_LEN {
            let len = usize::from(u16::from_be_bytes([held[16], held[17]]));
            if held.len() < len {
                break;
            }
            let message: Vec<u8> = held.drain(..len).collect();
            read.extend(self.one_read(conn, message));
        }
        self.parts.insert(conn, held);
        read
    }

    fn one_read(&mut self, conn: ConnId, mut message: Vec<u8>) -> Vec<u8> {
        let own = self.own.0.to_be_bytes();
        match self.breakage {
            Breakage::ForgetsImplicitWithdraw => {
                let parsed = messages(&message).unwrap_or_default();
                let Content { announced, withdrawn, .. } =
                    parsed.first().and_then(|first| content(first, false)).unwrap_or_default();
                for prefix in withdrawn {
                    self.seen.remove(&(conn, prefix));
                }
                let known = !announced.is_empty()
                    && announced.iter().filter(|prefix| !self.seen.insert((conn, **prefix))).count() > 0;
                if known { Vec::new() } else { message }
            }
            Breakage::ForwardsToOwnAsLoop if message[18] == Kind::Update.code() => {
                for at in HEADER_LEN..message.len().saturating_sub(3) {
                    if message[at..at + 4] == own {
                        message[at..at + 4].copy_from_slice(&64_999_u32.to_be_bytes());
                    }
                }
                message
            }
            Breakage::TellsAllOfStale | Breakage::ForgetsStaleTime if message[18] == Kind::Open.code() => {
                self.opened(&message).unwrap_or(message)
            }
            _ => message,
        }
    }

    /// An OPEN that offers to take what is long-lived stale, or to be kept for ever.
    fn opened(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut open = Open::decode(message.get(HEADER_LEN..)?).ok()?;
        if self.breakage == Breakage::TellsAllOfStale {
            let beside = [
                Capability::GracefulRestart(open.graceful_restart().cloned().unwrap_or_default()),
                Capability::LongLivedRestart(open.long_lived_restart().cloned().unwrap_or_default()),
            ];
            open.capabilities.extend(beside);
        }
        for capability in &mut open.capabilities {
            if let Capability::LongLivedRestart(said) = capability
                && self.breakage == Breakage::ForgetsStaleTime
            {
                said.families.iter_mut().for_each(|family| family.seconds = MOST_SECONDS);
            }
        }
        let mut bytes = Vec::new();
        open.encode(&mut bytes);
        Some(bytes)
    }

    /// What is written in place of what the speaker wants, and to which connection.
    pub(super) fn write(&mut self, conn: ConnId, bytes: &Bytes) -> Vec<(ConnId, Bytes)> {
        let mut written = Vec::new();
        for message in messages(bytes).unwrap_or_default() {
            let said = content(&message, false).unwrap_or_default();
            let is_keepalive = message.kind == Kind::Keepalive.code();
            let first = is_keepalive && self.alive.insert(conn);
            let target = match self.breakage {
                Breakage::SkipsWithdraw if !said.withdrawn.is_empty() => continue,
                Breakage::LosesEndOfRib if said.end_of_rib.is_some() => continue,
                Breakage::ForgetsKeepalive if is_keepalive && !first => continue,
                Breakage::SendsToWrongPeer if !said.announced.is_empty() => {
                    self.alive.iter().copied().find(|other| *other != conn).unwrap_or(conn)
                }
                _ => conn,
            };
            written.push((target, whole(&message).into()));
        }
        written
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.parts.remove(&conn);
        self.alive.remove(&conn);
        self.seen.retain(|(of, _)| *of != conn);
    }
}
