//! Tables of conditions, patterns and changes.

use std::net::Ipv4Addr;

use super::*;
use crate::wire::as_path::{Segment, SegmentKind};
use crate::wire::attribute::NextHops;

fn path(text: &str) -> AsPath {
    let mut segments = Vec::new();
    for part in text.split_whitespace() {
        let asns: Vec<Asn> =
            part.trim_matches(['{', '}']).split(',').map(|asn| Asn(asn.parse().expect("an AS"))).collect();
        match (part.starts_with('{'), segments.last_mut()) {
            (true, _) => segments.push(Segment { kind: SegmentKind::Set, asns }),
            (false, Some(Segment { kind: SegmentKind::Sequence, asns: held })) => held.extend(asns),
            (false, _) => segments.push(Segment { kind: SegmentKind::Sequence, asns }),
        }
    }
    AsPath { segments }
}

fn attributes() -> PathAttributes {
    PathAttributes::originated(NextHops::V4(Ipv4Addr::new(10, 0, 0, 1)))
}

#[test]
fn patterns_are_met_by_paths_of_their_form() {
    let table = [
        ("", "", true),
        ("", "1", false),
        ("1", "1", true),
        ("1", "1 1", false),
        ("1", "11", false),
        ("1 *", "1", true),
        ("1 *", "1 2 3", true),
        ("1 *", "2 1", false),
        ("* 1", "3 2 1", true),
        ("* 1", "1 2", false),
        ("* 1 *", "3 1 2", true),
        ("* 1 *", "3 2", false),
        ("*", "", true),
        ("* *", "1 2", true),
        ("?", "", false),
        ("? ?", "1 2", true),
        ("? ?", "1 2 3", false),
        ("* 1 * 2 *", "2 1 3 1 2", true),
        ("* 1 * 2 *", "2 3 1", false),
        ("64512..65534 *", "64512 1", true),
        ("64512..65534 *", "65535 1", false),
        ("* 7", "1 {6,7}", true),
        ("1 ?", "1 {6,7}", true),
        ("1 ? ?", "1 {6,7}", false),
        ("4200000000 *", "4200000000", true),
    ];
    for (pattern, text, expected) in table {
        let parsed: PathPattern = pattern.parse().expect("a pattern");
        assert_eq!(parsed.matches(&path(text)), expected, "`{pattern}` and `{text}`");
        assert_eq!(parsed.to_string(), pattern);
    }
}

#[test]
fn texts_that_are_no_patterns_are_refused() {
    for text in ["x", "1,2", "^65001$", "65001.", "5..1", "1..", "-1", "4294967296", "**"] {
        assert_eq!(text.parse::<PathPattern>(), Err(PatternError::Part(text.to_owned())), "{text}");
    }
    assert_eq!("* ".repeat(33).parse::<PathPattern>(), Err(PatternError::Length));
    assert!("* ".repeat(32).parse::<PathPattern>().is_ok());
}

#[test]
fn a_pattern_of_stars_costs_no_more_than_pattern_times_path() {
    let pattern: PathPattern = format!("{}1", "* 2 ".repeat(15)).parse().expect("a pattern");
    let long = AsPath { segments: vec![Segment { kind: SegmentKind::Sequence, asns: vec![Asn(2); 1000] }] };
    assert!(!pattern.matches(&long), "a naive match would not end");
}

#[test]
fn prefix_ranges_follow_the_bounds_of_routers() {
    let of = |text: &str, ge, le| PrefixRange::new(text.parse().expect("a prefix"), ge, le);
    let table = [
        (of("10.0.0.0/8", None, None), "10.0.0.0/8", true),
        (of("10.0.0.0/8", None, None), "10.1.0.0/16", false),
        (of("10.0.0.0/8", Some(16), None), "10.1.0.0/16", true),
        (of("10.0.0.0/8", Some(16), None), "10.1.1.1/32", true),
        (of("10.0.0.0/8", Some(16), None), "10.0.0.0/15", false),
        (of("10.0.0.0/8", None, Some(16)), "10.0.0.0/8", true),
        (of("10.0.0.0/8", None, Some(16)), "10.1.1.0/24", false),
        (of("10.0.0.0/8", Some(24), Some(24)), "10.1.1.0/24", true),
        (of("10.0.0.0/8", Some(24), Some(24)), "11.1.1.0/24", false),
        (of("0.0.0.0/0", None, Some(32)), "192.0.2.1/32", true),
        (of("0.0.0.0/0", None, Some(32)), "fd00::/8", false),
        (of("fd00::/8", Some(48), None), "fd00:1:2::/48", true),
    ];
    for (range, text, expected) in table {
        assert_eq!(range.holds(text.parse().expect("a prefix")), expected, "{range}: {text}");
    }
}

#[test]
fn changes_take_off_then_put_on() {
    let standard = |number| AnyCommunity::Standard(Community(number));
    let large = LargeCommunity { global: 1, local1: 2, local2: 3 };
    let mut changed = PathAttributes {
        as_path: path("65001 65002"),
        med: Some(5),
        communities: [Community(1), Community(2)].into(),
        ..attributes()
    };
    let changes = Changes {
        local_preference: Some(200),
        med: None,
        prepend: 2,
        add: vec![standard(2), standard(3), AnyCommunity::Large(large), standard(3)],
        remove: vec![standard(1), standard(2)],
    };
    changes.apply(&mut changed, Some(Asn(7)));
    assert_eq!(changed.communities[..], [Community(2), Community(3)]);
    assert_eq!(changed.large_communities[..], [large]);
    assert_eq!((changed.local_preference, changed.med), (Some(200), Some(5)));
    assert_eq!(changed.as_path.to_string(), "7 7 65001 65002");
    assert_eq!(changes.to_string(), "local-preference 200, prepend 2, -0:1, -0:2, +0:2, +0:3, +1:2:3, +0:3");
}

#[test]
fn what_met_the_condition_is_named() {
    let carried = PathAttributes { communities: [Community(65000 << 16 | 1)].into(), ..attributes() };
    let prefix = "10.244.3.0/24".parse().expect("a prefix");
    let subject = Subject { prefix, origin: RouteOrigin::Learned, attributes: &carried };
    let condition = Condition {
        prefixes: vec![
            PrefixRange::new("192.0.2.0/24".parse().expect("a prefix"), None, None),
            PrefixRange::new("10.244.0.0/16".parse().expect("a prefix"), Some(24), Some(32)),
        ],
        communities: vec![AnyCommunity::Standard(Community(65000 << 16 | 1))],
        as_path: Some("*".parse().expect("a pattern")),
        origin: Some(RouteOrigin::Learned),
    };
    assert!(condition.meets(&subject));
    let text = "prefix 10.244.0.0/16 ge 24 le 32, community 65000:1, AS path \"*\", origin Learned";
    assert_eq!(condition.describe(&subject), text);
    assert_eq!(Condition::default().describe(&subject), "any path");
    assert!(Condition::default().meets(&subject));
    for other in [
        Condition { origin: Some(RouteOrigin::PodCidr), ..condition.clone() },
        Condition { communities: vec![AnyCommunity::Standard(Community(9))], ..condition.clone() },
        Condition { as_path: Some("1 *".parse().expect("a pattern")), ..condition.clone() },
        Condition { prefixes: vec![condition.prefixes[0]], ..condition },
    ] {
        assert!(!other.meets(&subject), "{other:?}: every field counts");
    }
}
