//! Which attributes the corpora hold, well formed and not: the decoder of each is reached both ways.

use std::collections::BTreeMap;

use bgp::prefix::PerFamily;
use bgp::wire::add_path::Mode;
use bgp::wire::code;
use bgp::wire::codec::Codec;
use bgp::wire::decode;
use bgp::wire::frame::{Framer, Kind};
use bgp::wire::update::Update;
use bgp::zone::Zone;

/// How many UPDATEs hold an attribute that was decoded, and one that was found wrong.
type Reached = BTreeMap<u8, [u64; 2]>;

/// The codec that an input of target `message` chooses.
fn chosen(choice: u8) -> Codec {
    let mode = Mode { receive: choice & 32 != 0, send: choice & 64 != 0 };
    Codec {
        four_octet: choice & 1 == 0,
        external: choice & 2 == 0,
        families: PerFamily { ipv4: choice & 4 == 0, ipv6: choice & 8 == 0 },
        add_path: PerFamily { ipv4: mode, ipv6: mode },
        extended_next_hop: choice & 128 != 0,
        zone: Zone::new(u32::from(choice & 128)),
    }
}

/// The type codes in the Path Attributes of an UPDATE (RFC 4271 §4.3), as far as they can be told.
fn codes(body: &[u8]) -> Vec<u8> {
    let field = |from: usize| -> Option<&[u8]> {
        let len = u16::from_be_bytes(*body.get(from..)?.first_chunk()?);
        body.get(from + 2..)?.get(..len.into())
    };
    let Some(withdrawn) = field(0) else { return Vec::new() };
    let mut rest = field(2 + withdrawn.len()).unwrap_or_default();
    let mut codes = Vec::new();
    while let &[flags, code, first, ..] = rest {
        codes.push(code);
        let len = match rest.get(3) {
            Some(second) if flags & code::EXTENDED_LENGTH != 0 => {
                4 + usize::from(u16::from_be_bytes([first, *second]))
            }
            _ => 3 + usize::from(first),
        };
        rest = rest.get(len..).unwrap_or_default();
    }
    codes
}

fn read(mut stream: &[u8], extended: bool, codec: &Codec, reached: &mut Reached) {
    let mut framer = Framer::new();
    if extended {
        framer.extend();
    }
    while let Ok(Some(message)) = framer.next(&mut stream) {
        if message.kind != Kind::Update {
            continue;
        }
        let held = codes(message.body);
        let mut wrong = Vec::new();
        match Update::parse(message.body, codec) {
            // What resets the session here is in one of these, or announces nothing.
            Err(_) => wrong.extend([code::MP_REACH_NLRI, code::MP_UNREACH_NLRI]),
            Ok(update) => {
                for announced in update.announced() {
                    let octets = update.key(&mut Vec::new()).to_vec();
                    let graded = decode::attributes(&octets, announced.next_hop, codec);
                    let problems = graded.map_or_else(|_| Vec::new(), |graded| graded.problems);
                    wrong.extend(problems.iter().map(|problem| problem.attribute));
                }
            }
        }
        for attribute in held.into_iter().filter(|code| code::category(*code).is_some()) {
            reached.entry(attribute).or_default()[usize::from(wrong.contains(&attribute))] += 1;
        }
    }
}

#[test]
fn each_attribute_is_in_the_corpus_well_formed_and_not() {
    let mut reached = Reached::new();
    for (_, data) in super::corpus("message") {
        if let [choice, _, stream @ ..] = &data[..] {
            read(stream, choice & 16 != 0, &chosen(*choice), &mut reached);
        }
    }
    let known: Vec<u8> = (0..=255).filter(|code| code::category(*code).is_some()).collect();
    let count = |attribute: &u8| reached.get(attribute).copied().unwrap_or_default();
    for attribute in &known {
        let [good, bad] = count(attribute);
        eprintln!("| {} | {good} | {bad} |", code::name(*attribute));
    }
    let missing: Vec<_> =
        known.iter().filter(|known| count(known).contains(&0)).map(|known| code::name(*known)).collect();
    assert!(missing.is_empty(), "no input has these both ways: {missing:?}");
}
