//! What holds for any octets and any values.

use std::net::Ipv6Addr;

use bgp::prefix::Family;
use bgp::wire::attribute::NextHops;
use bgp::wire::codec::Codec;
use bgp::wire::frame::{Framer, Kind};
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;
use bgp::wire::refresh::Refresh;
use bgp::wire::update::Update;
use bgp::wire::{decode, encode, identity, nlri, pack};
use bgp::zone::Zone;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{EXTERNAL, INTERNAL, OLD, strategy};

/// Reads a body as what it says it is; whatever comes of it, nothing panics.
fn read(kind: Kind, body: &[u8], codec: &Codec) -> Result<(), Notification> {
    match kind {
        Kind::Open => Open::decode(body).map(drop),
        Kind::Notification => Notification::decode(body).map(|notification| drop(notification.to_string())),
        Kind::Keepalive => Ok(()),
        Kind::RouteRefresh => Refresh::decode(body).map(drop),
        Kind::Update => {
            let update = Update::parse(body, codec)?;
            let prefixes = update.withdrawn().flat_map(nlri::Nlri::iter).count();
            for announced in update.announced() {
                assert!(announced.nlri.iter().count() + prefixes <= body.len());
                let key = update.key(&mut Vec::new()).to_vec();
                let graded = decode::attributes(&key, announced.next_hop, codec)?;
                assert!(graded.attributes.is_some() || !graded.problems.is_empty());
            }
            Ok(())
        }
    }
}

/// All that a stream is read as, in any pieces.
fn frames(stream: &[u8], cuts: &[usize]) -> (Vec<(Kind, Vec<u8>)>, Option<Notification>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for piece in cuts.windows(2) {
        let mut piece = &stream[piece[0]..piece[1]];
        loop {
            match framer.next(&mut piece) {
                Ok(Some(frame)) => frames.push((frame.kind, frame.body.to_vec())),
                Ok(None) => break,
                Err(notification) => return (frames, Some(notification)),
            }
        }
    }
    (frames, None)
}

/// Octets of messages, most with a header that is right, some cut or changed.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let message = (1..=6_u8, vec(any::<u8>(), 0..200), any::<bool>())
        .prop_map(|(kind, body, empty)| super::message(kind, if empty && kind == 4 { &[] } else { &body }));
    let noise = vec((any::<prop::sample::Index>(), any::<u8>()), 0..2);
    (vec(message, 0..8), noise).prop_map(|(messages, noise)| {
        let mut stream = messages.concat();
        for (index, octet) in noise {
            if !stream.is_empty() {
                let at = index.index(stream.len());
                stream[at] = octet;
            }
        }
        stream
    })
}

/// The body of an UPDATE that is nearly one: attributes with lengths that are
/// mostly right.
fn nearly_an_update() -> impl Strategy<Value = Vec<u8>> {
    let codes = prop_oneof![1..=18_u8, Just(32), any::<u8>()];
    let flags = prop_oneof![Just(0x40_u8), Just(0x80), Just(0xc0), any::<u8>()];
    let attribute =
        (flags, codes, vec(any::<u8>(), 0..40), -1..=1_i8).prop_map(|(flags, code, value, off)| {
            let mut octets = vec![flags, code];
            let len = (value.len() as u16).saturating_add_signed(if off > 0 { 1 } else { 0 });
            if flags & 0x10 == 0 {
                octets.push(len as u8);
            } else {
                octets.extend(len.to_be_bytes());
            }
            octets.extend(value);
            octets
        });
    let field = || {
        let octets = |bits: &u32| [24, (bits >> 16) as u8, (bits >> 8) as u8, *bits as u8];
        vec(any::<u32>(), 0..5)
            .prop_map(move |prefixes| prefixes.iter().flat_map(octets).collect::<Vec<u8>>())
    };
    (field(), vec(attribute, 0..8), field())
        .prop_map(|(withdrawn, attributes, nlri)| super::update(&withdrawn, &attributes.concat(), &nlri))
}

fn codecs() -> impl Strategy<Value = Codec> {
    prop_oneof![
        Just(EXTERNAL),
        Just(INTERNAL),
        Just(OLD),
        Just(Codec { external: false, ..OLD }),
        Just(Codec { extended_next_hop: true, ..EXTERNAL }),
        Just(Codec { extended_next_hop: true, zone: Zone::new(7), ..EXTERNAL }),
        Just(Codec { families: bgp::prefix::PerFamily { ipv4: true, ipv6: false }, ..EXTERNAL }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_octets_are_read_without_panic(body in vec(any::<u8>(), 0..600), codec in codecs()) {
        for kind in [Kind::Open, Kind::Update, Kind::Notification, Kind::Keepalive, Kind::RouteRefresh] {
            let _ = read(kind, &body, &codec);
        }
        let _ = frames(&body, &[]);
    }

    #[test]
    fn nearly_updates_are_read_without_panic(body in nearly_an_update(), codec in codecs()) {
        let _ = read(Kind::Update, &body, &codec);
    }

    #[test]
    fn pieces_do_not_matter(stream in stream(), cuts in vec(any::<usize>(), 0..12)) {
        prop_assert_eq!(frames(&stream, &cuts), frames(&stream, &[]));
    }

    #[test]
    fn octet_by_octet_is_the_same(stream in stream()) {
        let cuts: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(frames(&stream, &cuts), frames(&stream, &[]));
    }

    #[test]
    fn open_comes_back(open in strategy::open()) {
        let mut out = Vec::new();
        open.encode(&mut out);
        let (frames, error) = frames(&out, &[]);
        prop_assert_eq!(error, None);
        prop_assert_eq!(&frames[0].1, &out[19..]);
        prop_assert_eq!(Open::decode(&out[19..]), Ok(open));
    }

    #[test]
    fn attributes_come_back(
        (family, attributes) in strategy::family()
            .prop_flat_map(|family| (Just(family), strategy::attributes(family))),
        four_octet in any::<bool>(),
    ) {
        let codec = Codec { four_octet, ..INTERNAL };
        let mut out = Vec::new();
        encode::attributes(&attributes, &codec, family, &mut out);
        let next_hop = (family == Family::Ipv6).then_some(attributes.next_hop);
        let graded = decode::attributes(&out, next_hop, &codec).unwrap();
        prop_assert_eq!(graded.problems, vec![]);
        prop_assert_eq!(graded.attributes, Some(attributes));
    }

    #[test]
    fn what_identifies_an_update_s_attributes_says_what_the_update_says(
        (family, attributes) in strategy::family()
            .prop_flat_map(|family| (Just(family), strategy::attributes(family))),
        base in codecs(),
        (four_octet, on_link, in_mp) in any::<(bool, [bool; 2], bool)>(),
    ) {
        let codec = Codec { four_octet, families: EXTERNAL.families, ..base };
        let mut attributes = attributes;
        if let NextHops::V6 { global, link_local } = &mut attributes.next_hop {
            // As from links whose addresses are link-local ones.
            let place = |address: Ipv6Addr| Ipv6Addr::from_bits(0xfe80 << 112 | address.to_bits() & u128::from(u64::MAX));
            *global = if on_link[0] { place(*global) } else { *global };
            *link_local = link_local.map(|address| if on_link[1] { place(address) } else { address });
        }
        let mut raw = Vec::new();
        encode::attributes(&attributes, &codec, family, &mut raw);
        let mut next_hop = Vec::new();
        attributes.next_hop.encode(&mut next_hop);
        let mut nlri: &[u8] = &[8, 10];
        if family == Family::Ipv6 || in_mp {
            let value = [&[0, 1 + u8::from(family == Family::Ipv6), 1, next_hop.len() as u8], &*next_hop, &[0, 8, 10]].concat();
            raw.extend([&[0x80, 14, value.len() as u8], &*value].concat());
            nlri = &[];
        }
        let body = [&[0, 0][..], &(raw.len() as u16).to_be_bytes(), &raw, nlri].concat();
        let update = Update::parse(&body, &codec).expect("an UPDATE");
        let announced = update.announced().next().expect("a prefix");
        let graded = decode::attributes(update.key(&mut Vec::new()), announced.next_hop, &codec).expect("graded");
        let identity = update.identity(&announced, &mut Vec::new()).to_vec();
        let again = identity::decode(announced.flavour(&codec), &identity);
        prop_assert_eq!(again, graded.attributes.filter(|_| graded.problems.is_empty()));
    }

    #[test]
    fn any_octets_identify_something_or_nothing(flavour in any::<u32>(), octets in vec(any::<u8>(), 0..100)) {
        drop(identity::decode(flavour, &octets));
    }

    #[test]
    fn prefixes_come_back(
        (family, prefixes) in strategy::family()
            .prop_flat_map(|family| (Just(family), vec(strategy::prefix(family), 1..1500))),
        (attributes, codec) in (strategy::attributes(Family::Ipv6), codecs()),
        next_hop in strategy::next_hops(Family::Ipv6),
    ) {
        // Where the family is IPv4, NEXT_HOP goes among the attributes.
        let mut raw = Vec::new();
        let next_hop = match family {
            Family::Ipv4 => bgp::wire::attribute::NextHops::V4([10, 0, 0, 1].into()),
            Family::Ipv6 => next_hop,
        };
        let attributes = bgp::wire::attribute::PathAttributes { next_hop, ..attributes };
        let codec = Codec { families: EXTERNAL.families, ..codec };
        encode::attributes(&attributes, &codec, family, &mut raw);
        let mut out = Vec::new();
        pack::announce(&raw, next_hop, family, prefixes.iter().copied(), pack::Longest::Plain, &mut out).unwrap();
        let mut found = Vec::new();
        for (kind, body) in frames(&out, &[]).0 {
            prop_assert_eq!(kind, Kind::Update);
            let update = Update::parse(&body, &codec).unwrap();
            let mut scratch = Vec::new();
            prop_assert_eq!(update.key(&mut scratch), &raw);
            for announced in update.announced() {
                prop_assert_eq!(announced.next_hop, (family == Family::Ipv6).then_some(next_hop));
                found.extend(announced.nlri.iter());
            }
        }
        prop_assert_eq!(&found, &prefixes);
        out.clear();
        pack::withdraw(family, prefixes.iter().copied(), &mut out);
        let mut gone = Vec::new();
        for (_, body) in frames(&out, &[]).0 {
            let update = Update::parse(&body, &codec).unwrap();
            gone.extend(update.withdrawn().flat_map(nlri::Nlri::iter));
        }
        prop_assert_eq!(gone, prefixes);
    }

    #[test]
    fn a_bad_attribute_never_hides_prefixes(
        attributes in strategy::attributes(Family::Ipv4),
        withdrawn in vec(strategy::prefix(Family::Ipv4), 0..20),
        announced in vec(strategy::prefix(Family::Ipv4), 1..20),
        noise in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        codec in codecs(),
    ) {
        let codec = Codec { families: EXTERNAL.families, ..codec };
        let mut raw = Vec::new();
        encode::attributes(&attributes, &codec, Family::Ipv4, &mut raw);
        for (index, octet) in noise {
            let at = index.index(raw.len());
            raw[at] = octet;
        }
        let field = |prefixes: &[bgp::prefix::Prefix]| {
            let mut out = Vec::new();
            prefixes.iter().for_each(|prefix| nlri::encode((*prefix).into(), &mut out));
            out
        };
        let body = super::update(&field(&withdrawn), &raw, &field(&announced));
        // A reset loses no route to a bad attribute either: all go with the session.
        if let Ok(update) = Update::parse(&body, &codec) {
            let first = update.announced().next().unwrap();
            prop_assert_eq!(first.nlri.iter().collect::<Vec<_>>(), announced);
            let gone: Vec<_> = update.withdrawn().next().into_iter().flat_map(nlri::Nlri::iter).collect();
            // The noise may have made an MP_UNREACH_NLRI; Withdrawn Routes go first.
            prop_assert!(withdrawn.is_empty() || gone == withdrawn);
        }
    }

    #[test]
    fn notification_comes_back(code in any::<u8>(), subcode in any::<u8>(), data in vec(any::<u8>(), 0..300)) {
        let notification = Notification { code, subcode, data };
        let mut out = Vec::new();
        notification.encode(&mut out);
        prop_assert_eq!(Notification::decode(&out[19..]), Ok(notification));
    }

    #[test]
    fn shutdown_text_comes_back(text in any::<String>()) {
        let notification = Notification::administrative_shutdown(&text);
        let kept = notification.text().unwrap_or_default();
        prop_assert!(text.starts_with(kept) && (kept == text || kept.len() > 255 - 4));
        // Nothing of a terminal's control gets through.
        prop_assert!(!notification.to_string().chars().any(char::is_control));
    }
}
