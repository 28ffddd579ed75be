//! What must hold after each step of a router: cheap, and looked at always.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::id::ConnId;
use bgp::io::{Note, State};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::time::{Duration, Instant};
use bgp::wire::add_path::Mode;
use bgp::wire::attribute::PathAttributes;
use bgp::wire::codec::Codec;
use bgp::wire::community::Community;
use bgp::wire::decode;
use bgp::wire::frame::{HEADER_LEN, Kind};
use bgp::wire::nlri::Nlri;
use bgp::wire::update::Update;

use super::attempts::Attempts;

/// All prefixes of both families, and what internal peers alone are sent; the sizes of
/// AS numbers do not matter here.
const CODEC: Codec = Codec {
    four_octet: true,
    external: false,
    families: PerFamily { ipv4: true, ipv6: true },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: true,
    zone: None,
};

/// What does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// The invariant.
    pub(crate) invariant: &'static str,
    /// What was seen, and where.
    pub(crate) text: String,
}

/// How often each invariant was looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked(pub(crate) BTreeMap<&'static str, u64>);

impl Checked {
    pub(crate) fn count(&mut self, invariant: &'static str) {
        *self.0.entry(invariant).or_default() += 1;
    }
}

/// What is kept of a router to judge its next step.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The state of each peer, by its address, as the notes tell.
    states: BTreeMap<IpAddr, State>,
    /// When hold times were looked at.
    looked_at: Instant,
    /// The hold time that each peer is offered.
    holds: BTreeMap<IpAddr, Duration>,
    /// When each peer was last heard, by the router's clock.
    heard_at: BTreeMap<IpAddr, Instant>,
    /// How its attempts to connect have fared.
    pub(super) attempts: Attempts,
    /// How often a session left Established.
    pub(crate) falls: u64,
}

/// A message as it was written.
pub(super) struct Written<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
}

/// The messages of a write; `None` where it is not whole messages.
pub(super) fn messages(mut bytes: &[u8]) -> Option<Vec<Written<'_>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let header = bytes.get(..HEADER_LEN)?;
        let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let marked = header[..16].iter().all(|octet| *octet == 0xff);
        let body = bytes.get(HEADER_LEN..len).filter(|_| marked)?;
        all.push(Written { kind: header[18], body });
        bytes = &bytes[len..];
    }
    Some(all)
}

/// An UPDATE's content, as far as routes go.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) announced: Vec<Prefix>,
    /// Whether what is announced was reflected (RFC 4456 §8).
    pub(super) reflected: bool,
    /// Whether what is announced is long-lived stale (RFC 9494 §4.2).
    pub(super) long_lived: bool,
    pub(super) withdrawn: Vec<Prefix>,
    pub(super) end_of_rib: Option<Family>,
}

/// What an UPDATE says, whose prefixes have Path Identifiers or not; `None` for another message, and for one that cannot be read.
pub(super) fn content(message: &Written<'_>, has_ids: bool) -> Option<Content> {
    if message.kind != Kind::Update.code() {
        return None;
    }
    let mode = Mode { receive: has_ids, send: has_ids };
    let codec = Codec { add_path: PerFamily { ipv4: mode, ipv6: mode }, ..CODEC };
    let update = Update::parse(message.body, &codec).ok()?;
    let attributes = update.announced().filter_map(|announced| {
        let graded = decode::attributes(update.key(&mut Vec::new()), announced.next_hop, &codec);
        graded.ok().and_then(|graded| graded.attributes)
    });
    let attributes: Vec<PathAttributes> = attributes.collect();
    let carries = |attributes: &PathAttributes| attributes.communities.contains(&Community::LLGR_STALE);
    Some(Content {
        reflected: attributes.iter().any(|attributes| !attributes.cluster_list.is_empty()),
        long_lived: attributes.iter().any(carries),
        announced: update.announced().flat_map(|announced| announced.nlri.iter()).collect(),
        withdrawn: update.withdrawn().flat_map(Nlri::iter).collect(),
        end_of_rib: update.end_of_rib(),
    })
}

impl Watch {
    pub(super) fn start_again(&mut self) {
        self.states.clear();
        self.heard_at.clear();
        self.attempts.start_again();
        self.looked_at = Instant(0);
    }

    /// Something came from a peer.
    pub(super) fn heard(&mut self, peer: IpAddr, now: Instant) {
        self.heard_at.insert(peer, now);
    }

    /// A session changed its state: from the one it was in (RFC 4271 §8.2.2).
    pub(super) fn moved(&mut self, note: &Note, checked: &mut Checked) -> Result<(), Violation> {
        checked.count("state-follows-state");
        let before = self.states.insert(note.address, note.to).unwrap_or_default();
        self.falls += u64::from(note.from == State::Established && note.to != State::Established);
        if before == note.from && note.from != note.to {
            return Ok(());
        }
        let text = format!("{}: from {:?} to {:?}, and it was {before:?}", note.name, note.from, note.to);
        Err(Violation { invariant: "state-follows-state", text })
    }

    /// The peers that are configured, and the hold time that is proposed to each:
    /// the negotiated one is no longer. One that is configured no more has no state.
    pub(super) fn expect(&mut self, peers: impl Iterator<Item = (IpAddr, Duration)>) {
        self.holds = peers.collect();
        self.states.retain(|address, _| self.holds.contains_key(address));
    }

    /// No session is Established beyond its hold time (RFC 4271 §6.5).
    pub(super) fn hold(&mut self, now: Instant, checked: &mut Checked) -> Result<(), Violation> {
        // A part of a hold time later nothing that matters is missed.
        if self.looked_at + Duration::from_millis(250) > now && self.looked_at <= now {
            return Ok(());
        }
        self.looked_at = now;
        for (address, _) in self.states.iter().filter(|(_, state)| **state == State::Established) {
            checked.count("hold-time");
            let silent = self.heard_at.get(address).map_or(Duration::ZERO, |heard_at| now - *heard_at);
            if self.holds.get(address).is_some_and(|hold| silent > *hold) {
                let text = format!("{address} is Established and was last heard {silent:?} ago");
                return Err(Violation { invariant: "hold-time", text });
            }
        }
        Ok(())
    }

    /// A write is whole messages, on a connection that is open.
    pub(super) fn wrote<'a>(
        &self,
        conn: ConnId,
        open: bool,
        bytes: &'a [u8],
        checked: &mut Checked,
    ) -> Result<Vec<Written<'a>>, Violation> {
        checked.count("whole-messages");
        let violation = |text| Violation { invariant: "whole-messages", text };
        if !open {
            return Err(violation(format!("a write to {conn}, which is closed")));
        }
        messages(bytes).ok_or_else(|| violation(format!("a write to {conn} is not whole messages")))
    }
}
