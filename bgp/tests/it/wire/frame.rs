//! The framer: whole messages, pieces, and the errors of RFC 4271 §6.1.

use bgp::wire::frame::{Framer, Kind, MAX_LEN, count, encode_keepalive};
use bgp::wire::notification::Notification;

use super::{hex, message};

/// What a framer makes of a stream that comes in pieces.
fn run(pieces: &[&[u8]]) -> (Vec<(Kind, Vec<u8>)>, Option<Notification>) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for mut piece in pieces.iter().copied() {
        loop {
            match framer.next(&mut piece) {
                Ok(Some(frame)) => frames.push((frame.kind, frame.body.to_vec())),
                Ok(None) => break,
                Err(notification) => return (frames, Some(notification)),
            }
        }
        assert!(piece.is_empty(), "a framer that asks for more has kept what it was given");
        assert!(framer.pending() < MAX_LEN);
    }
    (frames, None)
}

#[test]
fn keepalive_golden() {
    let mut out = Vec::new();
    encode_keepalive(&mut out);
    assert_eq!(out, hex("ffffffff ffffffff ffffffff ffffffff 0013 04"));
    assert_eq!(run(&[&out]), (vec![(Kind::Keepalive, vec![])], None));
}

#[test]
fn messages_in_one_chunk_are_not_copied() {
    let mut stream = message(4, &[]);
    stream.extend(message(2, &hex("0000 0000")));
    stream.extend(message(5, &hex("0001 00 01")));
    let mut framer = Framer::new();
    let mut rest = stream.as_slice();
    let mut kinds = Vec::new();
    while let Some(frame) = framer.next(&mut rest).unwrap() {
        assert!(stream.as_ptr_range().contains(&frame.body.as_ptr()) || frame.body.is_empty());
        kinds.push(frame.kind);
    }
    assert_eq!(kinds, [Kind::Keepalive, Kind::Update, Kind::RouteRefresh]);
}

#[test]
fn any_cut_gives_the_same_messages() {
    let mut stream = message(1, &hex("04 fde9 00b4 0a000001 00"));
    stream.extend(message(4, &[]));
    stream.extend(message(2, &[7; 300]));
    stream.extend(message(3, &hex("06 02 03 616263")));
    let whole = run(&[&stream]);
    assert_eq!(whole.0.len(), 4);
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(run(&[head, tail]), whole, "cut at {cut}");
    }
    let octets: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(run(&octets), whole);
}

#[test]
fn updates_are_counted() {
    let stream = [message(4, &[]), message(2, &[0; 4]), message(4, &[])].concat();
    assert_eq!((count(&[]), count(&stream), count(&stream[..stream.len() - 1])), (0, 1, 1));
    let mut rest = message(2, &[0; 4]);
    rest.extend(message(5, &[0; 4]));
    assert_eq!(count(&[stream, rest].concat()), 2);
    // A length that no message has is one header, so that the walk ends.
    assert_eq!(count(&[2; 40]), 1);
    assert_eq!(count(&[0; 40]), 0);
}

#[test]
fn header_errors() {
    let marker = "ffffffffffffffffffffffffffffffff";
    let cases = [
        ("marker", format!("{}fe 0013 04", &marker[2..]), (1, 1, "")),
        ("marker before length", format!("00{} 0000 00", &marker[2..]), (1, 1, "")),
        ("too short for a header", format!("{marker} 0012 04"), (1, 2, "0012")),
        ("zero length", format!("{marker} 0000 02"), (1, 2, "0000")),
        ("longer than 4096", format!("{marker} 1001 02"), (1, 2, "1001")),
        ("as long as can be", format!("{marker} ffff 02"), (1, 2, "ffff")),
        ("OPEN of 28", format!("{marker} 001c 01"), (1, 2, "001c")),
        ("UPDATE of 22", format!("{marker} 0016 02"), (1, 2, "0016")),
        ("NOTIFICATION of 20", format!("{marker} 0014 03"), (1, 2, "0014")),
        ("KEEPALIVE of 20", format!("{marker} 0014 04"), (1, 2, "0014")),
        ("type 0", format!("{marker} 0013 00"), (1, 3, "00")),
        ("type 6", format!("{marker} 0013 06"), (1, 3, "06")),
        ("type 255", format!("{marker} 1000 ff"), (1, 3, "ff")),
        ("length before type", format!("{marker} 0012 ff"), (1, 2, "0012")),
    ];
    for (case, header, (code, subcode, data)) in cases {
        let expected = Notification { code, subcode, data: hex(data) };
        let header = hex(&header);
        assert_eq!(run(&[&header]), (vec![], Some(expected.clone())), "{case}");
        // The header alone decides, however it arrives and whatever follows.
        let (head, tail) = header.split_at(18);
        assert_eq!(run(&[head, tail]), (vec![], Some(expected.clone())), "{case}, in pieces");
        let longer = [header.as_slice(), &[0; 5000]].concat();
        assert_eq!(run(&[&longer]), (vec![], Some(expected)), "{case}, with more");
    }
}

#[test]
fn another_protocol_is_told_before_a_header_is_whole() {
    let cases: [&[u8]; 3] = [b"S", b"GET / HTTP/1.1", &[&[0xff; 15][..], &[0xfe]].concat()];
    for start in cases {
        let octets: Vec<&[u8]> = start.chunks(1).collect();
        assert_eq!(run(&[start]), (vec![], Some(Notification::not_synchronized())), "{start:?}");
        assert_eq!(run(&octets), (vec![], Some(Notification::not_synchronized())), "{start:?}");
    }
    assert_eq!(run(&[&[0xff; 16], &[0]]), (vec![], None));
}

#[test]
fn messages_before_an_error_are_handed_out() {
    let mut stream = message(4, &[]);
    stream.extend(message(9, &[]));
    assert_eq!(run(&[&stream]), (vec![(Kind::Keepalive, vec![])], Some(Notification::bad_message_type(9))));
}

#[test]
fn the_longest_message_passes() {
    let stream = message(2, &vec![0; MAX_LEN - 19]);
    assert_eq!(run(&[&stream[..4000], &stream[4000..]]).0.len(), 1);
}
