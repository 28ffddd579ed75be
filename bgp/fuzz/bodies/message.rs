//! Octets as a stream of messages: framed, and each message decoded.
//!
//! The first octet chooses the codec and the longest message, the second the size of the pieces. Holds:
//! no panic; pieces make no difference; what was decoded and is encoded decodes
//! to the same again.

use bgp::prefix::{Family, PerFamily};
use bgp::wire::add_path::Mode;
use bgp::wire::codec::Codec;
use bgp::wire::decode;
use bgp::wire::frame::{Framer, Kind, MAX_EXTENDED_LEN, MAX_LEN};
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;
use bgp::wire::refresh::Refresh;
use bgp::wire::update::Update;
use bgp::wire::{encode, pack};
use bgp::zone::Zone;

/// Runs the target on one input.
pub(crate) fn run(data: &[u8]) {
    let [choice, size, stream @ ..] = data else { return };
    let codec = Codec {
        four_octet: choice & 1 == 0,
        external: choice & 2 == 0,
        families: PerFamily { ipv4: choice & 4 == 0, ipv6: choice & 8 == 0 },
        add_path: {
            let mode = Mode { receive: choice & 32 != 0, send: choice & 64 != 0 };
            PerFamily { ipv4: mode, ipv6: mode }
        },
        extended_next_hop: choice & 128 != 0,
        zone: Zone::new(u32::from(choice & 128)),
    };
    let extended = choice & 16 != 0;
    let whole = frames(stream, stream.len().max(1), extended);
    let pieces = frames(stream, usize::from(*size) + 1, extended);
    assert_eq!(whole, pieces, "pieces of {} octets", usize::from(*size) + 1);
    for (kind, body) in &whole.0 {
        message(*kind, body, &codec);
    }
}

/// A message as the framer gives it.
type Message = (Kind, Vec<u8>);

fn frames(stream: &[u8], size: usize, extended: bool) -> (Vec<Message>, Option<Notification>) {
    let (mut framer, mut messages) = (Framer::new(), Vec::new());
    if extended {
        framer.extend();
    }
    for mut chunk in stream.chunks(size) {
        loop {
            match framer.next(&mut chunk) {
                Ok(Some(frame)) => messages.push((frame.kind, frame.body.to_vec())),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(framer.pending() < if extended { MAX_EXTENDED_LEN } else { MAX_LEN });
    }
    (messages, None)
}

fn message(kind: Kind, body: &[u8], codec: &Codec) {
    match kind {
        Kind::Open => open(body),
        Kind::Update => update(body, codec),
        Kind::Notification => {
            let told = Notification::decode(body);
            let (Ok(told) | Err(told)) = told;
            assert!(!told.to_string().contains(char::is_control), "it goes to a terminal: {told}");
        }
        Kind::RouteRefresh => drop(Refresh::decode(body)),
        Kind::Keepalive => assert!(body.is_empty()),
    }
}

/// The body of the one message in the bytes.
fn body(message: &[u8]) -> &[u8] {
    &message[bgp::wire::frame::HEADER_LEN..]
}

fn open(octets: &[u8]) {
    let Ok(open) = Open::decode(octets) else { return };
    let mut message = Vec::new();
    open.encode(&mut message);
    assert_eq!(Open::decode(body(&message)).as_ref(), Ok(&open));
}

fn update(octets: &[u8], codec: &Codec) {
    let Ok(update) = Update::parse(octets, codec) else { return };
    let mut room = Vec::new();
    for nlri in update.withdrawn() {
        let count = nlri.iter().count();
        assert!((1..=MAX_EXTENDED_LEN).contains(&count));
    }
    for announced in update.announced() {
        let family = announced.nlri.family();
        assert!(codec.families[family], "a family that was not negotiated");
        let Ok(graded) = decode::attributes(update.key(&mut room), announced.next_hop, codec) else { return };
        for problem in &graded.problems {
            assert!(!problem.to_string().contains(char::is_control), "{problem}");
        }
        let Some(attributes) = graded.attributes else {
            assert!(!graded.problems.is_empty(), "withdrawn without a reason");
            continue;
        };
        let routes: Vec<_> = announced.nlri.routes().collect();
        again(&attributes, family, &routes, codec);
    }
}

/// Encodes the path and decodes it: the same attributes, the same prefixes, with the same Path Identifiers.
fn again(
    attributes: &bgp::wire::attribute::PathAttributes,
    family: Family,
    routes: &[bgp::wire::nlri::Route],
    codec: &Codec,
) {
    let (mut encoded, mut messages) = (Vec::new(), Vec::new());
    encode::attributes(attributes, codec, family, &mut encoded);
    let (next_hop, most) = (attributes.next_hop, pack::Longest::Extended);
    let packed = pack::announce(&encoded, next_hop, family, routes.iter().copied(), most, &mut messages);
    if packed.is_err() {
        return;
    }
    let (messages, error) = frames(&messages, messages.len(), true);
    assert_eq!(error, None, "what we send is framed");
    let mut found = Vec::new();
    for (_, octets) in &messages {
        let update = Update::parse(octets, codec).expect("what we send is an UPDATE");
        for announced in update.announced() {
            let mut room = Vec::new();
            let graded = decode::attributes(update.key(&mut room), announced.next_hop, codec);
            let graded = graded.expect("what we send has attributes");
            assert_eq!(graded.problems, [], "what we send has no problem");
            let mut expected = attributes.clone();
            // RFC 4271 §5: what was passed on without being known says so.
            for (expected, found) in
                expected.unknown.iter_mut().zip(graded.attributes.iter().flat_map(|found| &found.unknown))
            {
                expected.flags |= found.flags & 0x20;
            }
            assert_eq!(graded.attributes.as_ref(), Some(&expected));
            found.extend(announced.nlri.routes());
        }
    }
    assert_eq!(found, routes);
}
