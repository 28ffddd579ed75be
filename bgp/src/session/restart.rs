//! What a session knows of restarts (RFC 4724, RFC 8538, RFC 9494): what our OPEN says of
//! ours, what the peer's says of its own, and what an end of the session keeps. Pure.

use super::config::SessionConfig;
use super::ending::Ending;
use crate::config::{LongLived, PeerRestart};
use crate::prefix::{Family, PerFamily};
use crate::wire::long_lived::{LongLivedFamily, LongLivedRestart};
use crate::wire::notification::{Cease, Notification};
use crate::wire::open::Open;
use crate::wire::restart::GracefulRestart;

/// The code of Cease.
const CEASE: u8 = 6;

/// What of this speaker's state has survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survived {
    /// Whether the speaker restarts: its routes come after those of its peers.
    pub restarting: bool,
    /// Whether packets are forwarded as they were when the peer last heard of us.
    pub forwarding: PerFamily<bool>,
}

/// What our OPEN says; `None` where restarts are not offered.
pub(super) fn offer(config: &SessionConfig, survived: Survived) -> Option<GracefulRestart> {
    let wanted = Family::ALL.into_iter().filter(|family| config.families[*family]);
    config.restart.is_offered().then(|| GracefulRestart {
        restarting: survived.restarting,
        notification: config.restart.notification,
        seconds: config.restart.seconds,
        families: wanted.map(|family| (family.afi(), 1, survived.forwarding[family])).collect(),
    })
}

/// What our OPEN says of routes that are kept for long; `None` where that is not offered.
pub(super) fn offer_long_lived(config: &SessionConfig, survived: Survived) -> Option<LongLivedRestart> {
    let seconds = config.restart.long_lived;
    let said = |family: Family| LongLivedFamily {
        afi: family.afi(),
        safi: 1,
        forwarding: survived.forwarding[family],
        seconds,
    };
    let wanted = Family::ALL.into_iter().filter(|family| config.families[*family]);
    (seconds > 0).then(|| LongLivedRestart { families: wanted.map(said).collect() })
}

/// What both OPENs agree on; `None` where one of them does not offer it.
pub(super) fn agree(offered: &Open, open: &Open, families: PerFamily<bool>) -> Option<PeerRestart> {
    let (ours, theirs) = (offered.graceful_restart()?, open.graceful_restart()?);
    let named = |family: Family| theirs.forwarding(family).filter(|_| families[family]);
    Some(PeerRestart {
        restarting: theirs.restarting,
        seconds: theirs.seconds,
        notification: ours.notification && theirs.notification,
        families: PerFamily { ipv4: named(Family::Ipv4), ipv6: named(Family::Ipv6) },
        long_lived: agree_long_lived(offered, open, families),
    })
}

/// For how long each family is kept: for the peer's time, which the own one limits
/// (RFC 9494 §4.2); one with a time of zero is not.
fn agree_long_lived(offered: &Open, open: &Open, families: PerFamily<bool>) -> PerFamily<Option<LongLived>> {
    let (ours, theirs) = (offered.long_lived_restart(), open.long_lived_restart());
    let agreed = |family: Family| {
        let (ours, theirs) = (ours?.family(family)?, theirs?.family(family).filter(|_| families[family])?);
        let seconds = theirs.seconds.min(ours.seconds);
        (seconds > 0).then_some(LongLived { forwarding: theirs.forwarding, seconds })
    };
    PerFamily { ipv4: agreed(Family::Ipv4), ipv6: agreed(Family::Ipv6) }
}

/// The families whose routes are kept when an Established session ends: those
/// that the peer named, if the connection was lost (RFC 4724 §4.2), or, with the
/// "N" bit on both sides, after any NOTIFICATION but Hard Reset (RFC 8538 §4).
pub(super) fn kept(agreed: Option<&PeerRestart>, ending: &Ending) -> PerFamily<bool> {
    let Some(agreed) = agreed else { return PerFamily::default() };
    let told = ending.farewell.as_ref().or(ending.received.as_ref());
    let keeps = match told.map(|told| (told.code, told.subcode)) {
        _ if ending.hard => false,
        None => true,
        Some(number) => agreed.notification && number != (CEASE, Cease::HardReset as u8),
    };
    let named = |family: Family| agreed.families[family].is_some() || agreed.long_lived[family].is_some();
    let keeps = |family: Family| keeps && named(family);
    PerFamily { ipv4: keeps(Family::Ipv4), ipv6: keeps(Family::Ipv6) }
}

/// What the peer is told: where it would keep our routes after any other
/// NOTIFICATION, an end that is meant is a Hard Reset (RFC 8538 §3.1 and §5.1).
pub(super) fn farewell(agreed: Option<&PeerRestart>, ending: &Ending) -> Option<Notification> {
    let farewell = ending.farewell.as_ref()?;
    let hard = ending.hard && agreed.is_some_and(|agreed| agreed.notification);
    Some(if hard { Notification::hard_reset(farewell) } else { farewell.clone() })
}
