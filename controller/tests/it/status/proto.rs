//! The proto files keep the rules that buf calls STANDARD, and describe
//! everything in them. buf itself is not needed to know that.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

use prost::Message;

fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(api::v1::FILE_DESCRIPTOR_SET).expect("descriptors");
    let files: Vec<_> = set.file.into_iter().filter(|file| file.package() == "underlay.v1").collect();
    assert_eq!(files.len(), 7, "the test sees the files");
    files
}

fn is_lower_snake(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(letter) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `SessionState` as `SESSION_STATE`.
fn upper_snake(name: &str) -> String {
    let mut upper = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !upper.is_empty() {
            upper.push('_');
        }
        upper.push(letter.to_ascii_uppercase());
    }
    upper
}

#[test]
fn names_keep_the_standard_rules() {
    for file in files() {
        let name = file.name().strip_prefix("underlay/v1/").expect("the directory is the package");
        assert!(is_lower_snake(name.strip_suffix(".proto").expect("a proto file")), "{name}");
        assert_eq!(file.syntax(), "proto3");
        for message in &file.message_type {
            check_message(message);
        }
        for of in &file.enum_type {
            check_enum(of);
        }
        let used: String = file.message_type.iter().map(|message| format!("{message:?}")).collect();
        let used = used + &format!("{:?}", file.service);
        for import in file.dependency.iter().filter(|import| import.starts_with("google/")) {
            let package =
                import.rsplit_once('/').map(|(package, _)| package.replace('/', ".")).unwrap_or_default();
            assert!(used.contains(&package), "{name} imports {import} and does not use it");
        }
    }
}

fn check_message(message: &DescriptorProto) {
    assert!(is_pascal(message.name()), "{}", message.name());
    assert!(message.nested_type.is_empty() && message.enum_type.is_empty(), "{} nests", message.name());
    for field in &message.field {
        assert!(is_lower_snake(field.name()), "{}.{}", message.name(), field.name());
    }
    // A synthetic one, of an optional field, begins with an underscore.
    for oneof in message.oneof_decl.iter().filter(|oneof| !oneof.name().starts_with('_')) {
        assert!(is_lower_snake(oneof.name()), "{}.{}", message.name(), oneof.name());
    }
}

fn check_enum(of: &EnumDescriptorProto) {
    assert!(is_pascal(of.name()), "{}", of.name());
    let prefix = upper_snake(of.name()) + "_";
    assert_eq!(of.value[0].number(), 0);
    assert_eq!(of.value[0].name(), format!("{prefix}UNSPECIFIED"));
    for value in &of.value {
        assert!(value.name().starts_with(&prefix), "{}", value.name());
    }
}

#[test]
fn each_call_has_its_own_request_and_response() {
    let mut seen = BTreeSet::new();
    for file in files() {
        for service in &file.service {
            assert!(service.name().ends_with("Service"), "{}", service.name());
            for method in &service.method {
                let own = |suffix: &str| format!(".underlay.v1.{}{suffix}", method.name());
                assert_eq!(method.input_type(), own("Request"));
                assert_eq!(method.output_type(), own("Response"));
                assert!(seen.insert(method.name().to_owned()), "{} is there twice", method.name());
            }
        }
    }
    assert_eq!(seen.len(), 9);
}

/// What each thing of a file is called, by its path in the descriptor.
fn things(file: &FileDescriptorProto) -> BTreeMap<Vec<i32>, String> {
    let mut things = BTreeMap::new();
    let at = |index: usize| i32::try_from(index).expect("few things in a file");
    for (m, message) in file.message_type.iter().enumerate() {
        things.insert(vec![4, at(m)], message.name().to_owned());
        for (f, field) in message.field.iter().enumerate() {
            things.insert(vec![4, at(m), 2, at(f)], format!("{}.{}", message.name(), field.name()));
        }
    }
    for (e, of) in file.enum_type.iter().enumerate() {
        things.insert(vec![5, at(e)], of.name().to_owned());
        for (v, value) in of.value.iter().enumerate() {
            things.insert(vec![5, at(e), 2, at(v)], value.name().to_owned());
        }
    }
    for (s, service) in file.service.iter().enumerate() {
        things.insert(vec![6, at(s)], service.name().to_owned());
        for (m, method) in service.method.iter().enumerate() {
            things.insert(vec![6, at(s), 2, at(m)], method.name().to_owned());
        }
    }
    things
}

#[test]
fn everything_is_described() {
    for file in files() {
        let mut bare = things(&file);
        assert!(bare.len() > 5, "the test sees what is in {}", file.name());
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            if !location.leading_comments().trim().is_empty() {
                bare.remove(&location.path);
            }
        }
        assert!(bare.is_empty(), "{}: without a comment: {:?}", file.name(), bare.values());
    }
}
