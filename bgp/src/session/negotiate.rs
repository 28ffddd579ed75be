//! The OPEN exchange: what we offer, what we accept, what both agree on
//! (RFC 4271 §4.2 and §6.2, RFC 4760 §8, RFC 5492, RFC 6286, RFC 6793). Pure.

use super::config::SessionConfig;
use super::ending::Ending;
use super::restart::{self, Survived};
use crate::config::{PeerAs, PeerRestart};
use crate::id::{Asn, RouterId};
use crate::prefix::{Family, PerFamily};
use crate::reason::Reason;
use crate::time::Duration;
use crate::wire::add_path::{AddPath, Mode};
use crate::wire::capability::Capability;
use crate::wire::codec::Codec;
use crate::wire::extended_next_hop::ExtendedNextHop;
use crate::wire::notification::Notification;
use crate::wire::open::Open;
use crate::wire::role::Role;
use crate::zone;

/// The shortest time between KEEPALIVEs (RFC 4271 §4.4).
const KEEPALIVE_FLOOR: Duration = Duration::from_secs(1);

/// What the two OPENs of a connection agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The peer's AS.
    pub peer_asn: Asn,
    /// The peer's BGP Identifier.
    pub peer_router_id: RouterId,
    /// Whether the peer is in another AS than we.
    pub external: bool,
    /// Whether ASes have four octets on the wire (RFC 6793).
    pub four_octet: bool,
    /// The families that both sides offered.
    pub families: PerFamily<bool>,
    /// The hold time: the lower of the two proposals; zero means none (RFC 4271 §4.2).
    pub hold: Duration,
    /// The time between our KEEPALIVEs before jitter: a third of the hold time
    /// or less; zero means none.
    pub keepalive: Duration,
    /// Whether the peer understands ROUTE-REFRESH (RFC 2918).
    pub refresh: bool,
    /// Whether answers to ROUTE-REFRESH have a marked begin and end (RFC 7313).
    pub enhanced_refresh: bool,
    /// Whether messages longer than 4 096 octets may be sent (RFC 8654 §4).
    pub extended: bool,
    /// Whether IPv4 prefixes may go with IPv6 next hops: both said that they understand it (RFC 8950 §4).
    pub extended_next_hop: bool,
    /// What both agreed on about restarts (RFC 4724).
    pub restart: Option<PeerRestart>,
    /// Whether the peer takes paths that are kept for long: its OPEN has said so,
    /// whatever ours does (RFC 9494 §4.3).
    pub takes_long_lived: bool,
    /// How UPDATEs are read and written.
    pub codec: Codec,
}

/// What our OPEN says. A plain one has no capabilities, for a peer that
/// refused them (RFC 5492 §3).
pub(super) fn offer(config: &SessionConfig, plain: bool, survived: Survived) -> Open {
    let capabilities = if plain {
        Vec::new()
    } else {
        let mut capabilities = multiprotocol(config);
        capabilities.extend([
            Capability::RouteRefresh,
            Capability::EnhancedRefresh,
            Capability::ExtendedMessage,
            Capability::FourOctetAs(config.local_asn),
        ]);
        if config.extended_next_hop && config.families.ipv4 {
            capabilities.push(Capability::ExtendedNextHop(ExtendedNextHop::ipv4_by_ipv6()));
        }
        capabilities.extend(config.role.map(|(role, _)| Capability::Role(role.code())));
        capabilities.extend(restart::offer(config, survived).map(Capability::GracefulRestart));
        capabilities.extend(restart::offer_long_lived(config, survived).map(Capability::LongLivedRestart));
        capabilities.extend(offered_paths(config).map(Capability::AddPath));
        capabilities
    };
    Open {
        asn: config.local_asn,
        hold_seconds: u16::try_from(config.timers.hold.as_secs()).unwrap_or(u16::MAX),
        router_id: config.router_id,
        capabilities,
    }
}

fn multiprotocol(config: &SessionConfig) -> Vec<Capability> {
    let wanted = Family::ALL.into_iter().filter(|family| config.families[*family]);
    wanted.map(Capability::multiprotocol).collect()
}

/// For which families we take or send several paths of a prefix (RFC 7911 §4);
/// `None` where neither is wanted.
fn offered_paths(config: &SessionConfig) -> Option<AddPath> {
    let mut offer = AddPath::default();
    let mode = Mode { receive: config.add_path.receive, send: config.add_path.send > 0 };
    for family in Family::ALL.into_iter().filter(|family| config.families[*family]) {
        offer.name(family, mode);
    }
    (!offer.families.is_empty()).then_some(offer)
}

/// Where prefixes have Path Identifiers: in the direction in which one side sends
/// them and the other takes them (RFC 7911 §5).
fn path_ids(offered: &Open, open: &Open, families: PerFamily<bool>) -> PerFamily<Mode> {
    let agreed = |family: Family| {
        let (ours, theirs) = (offered.add_path(family), open.add_path(family));
        let carried = families[family];
        Mode { receive: carried && ours.receive && theirs.send, send: carried && ours.send && theirs.receive }
    };
    PerFamily { ipv4: agreed(Family::Ipv4), ipv6: agreed(Family::Ipv6) }
}

/// Checks the peer's OPEN against the configuration and our own OPEN.
pub(super) fn accept(config: &SessionConfig, offered: &Open, open: &Open) -> Result<Negotiated, Ending> {
    check_asn(config, open)?;
    check_router_id(config, open)?;
    check_role(config, offered, open)?;
    let families = common_families(config, offered, open)?;
    let external = open.asn != config.local_asn;
    let both = |capability: &Capability| offered.offers(capability) && open.offers(capability);
    let four_octet = offered.four_octet() && open.four_octet();
    let hold = Duration::from_secs(offered.hold_seconds.min(open.hold_seconds).into());
    Ok(Negotiated {
        peer_asn: open.asn,
        peer_router_id: open.router_id,
        external,
        four_octet,
        families,
        hold,
        keepalive: keepalive(config.timers.keepalive, hold),
        refresh: both(&Capability::RouteRefresh),
        restart: restart::agree(offered, open, families),
        takes_long_lived: open.long_lived_restart().is_some(),
        enhanced_refresh: both(&Capability::EnhancedRefresh),
        extended: both(&Capability::ExtendedMessage),
        extended_next_hop: offered.takes_extended_next_hop() && open.takes_extended_next_hop(),
        codec: Codec {
            four_octet,
            external,
            families,
            add_path: path_ids(offered, open, families),
            extended_next_hop: offered.takes_extended_next_hop(),
            zone: zone::of(zone::of_socket(config.remote)),
        },
    })
}

/// A third of the hold time (RFC 4271 §10), or the configured time if that is
/// shorter; none without hold time.
fn keepalive(configured: Duration, hold: Duration) -> Duration {
    let third = hold / 3;
    if configured.is_zero() { third } else { third.min(configured.max(KEEPALIVE_FLOOR)) }
}

/// RFC 4271 §6.2, 2/2. AS_TRANS stands for an AS that the field cannot hold; as
/// a speaker's own it belongs to nobody (RFC 6793 §9).
fn check_asn(config: &SessionConfig, open: &Open) -> Result<(), Ending> {
    let (asn, own) = (open.asn, config.local_asn);
    if asn != Asn::TRANS && config.peer_as.admits(asn, own) {
        return Ok(());
    }
    let expected = match config.peer_as {
        PeerAs::Exactly(expected) => expected.to_string(),
        PeerAs::Internal => own.to_string(),
        PeerAs::External => format!("any but {own}"),
        PeerAs::Any => "one of its own".to_owned(),
    };
    let text = format!("peer AS is {asn}, expected {expected}");
    Err(Ending::refused(Notification::bad_peer_as(), Reason::BadPeerAs, text))
}

/// RFC 6286 §2.2, 2/3: internal peers have different identifiers. External
/// ones may have the same.
fn check_router_id(config: &SessionConfig, open: &Open) -> Result<(), Ending> {
    if open.router_id != config.router_id || open.asn != config.local_asn {
        return Ok(());
    }
    let text = format!("peer's router id {} is our own", open.router_id);
    Err(Ending::refused(Notification::bad_bgp_identifier(), Reason::NotificationSent, text))
}

/// RFC 9234 §4.2, 2/11: where both say a role, the two go together; a peer that
/// says none is accepted unless the operator is strict, one that says two is not.
fn check_role(config: &SessionConfig, offered: &Open, open: &Open) -> Result<(), Ending> {
    let Some((own, strict)) = config.role.filter(|_| open.asn != config.local_asn) else { return Ok(()) };
    let offered = offered.roles().any(|role| role == own.code());
    let mut roles = open.roles();
    let (role, contradicted) = (roles.next(), roles.next().is_some());
    let expected = own.counterpart().code();
    let text = match role.filter(|_| offered) {
        None if !strict => return Ok(()),
        None => "peer says no role".to_owned(),
        Some(_) if contradicted => "peer says more than one role".to_owned(),
        Some(role) if role == expected => return Ok(()),
        Some(role) => format!("peer's role is {} ({role})", Role::name(role)),
    };
    let text = format!("{text}, expected {}", Role::name(expected));
    Err(Ending::refused(Notification::role_mismatch(), Reason::RoleMismatch, text))
}

/// The families that both offered; an OPEN without the capability stands for
/// IPv4 unicast (RFC 4760 §8). A session that carries nothing is refused with the
/// capabilities that we want (RFC 5492 §5, 2/7).
fn common_families(config: &SessionConfig, offered: &Open, open: &Open) -> Result<PerFamily<bool>, Ending> {
    let (ours, theirs) = (offered.families(), open.families());
    let common = |family: Family| config.families[family] && ours[family] && theirs[family];
    let families = PerFamily { ipv4: common(Family::Ipv4), ipv6: common(Family::Ipv6) };
    if families.ipv4 || families.ipv6 {
        return Ok(families);
    }
    let mut wanted = Vec::new();
    for capability in multiprotocol(config) {
        capability.encode(&mut wanted);
    }
    let text = format!("peer offers {}, expected {}", listed(theirs), listed(config.families));
    Err(Ending::refused(Notification::unsupported_capability(&wanted), Reason::NotificationSent, text))
}

fn listed(families: PerFamily<bool>) -> String {
    let names = Family::ALL.into_iter().filter(|family| families[*family]).map(|family| family.to_string());
    let names: Vec<String> = names.collect();
    if names.is_empty() { "no family that is known".to_owned() } else { names.join(" and ") }
}
