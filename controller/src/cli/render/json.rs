//! A message as JSON, by its descriptor, so that what is printed is what the
//! proto files describe: fields by their proto names in their proto order,
//! numbers as numbers (those of 64 bits too), enums as words, times as RFC 3339.
//! A list is never null; an optional field that is absent is null; of a oneof
//! only the member that is set is there.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use super::text;

/// The descriptors of `underlay.v1`.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(api::v1::FILE_DESCRIPTOR_SET).expect("the build compiled these descriptors")
});

/// A message that can be printed.
#[derive(Clone, Debug)]
pub struct Document(DynamicMessage);

impl Document {
    /// The document of a message.
    #[must_use]
    pub fn new<M: prost::Name>(message: &M) -> Self {
        let descriptor = POOL.get_message_by_name(&M::full_name()).expect("M is a message of the package");
        let bytes = message.encode_to_vec();
        Self(DynamicMessage::decode(descriptor, bytes.as_slice()).expect("a message decodes as itself"))
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        message(&self.0, serializer)
    }
}

fn message<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        return serializer.collect_str(&time(message).map_err(S::Error::custom)?);
    }
    let mut map = serializer.serialize_map(None)?;
    for field in message.descriptor().fields() {
        if message.has_field(&field) || !field.supports_presence() {
            map.serialize_entry(field.name(), &Field(&field, &message.get_field(&field)))?;
        } else if field.containing_oneof().is_none_or(|oneof| oneof.is_synthetic()) {
            map.serialize_entry(field.name(), &())?;
        }
    }
    map.end()
}

fn time(message: &DynamicMessage) -> Result<jiff::Timestamp, jiff::Error> {
    let field = |name| message.get_field_by_name(name);
    let seconds = field("seconds").and_then(|seconds| seconds.as_i64()).unwrap_or_default();
    let nanos = field("nanos").and_then(|nanos| nanos.as_i32()).unwrap_or_default();
    jiff::Timestamp::new(seconds, nanos)
}

/// A value and the field that it stands in.
struct Field<'a>(&'a FieldDescriptor, &'a Value);

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(field, value) = self;
        match value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::U64(value) => serializer.serialize_u64(*value),
            Value::F32(value) => serializer.serialize_f32(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.collect_str(&format_args!("{value:x}")),
            Value::EnumNumber(number) => serializer.serialize_str(&enum_word(field, *number)),
            Value::Message(value) => message(value, serializer),
            Value::List(values) => serializer.collect_seq(values.iter().map(|value| Field(field, value))),
            Value::Map(values) => {
                let Kind::Message(entry) = field.kind() else {
                    return Err(S::Error::custom("a map without entries"));
                };
                let field = entry.map_entry_value_field();
                let mut entries: Vec<(String, &Value)> =
                    values.iter().map(|(key, value)| (map_key(key), value)).collect();
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                serializer.collect_map(entries.iter().map(|(key, value)| (key, Field(&field, value))))
            }
        }
    }
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// The word of an enum's value; a number that a newer agent sent stays one.
fn enum_word(field: &FieldDescriptor, number: i32) -> String {
    let Kind::Enum(of) = field.kind() else { return number.to_string() };
    let zero = of.default_value();
    let prefix = zero.name().strip_suffix("UNSPECIFIED").unwrap_or_default();
    of.get_value(number).map_or_else(|| number.to_string(), |value| text::word(value.name(), prefix))
}
