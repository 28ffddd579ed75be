//! The OPEN exchange: what we say, what we accept, what we answer and show.

use bgp::config::{AddPath, PeerAs};
use bgp::id::{Asn, RouterId};
use bgp::io::State;
use bgp::prefix::{Family, PerFamily};
use bgp::session::{Action, Negotiated, SessionConfig};
use bgp::wire::add_path::{self, Mode};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::open::Open;

use super::rig::{
    OUTBOUND, Rig, bytes_of, config, keepalive, message, messages, notification, peer_open, seconds,
};

/// The bytes that a started and connected session writes first.
fn our_open(config: SessionConfig) -> Vec<u8> {
    let mut rig = Rig::new(config);
    rig.start();
    rig.connected(OUTBOUND);
    written(&mut rig)
}

fn written(rig: &mut Rig) -> Vec<u8> {
    let written = rig.out.drain(..).filter_map(|action| match action {
        Action::Write { bytes, .. } => Some(bytes),
        _ => None,
    });
    written.flatten().collect()
}

fn negotiated(config: SessionConfig, open: &Open) -> Negotiated {
    let mut rig = Rig::greeted(config);
    rig.receive(OUTBOUND, &[bytes_of(open), keepalive()].concat());
    let down = rig.down();
    rig.session.established().unwrap_or_else(|| panic!("{down}")).1.clone()
}

/// What the session answers to an OPEN, data included, and what it shows.
fn refusal(config: SessionConfig, open: &Open) -> (Vec<u8>, String) {
    let mut rig = Rig::greeted(config);
    rig.receive(OUTBOUND, &bytes_of(open));
    assert_eq!(rig.session.state(), State::Active);
    (written(&mut rig)[19..].to_vec(), rig.down())
}

#[test]
fn our_open_to_the_octet() {
    let mut config = config();
    config.local_asn = Asn(4_200_000_001);
    let expected = [
        &[0xff; 16][..],
        &[0, 55, 1],
        &[4, 0x5b, 0xa0, 0, 9, 10, 0, 0, 1, 26], // version, AS_TRANS, hold time, identifier
        &[2, 24],                                // capabilities
        &[1, 4, 0, 1, 0, 1],                     // IPv4 unicast
        &[1, 4, 0, 2, 0, 1],                     // IPv6 unicast
        &[2, 0],                                 // route refresh
        &[70, 0],                                // enhanced route refresh
        &[6, 0],                                 // extended messages
        &[65, 4, 0xfa, 0x56, 0xea, 1],           // 4-octet AS
    ];
    assert_eq!(our_open(config), expected.concat());
}

#[test]
fn path_identifiers_go_where_one_side_sends_and_the_other_takes_them() {
    let mode = |receive, send| Mode { receive, send };
    let offering = |receive, send, ipv4, ipv6| {
        let config = SessionConfig { add_path: AddPath { receive, send }, ..config() };
        let mut open = peer_open();
        let families = vec![(1, 1, ipv4), (2, 1, ipv6), (1, 128, 3)];
        open.capabilities.push(Capability::AddPath(add_path::AddPath { families }));
        negotiated(config, &open).codec.add_path
    };
    let neither = mode(false, false);
    // RFC 7911 §5: 1 receives, 2 sends, 3 does both.
    assert_eq!(offering(true, 4, 3, 3), PerFamily { ipv4: mode(true, true), ipv6: mode(true, true) });
    assert_eq!(offering(true, 0, 3, 1), PerFamily { ipv4: mode(true, false), ipv6: neither });
    assert_eq!(offering(false, 1, 2, 1), PerFamily { ipv4: neither, ipv6: mode(false, true) });
    assert_eq!(offering(true, 9, 2, 0), PerFamily { ipv4: mode(true, false), ipv6: neither });
    assert_eq!(offering(false, 0, 3, 3), Codec::NO_PATH_IDS);
    let alone = SessionConfig { add_path: AddPath { receive: true, send: 4 }, ..config() };
    assert_eq!(negotiated(alone, &peer_open()).codec.add_path, Codec::NO_PATH_IDS);
    // A family that the session does not carry has none.
    let mut six = SessionConfig { add_path: AddPath { receive: true, send: 4 }, ..config() };
    six.families.ipv4 = false;
    let mut open = peer_open();
    let families = vec![(1, 1, 3), (2, 1, 3)];
    open.capabilities.push(Capability::AddPath(add_path::AddPath { families }));
    let agreed = negotiated(six, &open).codec.add_path;
    assert_eq!(agreed, PerFamily { ipv4: neither, ipv6: mode(true, true) });
}

#[test]
fn our_open_offers_path_identifiers_where_they_are_wanted() {
    for (receive, send, octet) in [(true, 0, 1), (false, 1, 2), (true, 255, 3)] {
        let bytes = our_open(SessionConfig { add_path: AddPath { receive, send }, ..config() });
        assert_eq!(bytes[bytes.len() - 10..], [69, 8, 0, 1, 1, octet, 0, 2, 1, octet]);
    }
}

#[test]
fn our_open_names_the_configured_families_and_as() {
    let mut config = config();
    config.families.ipv4 = false;
    let bytes = our_open(config);
    let open = Open::decode(&bytes[19..]).unwrap();
    assert_eq!(open.families(), PerFamily { ipv4: false, ipv6: true });
    assert_eq!(bytes[20..22], 65001_u16.to_be_bytes());
}

#[test]
fn agreement_of_two_full_offers() {
    let negotiated = negotiated(config(), &peer_open());
    assert_eq!(negotiated.peer_asn, Asn(65002));
    assert_eq!(negotiated.peer_router_id.to_string(), "10.0.0.2");
    assert!(negotiated.external && negotiated.four_octet && negotiated.refresh);
    assert_eq!(negotiated.families, PerFamily { ipv4: true, ipv6: true });
    assert_eq!((negotiated.hold, negotiated.keepalive), (seconds(9), seconds(3)));
    let codec = negotiated.codec;
    assert!(codec.four_octet && codec.external);
    assert_eq!(codec.families, negotiated.families);
}

#[test]
fn a_peer_without_capabilities_has_ipv4_and_short_as_numbers() {
    let mut open = peer_open();
    open.capabilities.clear();
    let negotiated = negotiated(config(), &open);
    assert_eq!(negotiated.families, PerFamily { ipv4: true, ipv6: false });
    assert!(!negotiated.four_octet && !negotiated.refresh && !negotiated.codec.four_octet);
}

#[test]
fn the_lower_hold_time_holds() {
    for (ours, theirs, hold, keepalive) in [
        (9, 90, 9, 3000),
        (90, 9, 9, 3000),
        (90, 3, 3, 1000),
        (90, 240, 90, 3000),
        (0, 90, 0, 0),
        (90, 0, 0, 0),
        (90, 7, 7, 2333),
    ] {
        let mut config = config();
        config.timers.hold = seconds(ours);
        let open = Open { hold_seconds: theirs, ..peer_open() };
        let negotiated = negotiated(config, &open);
        assert_eq!(negotiated.hold, seconds(hold), "{ours} and {theirs}");
        assert_eq!(negotiated.keepalive.as_millis(), keepalive, "{ours} and {theirs}");
    }
    let mut config = config();
    config.timers.hold = seconds(u64::MAX);
    assert_eq!(our_open(config)[22..24], [0xff, 0xff], "the field's largest value");
}

#[test]
fn hold_times_of_one_and_two_seconds_are_refused() {
    for hold_seconds in [1, 2] {
        let (answer, down) = refusal(config(), &Open { hold_seconds, ..peer_open() });
        assert_eq!(answer, [2, 6]);
        assert_eq!(down, "notification-sent: sent OPEN Message Error/Unacceptable Hold Time (2/6)");
    }
}

#[test]
fn the_peers_as_is_the_expected_one() {
    let own = Asn(65001);
    let with_as = |asn: u32| {
        let mut open = peer_open();
        open.asn = Asn(asn);
        open.capabilities = vec![Capability::FourOctetAs(Asn(asn))];
        open
    };
    for (peer_as, asn, expected) in [
        (PeerAs::Exactly(Asn(65000)), 65010, Some("peer AS is 65010, expected 65000")),
        (PeerAs::Exactly(Asn(4_200_000_000)), 4_200_000_000, None),
        (
            PeerAs::Exactly(Asn(4_200_000_000)),
            4_200_000_001,
            Some("peer AS is 4200000001, expected 4200000000"),
        ),
        (PeerAs::External, 65010, None),
        (PeerAs::External, 65001, Some("peer AS is 65001, expected any but 65001")),
        (PeerAs::Internal, 65001, None),
        (PeerAs::Internal, 65010, Some("peer AS is 65010, expected 65001")),
        (PeerAs::Any, 65001, None),
        (PeerAs::Any, 65010, None),
        (PeerAs::Any, 23456, Some("peer AS is 23456, expected one of its own")),
    ] {
        let config = SessionConfig { peer_as, ..config() };
        match expected {
            None => {
                let negotiated = negotiated(config, &with_as(asn));
                assert_eq!(negotiated.peer_asn, Asn(asn));
                assert_eq!(negotiated.external, Asn(asn) != own);
            }
            Some(expected) => {
                assert_eq!(refusal(config, &with_as(asn)), (vec![2, 2], format!("bad-peer-as: {expected}")));
            }
        }
    }
}

#[test]
fn as_zero_is_nobodys() {
    let config = SessionConfig { peer_as: PeerAs::Any, ..config() };
    let mut open = peer_open();
    open.asn = Asn(0);
    open.capabilities.clear();
    let (answer, down) = refusal(config, &open);
    assert_eq!(answer, [2, 2]);
    assert_eq!(down, "bad-peer-as: sent OPEN Message Error/Bad Peer AS (2/2)");
}

#[test]
fn an_internal_peer_has_another_router_id() {
    let internal = SessionConfig { peer_as: PeerAs::Internal, ..config() };
    let open = |asn: u32, router_id| Open {
        asn: Asn(asn),
        router_id,
        capabilities: vec![Capability::FourOctetAs(Asn(asn))],
        ..peer_open()
    };
    let own = internal.router_id;
    let (answer, down) = refusal(internal.clone(), &open(65001, own));
    assert_eq!(answer, [2, 3]);
    assert_eq!(down, "notification-sent: peer's router id 10.0.0.1 is our own");
    assert_eq!(refusal(internal, &open(65001, RouterId(0))).0, [2, 3]);
    // RFC 6286: unique within an AS only.
    assert_eq!(negotiated(config(), &open(65002, own)).peer_router_id, own);
}

#[test]
fn a_session_that_would_carry_nothing_is_refused_with_what_is_wanted() {
    let ipv6_only = SessionConfig { families: PerFamily { ipv4: false, ipv6: true }, ..config() };
    let mut open = peer_open();
    open.capabilities = vec![Capability::FourOctetAs(Asn(65002))];
    let (answer, down) = refusal(ipv6_only.clone(), &open);
    assert_eq!(answer, [2, 7, 1, 4, 0, 2, 0, 1]);
    assert_eq!(down, "notification-sent: peer offers IPv4, expected IPv6");
    open.capabilities.push(Capability::Multiprotocol { afi: 25, safi: 65 });
    assert_eq!(
        refusal(ipv6_only, &open).1,
        "notification-sent: peer offers no family that is known, expected IPv6"
    );
}

#[test]
fn a_family_that_one_side_lacks_is_not_carried() {
    let mut open = peer_open();
    open.capabilities = vec![Capability::multiprotocol(Family::Ipv6), Capability::FourOctetAs(Asn(65002))];
    assert_eq!(negotiated(config(), &open).families, PerFamily { ipv4: false, ipv6: true });
}

#[test]
fn capabilities_that_were_refused_are_left_out_once() {
    let mut rig = Rig::greeted(config());
    rig.receive(OUTBOUND, &notification(2, 4));
    assert_eq!(
        rig.down(),
        "notification-received: peer sent OPEN Message Error/Unsupported Optional Parameter (2/4)"
    );
    let inbound = bgp::id::ConnId::Inbound(1);
    rig.out.clear();
    rig.accepted(inbound);
    let plain = written(&mut rig);
    assert_eq!(plain.len(), 29, "no optional parameters");
    // The peer may have capabilities; ours were not offered.
    rig.receive(inbound, &[bytes_of(&peer_open()), keepalive()].concat());
    let (_, negotiated) = rig.session.established().expect("a session without capabilities");
    assert!(!negotiated.four_octet && !negotiated.refresh);
    assert_eq!(negotiated.families, PerFamily { ipv4: true, ipv6: false });
    rig.closed(inbound, None);
    rig.out.clear();
    rig.accepted(bgp::id::ConnId::Inbound(2));
    assert_eq!(written(&mut rig).len(), 55, "the next session offers them again");
}

#[test]
fn capabilities_stay_where_nothing_can_be_carried_without() {
    let mut rig = Rig::greeted(SessionConfig { families: PerFamily { ipv4: false, ipv6: true }, ..config() });
    rig.receive(OUTBOUND, &notification(2, 4));
    rig.out.clear();
    rig.accepted(bgp::id::ConnId::Inbound(1));
    assert!(Open::decode(&written(&mut rig)[19..]).unwrap().families().ipv6);
}

#[test]
fn malformed_opens_are_answered_by_their_subcode() {
    let open = bytes_of(&peer_open());
    let body = &open[19..];
    let without_capabilities = |parameters: &[u8]| {
        let len = u8::try_from(parameters.len()).unwrap();
        message(1, &[&body[..9], &[len], parameters].concat())
    };
    for (bytes, expected) in [
        (message(1, &body[..9]), "1/2"),
        (message(1, &[&[5], &body[1..]].concat()), "2/1"),
        (without_capabilities(&[2, 40, 1, 4]), "2/0"),
        (without_capabilities(&[2, 3, 1, 4, 0]), "2/0"),
        (without_capabilities(&[1, 2, 0, 0]), "2/4"),
        (message(1, &[&body[..9], &[200]].concat()), "2/0"),
    ] {
        let mut rig = Rig::greeted(config());
        rig.receive(OUTBOUND, &bytes);
        assert_eq!(messages(&written(&mut rig)), [expected], "{bytes:?}");
    }
}

#[test]
fn roles_go_together_or_the_session_does_not_come_up() {
    use bgp::wire::role::Role::{self, Customer, Peer, Provider, RouteServer, RouteServerClient};
    let all = [Provider, RouteServer, RouteServerClient, Customer, Peer];
    let pairs = [(Provider, Customer), (RouteServer, RouteServerClient), (Peer, Peer)];
    let with = |role: Role, strict| SessionConfig { role: Some((role, strict)), ..config() };
    let says = |roles: &[u8]| {
        let mut open = peer_open();
        open.capabilities.extend(roles.iter().map(|role| Capability::Role(*role)));
        open
    };
    // RFC 9234 §4.2, table 2; 2/11 has no data.
    let mismatch = vec![2, 11];
    for own in all {
        for other in all {
            if pairs.contains(&(own, other)) || pairs.contains(&(other, own)) {
                negotiated(with(own, true), &says(&[other.code()]));
            } else {
                let (bytes, text) = refusal(with(own, false), &says(&[other.code()]));
                let (is, expected) = (Role::name(other.code()), Role::name(own.counterpart().code()));
                assert_eq!(bytes, mismatch);
                assert!(
                    text.contains(&format!("peer's role is {is} ({}), expected {expected}", other.code())),
                    "{text}"
                );
            }
        }
        // A peer without a role is accepted, unless the operator is strict; one with two is not.
        negotiated(with(own, false), &says(&[]));
        let (bytes, text) = refusal(with(own, true), &says(&[]));
        assert!(bytes == mismatch && text.contains("peer says no role"), "{text}");
        let twice = refusal(with(own, false), &says(&[own.counterpart().code(), 77]));
        assert!(twice.0 == mismatch && twice.1.contains("more than one role"), "{}", twice.1);
        // Once is enough (RFC 5492 §4).
        negotiated(with(own, false), &says(&[own.counterpart().code(); 2]));
    }
    // Who has none asks for none.
    negotiated(config(), &says(&[4]));
    assert!(!our_open(config()).windows(2).any(|two| two == [9, 1]));
    assert!(our_open(with(Peer, false)).windows(3).any(|three| three == [9, 1, 4]));
    // Between peers of one AS nobody has a role.
    let mut internal = says(&[0]);
    internal.asn = Asn(65001);
    internal.capabilities.retain(|capability| !matches!(capability, Capability::FourOctetAs(_)));
    negotiated(SessionConfig { peer_as: PeerAs::Any, ..with(Provider, true) }, &internal);
}
