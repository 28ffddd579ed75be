//! Reading one field of a JSON object: its shape, and how to say no to it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};

/// The fields of an object.
pub(super) type Fields = Map<String, Value>;

/// The field's value; none if it is missing or null.
pub(super) fn field<T: DeserializeOwned>(fields: &Fields, key: &str) -> Result<Option<T>> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value)
            .map(Some)
            .map_err(|e| invalid(key, "is invalid").with_details(e.to_string())),
    }
}

/// The same of a field inside `section`, with its whole name in the error.
pub(super) fn inner<T: DeserializeOwned>(fields: &Fields, section: &str, key: &str) -> Result<Option<T>> {
    field(fields, key)
        .map_err(|error| invalid(&format!("{section}.{key}"), "is invalid").with_details(error.details))
}

/// An absolute path.
pub(super) fn path(fields: &Fields, key: &str) -> Result<Option<PathBuf>> {
    let text: Option<String> = field(fields, key)?;
    match text {
        Some(text) if !Path::new(&text).is_absolute() || text.contains('\0') => {
            Err(invalid(key, format!("is {text:?}, not an absolute path")))
        }
        other => Ok(other.map(PathBuf::from)),
    }
}

/// An address, with or without a prefix length behind it.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().or_else(|| text.parse::<IpNet>().ok().map(|net| net.addr()))
}

/// A list of addresses.
pub(super) fn addresses(name: &str, texts: &[String]) -> Result<Vec<IpAddr>> {
    texts
        .iter()
        .map(|text| address(text).ok_or_else(|| invalid(name, format!("has {text:?}, not an address"))))
        .collect()
}

/// Whether a value asks for nothing, so that not supporting its field changes nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Whether a key belongs to somebody's name space.
pub(super) fn is_foreign(key: &str) -> bool {
    key.contains(['.', '/'])
}

/// Code 7.
pub(super) fn invalid(key: &str, why: impl AsRef<str>) -> Error {
    Error::new(Code::Config, format!("network configuration: {key} {}", why.as_ref()))
}

/// Code 2.
pub(super) fn unsupported(key: &str, value: &Value) -> Error {
    Error::new(
        Code::Unsupported,
        format!("network configuration: field {key} with value {value} is not supported"),
    )
}
