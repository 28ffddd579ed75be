//! From a tree with lines to a typed value. An error carries the line and the
//! path of the field that it is about.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::tree::{Key, Node, Value};

/// Why a tree is not a value of the type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The line; zero only between the place of the error and the node around it.
    pub(super) line: u64,
    /// The field, such as `spec.fib.metric`; empty for the whole.
    pub(super) path: String,
    /// What is wrong there.
    pub(super) message: String,
}

impl Flaw {
    /// Puts one more element before the path; the innermost node gives the line.
    fn inside(mut self, element: &str, line: u64) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self.path = match self.path.as_str() {
            "" => element.to_owned(),
            path if path.starts_with('[') => format!("{element}{path}"),
            path => format!("{element}.{path}"),
        };
        self
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "field `{}`: {}", self.path, self.message)
    }
}

impl std::error::Error for Flaw {}

impl de::Error for Flaw {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { line: 0, path: String::new(), message: message.to_string() }
    }
}

/// Reads a typed value.
pub(super) fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, Flaw> {
    T::deserialize(node).map_err(|flaw| if flaw.line == 0 { Flaw { line: node.line, ..flaw } } else { flaw })
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Flaw;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(nodes) => visitor.visit_seq(Elements { nodes, next: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        match &self.value {
            Value::Text(text) => {
                let text: StrDeserializer<'_, Flaw> = text.as_str().into_deserializer();
                visitor.visit_enum(text)
            }
            _ => Err(de::Error::custom(format!("expected one of {}", variants.join(", ")))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Elements<'de> {
    nodes: &'de [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Flaw;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Flaw> {
        let Some(node) = self.nodes.get(self.next) else { return Ok(None) };
        let at = self.next;
        self.next += 1;
        seed.deserialize(node).map(Some).map_err(|flaw| flaw.inside(&format!("[{at}]"), node.line))
    }
}

struct Entries<'de> {
    entries: &'de [(Key, Node)],
    next: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Flaw;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Flaw> {
        let Some((key, _)) = self.entries.get(self.next) else { return Ok(None) };
        let text: StrDeserializer<'_, Flaw> = key.text.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|flaw| flaw.inside(&key.text, key.line))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Flaw> {
        let Some((key, node)) = self.entries.get(self.next) else {
            return Err(de::Error::custom("a value without a key"));
        };
        self.next += 1;
        seed.deserialize(node).map_err(|flaw| flaw.inside(&key.text, node.line.max(key.line)))
    }
}
