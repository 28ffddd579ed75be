//! A core `Secret` as it is written. No error and no `Debug` shows a value.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use super::tree::{Node, Value};

/// The values of a Secret by key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(BTreeMap<String, Vec<u8>>);

impl SecretData {
    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Reads `data` and `stringData`, of which the latter wins.
///
/// # Errors
/// The line, the field and what is wrong with it.
pub(super) fn read(secret: &Node) -> Result<SecretData, (u64, String, &'static str)> {
    let mut values = BTreeMap::new();
    for (field, encoded) in [("data", true), ("stringData", false)] {
        let Some((key, node)) = secret.member(field) else { continue };
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => continue,
            _ => return Err((key.line, field.to_owned(), "is not a map")),
        };
        for (name, value) in entries {
            let flaw = |text| (name.line, format!("{field}.{}", name.text), text);
            let Value::Text(text) = &value.value else {
                return Err(flaw("is not a text; quotes make it one"));
            };
            let octets = if encoded {
                decoded(text).ok_or_else(|| flaw("is not base64"))?
            } else {
                text.clone().into_bytes()
            };
            values.insert(name.text.clone(), octets);
        }
    }
    Ok(SecretData(values))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    let text: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
    ByteString::deserialize(text).ok().map(|octets| octets.0)
}
