//! The table of what may come from a peer, and what follows: read from
//! `table.txt`, which says how it is written. Run against the speaker alone
//! here, and against the agent over TCP by the controller's tests.

use std::collections::BTreeMap;

use bgp::id::PathId;
use bgp::prefix::{Family, Prefix};
use bgp::wire::nlri::Route;

/// The peer, and how far its session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    OpenSent,
    OpenConfirm,
    Established,
    /// Established, of an external peer of two-octet ASes.
    Old,
    /// Established, of an external peer that offered extended messages (RFC 8654)
    /// and enhanced refresh (RFC 7313).
    Long,
    /// Established, of an external peer that sends Path Identifiers (RFC 7911).
    Several,
    /// Established, of an external peer that takes IPv6 next hops of IPv4, as we do (RFC 8950).
    Extended,
    /// OpenSent of an internal peer.
    InnerOpenSent,
    /// Established, of an internal peer.
    Inner,
}

impl State {
    /// Whether the session is Established.
    pub(crate) fn is_up(self) -> bool {
        !matches!(self, Self::OpenSent | Self::OpenConfirm | Self::InnerOpenSent)
    }

    /// Whether the peer is the internal one.
    pub(crate) fn is_internal(self) -> bool {
        matches!(self, Self::Inner | Self::InnerOpenSent)
    }
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// A NOTIFICATION with code, subcode and data, and the end.
    Close(u8, u8, Vec<u8>),
    /// The end alone.
    Silent,
    /// Our KEEPALIVE.
    Confirm,
    /// The prefix is there and nothing is wrong.
    Accept(Prefix),
    /// The prefix is there, an attribute is not.
    Discard(Prefix),
    /// The prefix was there and is not.
    Withdraw(Prefix),
    /// The prefix is there and refused.
    Refuse(&'static str, Prefix),
    /// The prefix is not there, and the session stays.
    Ignore(Prefix),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) state: State,
    pub(crate) name: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) sent: Vec<u8>,
    pub(crate) follows: Follows,
}

/// The table, and the messages that lead to a state.
pub(crate) struct Table {
    names: BTreeMap<&'static str, Vec<u8>>,
    pub(crate) cases: Vec<Case>,
}

const TEXT: &str = include_str!("table.txt");

impl Table {
    pub(crate) fn read() -> Self {
        let mut table = Self { names: BTreeMap::new(), cases: Vec::new() };
        for line in TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix("let ") {
                Some(definition) => {
                    let (name, octets) = definition.split_once(" = ").expect("a name and octets");
                    let octets = table.octets(octets);
                    assert!(table.names.insert(name, octets).is_none(), "{name} twice");
                }
                None => table.cases.push(table.case(line)),
            }
        }
        table
    }

    fn case(&self, line: &'static str) -> Case {
        let columns: Vec<&'static str> = line.split(" | ").map(str::trim).collect();
        let [state, name, rule, sent, follows] = columns[..] else { panic!("five columns: {line}") };
        let state = match state {
            "opensent" => State::OpenSent,
            "openconfirm" => State::OpenConfirm,
            "established" => State::Established,
            "old" => State::Old,
            "long" => State::Long,
            "several" => State::Several,
            "extended" => State::Extended,
            "inner" => State::Inner,
            "inner-opensent" => State::InnerOpenSent,
            other => panic!("state {other}"),
        };
        Case { state, name, rule, sent: self.messages(sent), follows: self.follows(follows) }
    }

    fn follows(&self, text: &'static str) -> Follows {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let prefix = || match rest.rsplit(' ').next() {
            Some("{P6}") => self.prefix(Family::Ipv6),
            _ => self.prefix(Family::Ipv4),
        };
        match word {
            "close" => {
                let (number, data) = rest.split_once(' ').unwrap_or((rest, ""));
                let (code, subcode) = number.split_once('/').expect("code and subcode");
                let number = |text: &str| text.parse().expect("a number");
                Follows::Close(number(code), number(subcode), self.octets(data))
            }
            "silent" => Follows::Silent,
            "confirm" => Follows::Confirm,
            "accept" => Follows::Accept(prefix()),
            "discard" => Follows::Discard(prefix()),
            "withdraw" => Follows::Withdraw(prefix()),
            "ignore" => Follows::Ignore(prefix()),
            "refuse" => Follows::Refuse(rest.split(' ').next().expect("a word"), prefix()),
            other => panic!("{other} follows"),
        }
    }

    /// {P} or {P6}.
    pub(crate) fn prefix(&self, family: Family) -> Prefix {
        let text = match family {
            Family::Ipv4 => "10.244.20.0/24",
            Family::Ipv6 => "fd00:10:244::/48",
        };
        text.parse().expect("a prefix")
    }

    fn messages(&self, text: &str) -> Vec<u8> {
        let Some((kind, rest)) = text.split_once(':') else { return self.octets(text) };
        match kind {
            "open" => message(1, &self.octets(rest)),
            "update" => {
                let fields: Vec<Vec<u8>> = rest.split('/').map(|field| self.octets(field)).collect();
                let [withdrawn, attributes, prefixes] = &fields[..] else { panic!("three fields: {text}") };
                message(2, &update(withdrawn, attributes, prefixes))
            }
            _ => {
                let kind = kind.strip_prefix("type ").and_then(|kind| kind.parse().ok());
                message(kind.expect("a type"), &self.octets(rest))
            }
        }
    }

    fn octets(&self, text: &str) -> Vec<u8> {
        let mut octets = Vec::new();
        for word in text.split_whitespace() {
            let (times, word) = match word.split_once('*') {
                Some((times, word)) => (times.parse().expect("a number"), word),
                None => (1, word),
            };
            match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                Some(name) => octets.extend(self.names.get(name).unwrap_or_else(|| panic!("{name}"))),
                None => octets.extend(hex(word).repeat(times)),
            }
        }
        octets
    }

    /// The OPEN of the peer in the state.
    pub(crate) fn open(&self, state: State) -> Vec<u8> {
        match state {
            State::Old => self.messages("open: {me} 0e 020c {v4} {v6}"),
            State::Long => self.messages("open: {me} 18 0216 {v4} {v6} {as4} 0600 4600"),
            State::Several => self.messages("open: {me} 1e 021c {v4} {v6} {as4} 4508 00010103 00020102"),
            State::Extended => self.messages("open: {me} 1c 021a {v4} {v6} {as4} 0506 000100010002"),
            State::Inner | State::InnerOpenSent => {
                self.messages("open: 04 fde9 005a 0a000203 14 0212 {v4} {v6} 41040000fde9")
            }
            _ => self.messages("open: {me} 14 {caps}"),
        }
    }

    /// An UPDATE without a flaw that announces the prefix, which is IPv4 but for {P6}.
    pub(crate) fn announce(&self, state: State, prefix: Prefix) -> Vec<u8> {
        let mut nlri = Vec::new();
        let id = (state == State::Several).then_some(PathId(1));
        bgp::wire::nlri::encode(Route { id, prefix }, &mut nlri);
        let attributes = match state {
            State::Old => "{ook}",
            State::Inner => "{iok}",
            _ => "{ok}",
        };
        match prefix.family() {
            Family::Ipv4 => message(2, &update(&[], &self.octets(attributes), &nlri)),
            Family::Ipv6 => self.messages("update: / {ok6} /"),
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "whole octets: {text}");
    let pairs = text.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("hex"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

/// A message: marker and length before the type and the body.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(19 + body.len()).expect("a message's length").to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

fn update(withdrawn: &[u8], attributes: &[u8], prefixes: &[u8]) -> Vec<u8> {
    let length = |field: &[u8]| u16::try_from(field.len()).expect("a field's length").to_be_bytes();
    [&length(withdrawn)[..], withdrawn, &length(attributes), attributes, prefixes].concat()
}
