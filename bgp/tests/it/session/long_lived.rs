//! Long-lived restarts as a session sees them (RFC 9494): what our OPEN says, what both
//! agree on, and what an end keeps.

use bgp::config::{LongLived, PeerRestart, Restart};
use bgp::prefix::PerFamily;
use bgp::session::{Action, SessionConfig, Survived};
use bgp::wire::capability::Capability;
use bgp::wire::long_lived::{LongLivedFamily, LongLivedRestart};
use bgp::wire::open::Open;
use bgp::wire::restart::GracefulRestart;

use super::rig::{OUTBOUND, Rig, bytes_of, config, keepalive, notification, peer_open, seconds};

fn able(seconds: u16, long_lived: u32) -> SessionConfig {
    SessionConfig { restart: Restart { seconds, notification: false, long_lived }, ..config() }
}

/// The peer's OPEN: a restart time of 30 s for these families, and long times for those.
fn returning(restart: &[u16], long_lived: &[(u16, u32)]) -> Open {
    let families = restart.iter().map(|&afi| (afi, 1, true)).collect();
    let restart = GracefulRestart { restarting: false, notification: false, seconds: 30, families };
    let said = |&(afi, seconds): &(u16, u32)| LongLivedFamily { afi, safi: 1, forwarding: true, seconds };
    let long_lived = LongLivedRestart { families: long_lived.iter().map(said).collect() };
    let mut open = peer_open();
    let said = [Capability::GracefulRestart(restart), Capability::LongLivedRestart(long_lived)];
    open.capabilities.extend(said);
    open
}

fn up(config: SessionConfig, open: &Open) -> Rig {
    let mut rig = Rig::greeted(config);
    rig.receive(OUTBOUND, &[bytes_of(open), keepalive()].concat());
    rig.out.clear();
    rig
}

fn agreed(rig: &Rig) -> Option<PeerRestart> {
    rig.session.established().expect("up").1.restart
}

fn kept(rig: &mut Rig) -> PerFamily<bool> {
    let down = rig.out.drain(..).find_map(|action| match action {
        Action::Down { kept, .. } => Some(kept),
        _ => None,
    });
    down.expect("the session has ended")
}

#[test]
fn our_open_says_it_beside_graceful_restart_alone() {
    let said = |config: SessionConfig| {
        let mut rig = Rig::new(config);
        rig.session.survive(Survived { restarting: true, forwarding: PerFamily { ipv4: true, ipv6: false } });
        rig.start();
        rig.connected(OUTBOUND);
        let written = rig.out.drain(..).find_map(|action| match action {
            Action::Write { bytes, .. } if bytes[18] == 1 => Some(bytes),
            _ => None,
        });
        let open = Open::decode(&written.expect("an OPEN")[19..]).expect("a good one");
        (open.graceful_restart().map(|said| said.seconds), open.long_lived_restart().cloned())
    };
    let family = |afi, forwarding| LongLivedFamily { afi, safi: 1, forwarding, seconds: 3_600 };
    let long = LongLivedRestart { families: vec![family(1, true), family(2, false)] };
    assert_eq!(said(able(90, 3_600)), (Some(90), Some(long.clone())));
    assert_eq!(said(able(0, 3_600)), (Some(0), Some(long)), "a restart time of zero is said too");
    assert_eq!(said(able(90, 0)), (Some(90), None));
    assert_eq!(said(able(0, 0)), (None, None));
}

#[test]
fn the_shorter_of_both_times_holds_for_each_family() {
    let ours = |seconds| Some(LongLived { forwarding: true, seconds });
    let rig = up(able(90, 3_600), &returning(&[1, 2], &[(1, 60), (2, 86_400)]));
    let expected = PerFamily { ipv4: ours(60), ipv6: ours(3_600) };
    assert_eq!(agreed(&rig).map(|agreed| agreed.long_lived), Some(expected));
    assert!(rig.session.established().expect("up").1.takes_long_lived);
    // A time of zero keeps nothing for long, and where we offer nothing nothing is agreed on.
    let rig = up(able(90, 3_600), &returning(&[1, 2], &[(1, 0)]));
    assert_eq!(agreed(&rig).map(|agreed| agreed.long_lived), Some(PerFamily::default()));
    let rig = up(able(90, 0), &returning(&[1, 2], &[(1, 60)]));
    assert_eq!(agreed(&rig).map(|agreed| agreed.long_lived), Some(PerFamily::default()));
    assert!(rig.session.established().expect("up").1.takes_long_lived, "it is the peer's word that counts");
}

#[test]
fn a_family_that_is_kept_for_long_alone_is_kept() {
    let mut rig = up(able(90, 60), &returning(&[2], &[(1, 60)]));
    rig.closed(OUTBOUND, None);
    assert_eq!(kept(&mut rig), PerFamily { ipv4: true, ipv6: true });
    let mut rig = up(able(90, 0), &returning(&[2], &[(1, 60)]));
    rig.closed(OUTBOUND, None);
    assert_eq!(kept(&mut rig), PerFamily { ipv4: false, ipv6: true });
}

#[test]
fn a_hard_reset_and_without_the_n_bit_any_notification_keep_nothing() {
    for (code, subcode) in [(6, 9), (6, 4)] {
        let mut rig = up(able(90, 60), &returning(&[1, 2], &[(1, 60), (2, 60)]));
        rig.receive(OUTBOUND, &notification(code, subcode));
        assert_eq!(kept(&mut rig), PerFamily::default(), "{code}/{subcode}");
    }
    let mut rig = up(able(90, 60), &returning(&[1, 2], &[(1, 60), (2, 60)]));
    rig.pass(seconds(9));
    assert_eq!(kept(&mut rig), PerFamily::default(), "nothing was heard");
}
