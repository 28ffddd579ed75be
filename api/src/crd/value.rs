//! Scalars that are written in more than one way: durations, AS numbers of
//! peers, routing tables.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A span of time as Kubernetes writes it: `9s`, `300ms`, `1m30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration such as 9s, 300ms or 1m30s");
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let count: u32 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = match &rest[..letters] {
                "ms" => Duration::from_millis(1),
                "s" => Duration::from_secs(1),
                "m" => Duration::from_mins(1),
                "h" => Duration::from_hours(1),
                _ => return Err(wrong()),
            };
            rest = &rest[letters..];
            let part = unit.checked_mul(count).ok_or_else(wrong)?;
            total = total.checked_add(part).ok_or_else(wrong)?;
        }
        if text.is_empty() { Err(wrong()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match (whole, millis) {
            (_, 0) => write!(f, "{whole}s"),
            (0, _) => write!(f, "{millis}ms"),
            _ => write!(f, "{whole}s{millis}ms"),
        }
    }
}

/// Which AS a peer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAsn {
    /// Just this one.
    Number(u32),
    /// Any but the node's own.
    External,
    /// The node's own.
    Internal,
    /// Any.
    Any,
}

impl FromStr for PeerAsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "External" => Ok(Self::External),
            "Internal" => Ok(Self::Internal),
            "Any" => Ok(Self::Any),
            _ => Err(format!("`{text}` is neither an AS number nor External, Internal or Any")),
        }
    }
}

impl fmt::Display for PeerAsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(asn) => asn.fmt(f),
            Self::External => f.write_str("External"),
            Self::Internal => f.write_str("Internal"),
            Self::Any => f.write_str("Any"),
        }
    }
}

/// A kernel routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTable {
    /// The main table, number 254.
    Main,
    /// Another one.
    Number(u32),
}

impl RouteTable {
    /// The table's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Main => 254,
            Self::Number(number) => number,
        }
    }
}

impl FromStr for RouteTable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "main" => Ok(Self::Main),
            _ => Err(format!("`{text}` is neither main nor the number of a table")),
        }
    }
}

impl fmt::Display for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.write_str("main"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Reads a scalar that is a number, or a text with its own grammar.
struct Scalar<T> {
    expecting: &'static str,
    number: fn(u32) -> Option<T>,
}

impl<T: FromStr<Err = String>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        u32::try_from(number)
            .ok()
            .and_then(self.number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! scalar {
    ($name:ident, $expecting:literal, $number:expr, $schema:tt) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Scalar { expecting: $expecting, number: $number })
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar!(Span, "a duration such as 9s", |_| None, {
    "type": "string",
    "pattern": "^([0-9]+(ms|s|m|h))+$"
});
scalar!(PeerAsn, "an AS number, External, Internal or Any", |number| Some(PeerAsn::Number(number)), {
    "x-kubernetes-int-or-string": true
});
scalar!(RouteTable, "main or the number of a table", |number| Some(RouteTable::Number(number)), {
    "x-kubernetes-int-or-string": true
});

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for PeerAsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(asn) => serializer.serialize_u32(*asn),
            word => serializer.collect_str(word),
        }
    }
}

impl Serialize for RouteTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u32(*number),
            Self::Main => serializer.serialize_str("main"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_kubernetes_writes_them() {
        let table = [
            ("9s", 9_000),
            ("300ms", 300),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("0s", 0),
            ("1s500ms", 1_500),
        ];
        for (text, millis) in table {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "9", "s", "9 s", "-1s", "9x", "1.5s", "99999999999s", "9sé"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn scalars_survive_json() {
        for asn in [PeerAsn::Number(4_200_000_000), PeerAsn::External, PeerAsn::Internal, PeerAsn::Any] {
            let json = serde_json::to_string(&asn).unwrap();
            assert_eq!(serde_json::from_str::<PeerAsn>(&json).unwrap(), asn);
        }
        for table in [RouteTable::Main, RouteTable::Number(100)] {
            let json = serde_json::to_string(&table).unwrap();
            assert_eq!(serde_json::from_str::<RouteTable>(&json).unwrap(), table);
        }
        let error = serde_json::from_str::<PeerAsn>("-1").unwrap_err().to_string();
        assert!(error.contains("expected an AS number, External, Internal or Any"), "{error}");
    }
}
