//! The table of RFC 7606: an attribute, what it leads to, and where it is written.

use bgp::wire::codec::Codec;
use bgp::wire::decode;
use bgp::wire::grade::Grade::{self, AttributeDiscard as Discard, TreatAsWithdraw as Withdraw};
use bgp::wire::notification::{Notification, UpdateError};

use super::{EXTERNAL, INTERNAL, OLD, hex};

const ORIGIN: &str = "40010100";
const AS_PATH: &str = "4002060201 0000fde9";
const NEXT_HOP: &str = "400304 0a000001";

struct Case {
    what: &'static str,
    codec: Codec,
    attributes: String,
    grade: Grade,
    words: &'static str,
}

fn case(what: &'static str, codec: Codec, attributes: String, grade: Grade, words: &'static str) -> Case {
    Case { what, codec, attributes, grade, words }
}

/// The attribute in the place of the mandatory one.
fn origin(attribute: &str) -> String {
    format!("{attribute} {AS_PATH} {NEXT_HOP}")
}

fn as_path(attribute: &str) -> String {
    format!("{ORIGIN} {attribute} {NEXT_HOP}")
}

fn next_hop(attribute: &str) -> String {
    format!("{ORIGIN} {AS_PATH} {attribute}")
}

/// The attribute after the mandatory ones.
fn with(attribute: &str) -> String {
    format!("{ORIGIN} {AS_PATH} {NEXT_HOP} {attribute}")
}

/// The same for a peer of two-octet ASes.
fn old(attribute: &str) -> String {
    format!("{ORIGIN} 400204 0201 5ba0 {NEXT_HOP} {attribute}")
}

#[rustfmt::skip]
fn table() -> Vec<Case> {
    vec![
        case("ORIGIN of 0 octets", EXTERNAL, origin("400100"), Withdraw, "ORIGIN (1): length 0, not 1: treat-as-withdraw (RFC 7606 7.1)"),
        case("ORIGIN of 2 octets", EXTERNAL, origin("4001020000"), Withdraw, "ORIGIN (1): length 2, not 1: treat-as-withdraw (RFC 7606 7.1)"),
        case("ORIGIN 3", EXTERNAL, origin("40010103"), Withdraw, "ORIGIN (1): value 3 is not defined: treat-as-withdraw (RFC 7606 7.1)"),
        case("ORIGIN optional", EXTERNAL, origin("c0010100"), Withdraw, "ORIGIN (1): flags 0xc0, not 0x40: treat-as-withdraw (RFC 7606 3 c)"),
        case("ORIGIN non-transitive", EXTERNAL, origin("00010100"), Withdraw, "ORIGIN (1): flags 0x00, not 0x40: treat-as-withdraw (RFC 7606 3 c)"),
        case("no ORIGIN", EXTERNAL, origin(""), Withdraw, "ORIGIN (1): mandatory, but missing: treat-as-withdraw (RFC 7606 3 d)"),

        case("AS_PATH segment 0", EXTERNAL, as_path("400206 0001 0000fde9"), Withdraw, "AS_PATH (2): segment type 0 is not defined: treat-as-withdraw (RFC 7606 7.2)"),
        case("AS_PATH segment 5", EXTERNAL, as_path("400206 0501 0000fde9"), Withdraw, "AS_PATH (2): segment type 5 is not defined: treat-as-withdraw (RFC 7606 7.2)"),
        case("AS_PATH overrun", EXTERNAL, as_path("400206 0202 0000fde9"), Withdraw, "AS_PATH (2): segment beyond the end of the attribute: treat-as-withdraw (RFC 7606 7.2)"),
        case("AS_PATH underrun", EXTERNAL, as_path("400207 0201 0000fde9 02"), Withdraw, "AS_PATH (2): an octet after the last segment: treat-as-withdraw (RFC 7606 7.2)"),
        case("AS_PATH empty segment", EXTERNAL, as_path("400208 0200 0201 0000fde9"), Withdraw, "AS_PATH (2): empty segment: treat-as-withdraw (RFC 7606 7.2)"),
        case("AS_PATH of two-octet ASes", EXTERNAL, as_path("400204 0201 fde9"), Withdraw, "AS_PATH (2): segment beyond the end of the attribute: treat-as-withdraw (RFC 7606 7.2)"),
        case("AS_PATH with AS 0", EXTERNAL, as_path("40020a 0202 0000fde9 00000000"), Withdraw, "AS_PATH (2): AS 0 in the path: treat-as-withdraw (RFC 7607 2)"),
        case("AS_PATH with a confederation", EXTERNAL, as_path("400206 0301 0000fde9"), Withdraw, "AS_PATH (2): confederation segment from a peer outside of a confederation: treat-as-withdraw (RFC 5065 5)"),
        case("AS_PATH with a confederation set", INTERNAL, as_path("400206 0401 0000fde9"), Withdraw, "AS_PATH (2): confederation segment from a peer outside of a confederation: treat-as-withdraw (RFC 5065 5)"),
        case("AS_PATH optional", EXTERNAL, as_path("c00200"), Withdraw, "AS_PATH (2): flags 0xc0, not 0x40: treat-as-withdraw (RFC 7606 3 c)"),
        case("no AS_PATH", EXTERNAL, as_path(""), Withdraw, "AS_PATH (2): mandatory, but missing: treat-as-withdraw (RFC 7606 3 d)"),

        case("NEXT_HOP of 3 octets", EXTERNAL, next_hop("400303 0a0000"), Withdraw, "NEXT_HOP (3): length 3, not 4: treat-as-withdraw (RFC 7606 7.3)"),
        case("NEXT_HOP of 16 octets", EXTERNAL, next_hop("400310 20010db8000000000000000000000001"), Withdraw, "NEXT_HOP (3): length 16, not 4: treat-as-withdraw (RFC 7606 7.3)"),
        case("NEXT_HOP non-transitive", EXTERNAL, next_hop("000304 0a000001"), Withdraw, "NEXT_HOP (3): flags 0x00, not 0x40: treat-as-withdraw (RFC 7606 3 c)"),
        case("no NEXT_HOP", EXTERNAL, next_hop(""), Withdraw, "NEXT_HOP (3): mandatory, but missing: treat-as-withdraw (RFC 7606 3 d)"),

        case("MED of 2 octets", EXTERNAL, with("800402 0001"), Withdraw, "MULTI_EXIT_DISC (4): length 2, not 4: treat-as-withdraw (RFC 7606 7.4)"),
        case("MED of 0 octets", EXTERNAL, with("800400"), Withdraw, "MULTI_EXIT_DISC (4): length 0, not 4: treat-as-withdraw (RFC 7606 7.4)"),
        case("MED transitive", EXTERNAL, with("c00404 00000001"), Withdraw, "MULTI_EXIT_DISC (4): flags 0xc0, not 0x80: treat-as-withdraw (RFC 7606 3 c)"),

        case("LOCAL_PREF from outside", EXTERNAL, with("400504 00000064"), Discard, "LOCAL_PREF (5): from an external peer: attribute-discard (RFC 7606 7.5)"),
        case("bad LOCAL_PREF from outside", EXTERNAL, with("400503 000064"), Discard, "LOCAL_PREF (5): from an external peer: attribute-discard (RFC 7606 7.5)"),
        case("LOCAL_PREF optional from outside", EXTERNAL, with("c00504 00000064"), Withdraw, "LOCAL_PREF (5): flags 0xc0, not 0x40: treat-as-withdraw (RFC 7606 3 c)"),
        case("LOCAL_PREF of 3 octets", INTERNAL, with("400503 000064"), Withdraw, "LOCAL_PREF (5): length 3, not 4: treat-as-withdraw (RFC 7606 7.5)"),

        case("ATOMIC_AGGREGATE of 1 octet", EXTERNAL, with("40060100"), Discard, "ATOMIC_AGGREGATE (6): length 1, not 0: attribute-discard (RFC 7606 7.6)"),
        case("AGGREGATOR of 6 octets", EXTERNAL, with("c00706 fde9 0a000001"), Discard, "AGGREGATOR (7): length 6, not 8: attribute-discard (RFC 7606 7.7)"),
        case("AGGREGATOR of 8 octets", OLD, old("c00708 0000fde9 0a000001"), Discard, "AGGREGATOR (7): length 8, not 6: attribute-discard (RFC 7606 7.7)"),
        case("AGGREGATOR of 0 octets", EXTERNAL, with("c00700"), Discard, "AGGREGATOR (7): length 0, not 8: attribute-discard (RFC 7606 7.7)"),
        case("AGGREGATOR with AS 0", EXTERNAL, with("c00708 00000000 0a000001"), Discard, "AGGREGATOR (7): AS 0: attribute-discard (RFC 7607 2)"),

        case("COMMUNITIES of 3 octets", EXTERNAL, with("c00803 fde900"), Withdraw, "COMMUNITIES (8): length 3, not a positive multiple of 4: treat-as-withdraw (RFC 7606 7.8)"),
        case("COMMUNITIES of 0 octets", EXTERNAL, with("c00800"), Withdraw, "COMMUNITIES (8): length 0, not a positive multiple of 4: treat-as-withdraw (RFC 7606 7.8)"),
        case("COMMUNITIES non-transitive", EXTERNAL, with("800804 fde90001"), Withdraw, "COMMUNITIES (8): flags 0x80, not 0xc0: treat-as-withdraw (RFC 7606 3 c)"),

        case("ORIGINATOR_ID from outside", EXTERNAL, with("800904 0a000001"), Discard, "ORIGINATOR_ID (9): from an external peer: attribute-discard (RFC 7606 7.9)"),
        case("ORIGINATOR_ID of 5 octets", INTERNAL, with("800905 0a00000100"), Withdraw, "ORIGINATOR_ID (9): length 5, not 4: treat-as-withdraw (RFC 7606 7.9)"),
        case("CLUSTER_LIST from outside", EXTERNAL, with("800a04 0a000001"), Discard, "CLUSTER_LIST (10): from an external peer: attribute-discard (RFC 7606 7.10)"),
        case("CLUSTER_LIST of 6 octets", INTERNAL, with("800a06 0a0000010000"), Withdraw, "CLUSTER_LIST (10): length 6, not a positive multiple of 4: treat-as-withdraw (RFC 7606 7.10)"),
        case("CLUSTER_LIST of 0 octets", INTERNAL, with("800a00"), Withdraw, "CLUSTER_LIST (10): length 0, not a positive multiple of 4: treat-as-withdraw (RFC 7606 7.10)"),

        case("EXTENDED COMMUNITIES of 7 octets", EXTERNAL, with("c01007 00020000000000"), Withdraw, "EXTENDED_COMMUNITIES (16): length 7, not a positive multiple of 8: treat-as-withdraw (RFC 7606 7.14)"),
        case("EXTENDED COMMUNITIES of 0 octets", EXTERNAL, with("c01000"), Withdraw, "EXTENDED_COMMUNITIES (16): length 0, not a positive multiple of 8: treat-as-withdraw (RFC 7606 7.14)"),
        case("IPv6 EXTENDED COMMUNITIES of 19 octets", EXTERNAL, with("c01913 00020000000000000000000000000000000000"), Withdraw, "IPv6 EXTENDED_COMMUNITIES (25): length 19, not a positive multiple of 20: treat-as-withdraw (RFC 7606 7.15)"),
        case("IPv6 EXTENDED COMMUNITIES of 0 octets", EXTERNAL, with("c01900"), Withdraw, "IPv6 EXTENDED_COMMUNITIES (25): length 0, not a positive multiple of 20: treat-as-withdraw (RFC 7606 7.15)"),
        case("LARGE_COMMUNITY of 8 octets", EXTERNAL, with("c02008 0000000100000002"), Withdraw, "LARGE_COMMUNITY (32): length 8, not a positive multiple of 12: treat-as-withdraw (RFC 8092 6)"),
        case("ONLY_TO_CUSTOMER of 2 octets", EXTERNAL, with("c02302 fde9"), Withdraw, "ONLY_TO_CUSTOMER (35): length 2, not 4: treat-as-withdraw (RFC 9234 5)"),
        case("ONLY_TO_CUSTOMER not transitive", EXTERNAL, with("802304 0000fde9"), Withdraw, "ONLY_TO_CUSTOMER (35): flags 0x80, not 0xc0: treat-as-withdraw (RFC 7606 3 c)"),

        case("AS4_PATH from a new speaker", EXTERNAL, with("c01106 0201 0000fde9"), Discard, "AS4_PATH (17): from a peer of four-octet ASes: attribute-discard (RFC 6793 6)"),
        case("AS4_AGGREGATOR from a new speaker", INTERNAL, with("c01208 0000fde9 0a000001"), Discard, "AS4_AGGREGATOR (18): from a peer of four-octet ASes: attribute-discard (RFC 6793 6)"),
        case("AS4_PATH too small", OLD, old("c01104 0201 fde9"), Discard, "AS4_PATH (17): segment beyond the end of the attribute: attribute-discard (RFC 6793 6)"),
        case("AS4_PATH empty", OLD, old("c01100"), Discard, "AS4_PATH (17): no segment: attribute-discard (RFC 6793 6)"),
        case("AS4_PATH segment 9", OLD, old("c01106 0901 00011170"), Discard, "AS4_PATH (17): segment type 9 is not defined: attribute-discard (RFC 6793 6)"),
        case("AS4_PATH with AS 0", OLD, old("c01106 0201 00000000"), Discard, "AS4_PATH (17): AS 0 in the path: attribute-discard (RFC 6793 6)"),
        case("AS4_PATH with a confederation", OLD, old("c0110c 0301 0000fde9 0201 00011170"), Discard, "AS4_PATH (17): segments of a confederation were left out: attribute-discard (RFC 6793 6)"),
        case("AS4_AGGREGATOR of 6 octets", OLD, old("c01206 fde9 0a000001"), Discard, "AS4_AGGREGATOR (18): length 6, not 8: attribute-discard (RFC 6793 6)"),
        case("AS4_AGGREGATOR with AS 0", OLD, old("c01208 00000000 0a000001"), Discard, "AS4_AGGREGATOR (18): AS 0: attribute-discard (RFC 7607 2)"),

        case("MED twice", EXTERNAL, with("800404 00000001 800404 00000002"), Discard, "MULTI_EXIT_DISC (4): appears more than once, the first one counts: attribute-discard (RFC 7606 3 g)"),
        case("bad ORIGIN after a good one", EXTERNAL, with("40010107"), Discard, "ORIGIN (1): appears more than once, the first one counts: attribute-discard (RFC 7606 3 g)"),
        case("unknown attribute twice", EXTERNAL, with("c063010a c063010b"), Discard, "attribute (99): appears more than once, the first one counts: attribute-discard (RFC 7606 3 g)"),
        case("good ORIGIN after a bad one", EXTERNAL, origin("40010107"), Withdraw, "ORIGIN (1): value 7 is not defined: treat-as-withdraw (RFC 7606 7.1)"),

        case("attribute beyond the end", EXTERNAL, with("800405 00000001"), Withdraw, "MULTI_EXIT_DISC (4): beyond the end of the path attributes: treat-as-withdraw (RFC 7606 4)"),
        case("extended length beyond the end", EXTERNAL, with("900400"), Withdraw, "MULTI_EXIT_DISC (4): beyond the end of the path attributes: treat-as-withdraw (RFC 7606 4)"),
        case("one octet left", EXTERNAL, with("c0"), Withdraw, "attribute (0): beyond the end of the path attributes: treat-as-withdraw (RFC 7606 4)"),
    ]
}

#[test]
fn each_attribute_is_graded() {
    for Case { what, codec, attributes, grade, words } in table() {
        let graded = decode::attributes(&hex(&attributes), None, &codec).unwrap();
        let found: Vec<String> = graded.problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, [words], "{what}");
        assert_eq!(graded.problems[0].grade, grade, "{what}");
        assert_eq!(graded.attributes.is_none(), grade == Withdraw, "{what}");
    }
}

#[test]
fn what_is_discarded_is_not_there() {
    for Case { what, codec, attributes, grade, words } in table() {
        // A duplicate leaves the first one, an AS4_PATH leaves its other segments.
        if grade == Withdraw || words.contains("more than once") || words.contains("were left out") {
            continue;
        }
        let base = if codec.four_octet { with("") } else { old("") };
        let expected = decode::attributes(&hex(&base), None, &codec).unwrap();
        assert_eq!(expected.problems, []);
        let graded = decode::attributes(&hex(&attributes), None, &codec).unwrap();
        assert_eq!(graded.attributes, expected.attributes, "{what}");
    }
}

#[test]
fn the_first_of_two_counts() {
    let attributes = with("800404 00000001 c063010a 800404 00000002 c063010b 400304 0a000002");
    let graded = decode::attributes(&hex(&attributes), None, &EXTERNAL).unwrap();
    let attributes = graded.attributes.unwrap();
    assert_eq!((attributes.med, &*attributes.unknown[0].value), (Some(1), &[0x0a][..]));
    assert_eq!((attributes.unknown.len(), attributes.next_hop.address()), (1, [10, 0, 0, 1].into()));
    assert_eq!(graded.problems.len(), 3);
}

#[test]
fn the_strongest_of_several_problems_counts() {
    // RFC 7606 §3 h: discard, withdraw, discard.
    let attributes = with("40060100 800401 00 c00700");
    let graded = decode::attributes(&hex(&attributes), None, &EXTERNAL).unwrap();
    assert_eq!(
        graded.problems.iter().map(|problem| problem.grade).collect::<Vec<_>>(),
        [Discard, Withdraw, Discard]
    );
    assert_eq!(graded.attributes, None);
    // A well-known attribute that is not known resets, whatever stands before it.
    let attributes = with("40060100 800401 00 406301aa");
    let reset = Notification::update(UpdateError::UnrecognizedWellKnownAttribute, &hex("406301aa"));
    assert_eq!(decode::attributes(&hex(&attributes), None, &EXTERNAL), Err(reset));
}

#[test]
fn a_bad_next_hop_attribute_beside_mp_reach_is_still_bad() {
    let next_hop = bgp::wire::attribute::NextHops::V4([10, 0, 0, 1].into());
    let graded = decode::attributes(&hex(&with("")), Some(next_hop), &EXTERNAL).unwrap();
    assert_eq!(graded.problems, []);
    let attributes = format!("{ORIGIN} {AS_PATH} 400303 0a0000");
    let graded = decode::attributes(&hex(&attributes), Some(next_hop), &EXTERNAL).unwrap();
    assert_eq!((graded.attributes, graded.problems.len()), (None, 1));
}
