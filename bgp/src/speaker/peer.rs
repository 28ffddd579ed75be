//! One configured peer as the speaker keeps it: its configuration, its session,
//! and what the tables know it by.

use crate::bfd;
use crate::config::{PeerAs, PeerConfig, SpeakerConfig};
use crate::id::{Asn, PeerId};
use crate::io::{NextHop, Notice, Notifications, Told};
use crate::policy::{Export, Import, SourceKind};
use crate::prefix::{Family, PerFamily};
use crate::reason::Reason;
use crate::rib::adj_out::{AdjOut, Receiver};
use crate::rib::{Rib, Source, SourceId};
use crate::rule::RouteOrigin;
use crate::session::{Negotiated, Session, SessionConfig};
use crate::speaker::absence::Absence;
use crate::speaker::again::Again;
use crate::speaker::limit::Watch;
use crate::speaker::withdrawn::Withdrawn;
use crate::time::Instant;
use crate::view::{Counts, PeerView};
use crate::wire::grade::Problem;
use crate::wire::notification::Cease;
use crate::wire::pack::Longest;

/// A configured peer.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) config: PeerConfig,
    pub(super) session: Session,
    /// Whether nobody has named it: it is gone when its session is over.
    pub(super) dynamic: bool,
    /// The source of its paths, while the session is Established or its routes are kept.
    pub(super) source: Option<SourceId>,
    /// The next hop that its paths are likely to name, while the session is Established.
    pub(super) next_hop: Option<NextHop>,
    /// The families of which the peer has sent all since the session came up.
    pub(super) end_of_rib: PerFamily<bool>,
    /// How many UPDATEs had malformed attributes and did not end the session, and the last one's first.
    problems: (u64, Option<Problem>),
    /// The NOTIFICATIONs that people were told of since the session was last up.
    told: Notifications,
    /// What is known of its limits, while the session is Established.
    pub(super) watch: Watch,
    /// What its restart has left.
    pub(super) absence: Absence,
    /// What the peer is sending again, while the session is Established.
    pub(super) again: Again,
    /// What it sent in malformed UPDATEs, while the session is Established.
    pub(super) withdrawn: Withdrawn,
    /// The BFD session beside its own, where there is one.
    pub(super) bfd: Option<bfd::View>,
}

impl Peer {
    /// A peer whose session is not started.
    pub(super) fn new(
        id: PeerId,
        speaker: &SpeakerConfig,
        config: PeerConfig,
        jitter_seed: u64,
        now: Instant,
    ) -> Self {
        let session = Session::new(id, SessionConfig::of(speaker, &config), jitter_seed, now);
        Self {
            id,
            config,
            session,
            dynamic: false,
            source: None,
            next_hop: None,
            end_of_rib: PerFamily::default(),
            problems: (0, None),
            watch: Watch::default(),
            absence: Absence::default(),
            again: Again::default(),
            told: Notifications::default(),
            withdrawn: Withdrawn::default(),
            bfd: None,
        }
    }

    /// When the peer wants to be woken.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let own =
            [self.session.deadline(), self.watch.ask_at(), self.again.deadline(), self.absence.deadline()];
        own.into_iter().flatten().min()
    }

    /// Keeps count of malformed UPDATEs, and the last one's problem.
    pub(super) fn note_problems(&mut self, problems: Vec<Problem>) {
        self.problems.0 += problems.len() as u64;
        self.problems.1 = problems.into_iter().next_back().or(self.problems.1.take());
    }

    /// The NOTIFICATIONs that are news: a peer that fails the same way again and again is told of once.
    pub(super) fn news(&mut self) -> Vec<Notice> {
        let Notifications { sent, received } = self.session.notifications();
        let mut news = Vec::new();
        let each = [
            (Reason::NotificationSent, "sent", sent, &mut self.told.sent),
            (Reason::NotificationReceived, "peer sent", received, &mut self.told.received),
        ];
        for (reason, who, last, told) in each {
            let content = |told: &Option<Told>| told.as_ref().map(|told| told.notification.clone());
            if let Some(last) = last
                // How two connections become one (RFC 4271 §6.8) is no news.
                && !last.notification.is_cease(Cease::ConnectionCollision)
                && content(told).as_ref() != Some(&last.notification)
            {
                let text = format!("{who} {}, in hex {}", last.notification, last.hex());
                let (name, address) = (self.config.name.clone(), self.config.address);
                news.push(Notice { name, address, reason, text });
                *told = Some(last.clone());
            }
        }
        news
    }

    /// The session is up: what comes to an end from here on is news again.
    pub(super) fn forget_news(&mut self) {
        self.told = Notifications::default();
    }

    /// The peer's AS: from its OPEN, else the configured one where that is a number.
    pub(super) fn asn(&self) -> Option<Asn> {
        match (self.session.established(), self.config.asn) {
            (Some((_, negotiated)), _) => Some(negotiated.peer_asn),
            (None, PeerAs::Exactly(asn)) => Some(asn),
            (None, _) => None,
        }
    }

    /// The rules for its paths, which come from `source`.
    pub(super) fn import<'a>(&'a self, speaker: &'a SpeakerConfig, source: &Source) -> Import<'a> {
        let external = source.kind == SourceKind::External;
        Import { speaker, peer: &self.config, asn: source.asn, external }
    }

    /// What the peer is sent, as far as configuration and negotiation tell.
    pub(super) fn export(&self, speaker: &SpeakerConfig, negotiated: &Negotiated) -> Export {
        Export {
            asn: self.config.session_as(speaker.asn),
            behind: self.config.local_as.filter(|local| !local.replace).map(|_| speaker.asn),
            external: negotiated.external,
            transit: speaker.transit,
            client: self.config.reflector_client,
            role: self.config.role.filter(|_| negotiated.external),
            cluster: speaker.cluster(),
            next_hop: self.config.next_hop,
            own_next_hop: self.config.own_next_hop,
            extended_next_hop: negotiated.extended_next_hop,
            bilateral: negotiated.external,
            override_peer: self.config.as_path.override_peer.then_some(negotiated.peer_asn),
            remove_private: self.config.as_path.remove_private.then_some(negotiated.peer_asn),
            takes_long_lived: negotiated.takes_long_lived,
            longest: if negotiated.extended { Longest::Extended } else { Longest::Plain },
            rules: self.config.export.clone(),
            drain: speaker.drain,
        }
    }

    /// The peer as the one that is sent to; `None` unless Established.
    pub(super) fn receiver(&self, speaker: &SpeakerConfig) -> Option<Receiver> {
        let (_, negotiated) = self.session.established()?;
        Some(Receiver {
            peer: self.id,
            source: self.source?,
            codec: negotiated.codec,
            export: self.export(speaker, negotiated),
            limit: self.config.send_limit,
            several: self.config.add_path.send,
            marks: negotiated.enhanced_refresh,
        })
    }

    /// The peer as the source of paths.
    pub(super) fn as_source(id: PeerId, config: &PeerConfig, negotiated: &Negotiated) -> Source {
        Source {
            kind: if negotiated.external { SourceKind::External } else { SourceKind::Internal },
            origin: RouteOrigin::Learned,
            peer: Some(id),
            address: Some(config.address),
            router_id: negotiated.peer_router_id,
            asn: negotiated.peer_asn,
            via_default: config.via_default,
            client: config.reflector_client,
        }
    }

    /// The peer as it is shown.
    pub(super) fn view(&self, rib: &Rib, adj_out: &AdjOut) -> PeerView {
        let session = &self.session;
        let negotiated = session.established().map(|(_, negotiated)| negotiated);
        let counters = session.counters();
        PeerView {
            id: self.id,
            name: self.config.name.clone(),
            address: self.config.address,
            asn: self.asn(),
            router_id: negotiated.map(|n| n.peer_router_id),
            local: session.local(),
            state: session.state(),
            since: session.since(),
            down: session.down(),
            retry_at: session.retry_at(),
            failures: session.failures(),
            hold: negotiated.map(|n| n.hold),
            families: negotiated.map_or_else(PerFamily::default, |n| n.codec.families),
            end_of_rib: negotiated.map_or_else(PerFamily::default, |_| self.end_of_rib),
            add_path: negotiated.map_or_else(PerFamily::default, |n| n.codec.add_path),
            restart: negotiated.and_then(|n| n.restart),
            kept_until: self.kept_until(),
            bfd: self.bfd,
            long_lived_until: self.absence.long_lived_until(),
            stale: PerFamily { ipv4: self.stale(rib, Family::Ipv4), ipv6: self.stale(rib, Family::Ipv6) },
            counts: PerFamily {
                ipv4: self.counts(rib, adj_out, Family::Ipv4),
                ipv6: self.counts(rib, adj_out, Family::Ipv6),
            },
            established_count: counters.established,
            malformed: (self.problems.0, self.problems.1.as_ref().map(Problem::to_string)),
            notifications: session.notifications().clone(),
            limits: self.limits(rib, adj_out),
            updates: (counters.updates_received, counters.updates_sent),
        }
    }

    fn stale(&self, rib: &Rib, family: Family) -> u64 {
        self.source.map_or(0, |source| rib.stale(source, family))
    }

    fn counts(&self, rib: &Rib, adj_out: &AdjOut, family: Family) -> Counts {
        let source = self.source.filter(|_| self.session.established().is_some());
        let Some(received) = source.and_then(|source| rib.counts(source, family)) else {
            return Counts::default();
        };
        Counts {
            received: received.received(),
            accepted: received.accepted,
            rejected: received.rejected.clone(),
            sent: adj_out.count(self.id, family) as u64,
            kept_back: adj_out.limited(self.id, family) as u64,
        }
    }
}
