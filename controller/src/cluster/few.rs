//! Values by text, of which there are few and thousands of sets: one piece of memory a set, searched through.

use std::collections::BTreeMap;

use api::crd::selector::Labels;
use serde::ser::{Serialize, Serializer};

/// Values by text, in its order. A map of the standard library has room for eleven from the first on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<V>(Box<[(Box<str>, V)]>);

impl<V> Default for Few<V> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<V> Few<V> {
    /// The value of that text.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<&V> {
        self.0.iter().find(|(other, _)| **other == *text).map(|(_, value)| value)
    }

    /// Whether there is one of that text.
    #[must_use]
    pub fn contains_key(&self, text: &str) -> bool {
        self.get(text).is_some()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(text, value)| (&**text, value))
    }
}

impl<V> From<BTreeMap<String, V>> for Few<V> {
    fn from(values: BTreeMap<String, V>) -> Self {
        Self(values.into_iter().map(|(text, value)| (text.into_boxed_str(), value)).collect())
    }
}

impl Labels for Few<String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<V: Serialize> Serialize for Few<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
