//! A reference for what a speaker knows of one session's octets: a map, read as
//! RFC 4271 is written. It shares the decoder, which has a target of its own, and
//! nothing of the session, the table or the rules.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bgp::id::Asn;
use bgp::prefix::Prefix;
use bgp::wire::attribute::PathAttributes;
use bgp::wire::codec::Codec;
use bgp::wire::community::Community;
use bgp::wire::decode;
use bgp::wire::update::Update;

/// The Adj-RIB-In of one session (RFC 4271 §3.2), and whether the session is up.
#[derive(Clone, Default)]
pub(crate) struct AdjRibIn {
    pub(crate) routes: BTreeMap<Prefix, PathAttributes>,
    pub(crate) ended: bool,
}

impl AdjRibIn {
    /// What is left of an Established session's stream.
    pub(crate) fn of(mut stream: &[u8], codec: &Codec) -> Self {
        let mut table = Self::default();
        while !table.ended {
            let Some((kind, body)) = message(&mut stream, &mut table.ended) else { break };
            table.ended |= match kind {
                // RFC 4271 §8.2.2, Established: another OPEN ends it, as a NOTIFICATION does.
                1 | 3 => true,
                2 => table.update(body, codec).is_none(),
                // RFC 2918 §3: four octets.
                5 => body.len() < 4,
                _ => false,
            };
        }
        if table.ended {
            table.routes.clear();
        }
        table
    }

    /// RFC 4271 §9: withdrawn routes go, announced ones take the place of earlier ones.
    pub(crate) fn update(&mut self, body: &[u8], codec: &Codec) -> Option<()> {
        let update = Update::parse(body, codec).ok()?;
        for nlri in update.withdrawn() {
            for prefix in nlri.iter() {
                self.routes.remove(&prefix);
            }
        }
        for announced in update.announced() {
            let octets = update.key(&mut Vec::new()).to_vec();
            let attributes = decode::attributes(&octets, announced.next_hop, codec).ok()?.attributes;
            for prefix in announced.nlri.iter() {
                match &attributes {
                    Some(attributes) => self.routes.insert(prefix, attributes.clone()),
                    // RFC 7606 §2: treat-as-withdraw.
                    None => self.routes.remove(&prefix),
                };
            }
        }
        Some(())
    }
}

/// The next whole message (RFC 4271 §4.1), or none; a bad header ends the session (§6.1).
fn message<'s>(stream: &mut &'s [u8], ended: &mut bool) -> Option<(u8, &'s [u8])> {
    if stream.iter().take(16).any(|octet| *octet != 0xff) {
        *ended = true;
        return None;
    }
    let &[high, low, kind] = stream.get(16..19)?.first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let least = match kind {
        1 => 29,
        2 => 23,
        3 => 21,
        4 | 5 => 19,
        _ => usize::MAX,
    };
    let most = if kind == 4 { 19 } else { 4096 };
    if !(least..=most).contains(&len) {
        *ended = true;
        return None;
    }
    let (message, rest) = stream.split_at_checked(len)?;
    *stream = rest;
    Some((kind, &message[19..]))
}

/// How much an external route is preferred, the less the better (RFC 4271 §9.1.1, §9.1.2.2):
/// what is stale for long goes last (RFC 9494 §4.4), then what asks for it (RFC 8326 §4.1).
/// MEDs say nothing here, as each neighbouring AS has one session.
pub(crate) fn rank(attributes: &PathAttributes) -> impl Ord + use<> {
    let has = |community| attributes.communities.contains(&community);
    let preference: u32 = if has(Community::GRACEFUL_SHUTDOWN) { 0 } else { 100 };
    let hops = attributes.as_path.hops();
    (has(Community::LLGR_STALE), Reverse(preference), hops, attributes.origin)
}

/// Whether a route of one external peer may not go to another one.
pub(crate) fn stays(attributes: &PathAttributes) -> bool {
    let internal = [
        Community::NO_ADVERTISE,
        Community::NO_EXPORT,
        Community::NO_EXPORT_SUBCONFED,
        Community::BLACKHOLE,
        Community::LLGR_STALE,
    ];
    internal.iter().any(|community| attributes.communities.contains(community))
}

/// Whether a route must not be used by a speaker of this AS (RFC 4271 §9.1.2).
pub(crate) fn is_loop(attributes: &PathAttributes, own: Asn) -> bool {
    attributes.as_path.segments.iter().any(|segment| segment.asns.contains(&own))
}
