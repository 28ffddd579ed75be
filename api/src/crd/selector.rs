//! The standard label selector, with typing errors refused: a misspelt
//! `matchLabels` must not select every node.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, Check};

/// The most requirements.
const MOST: usize = 64;

/// A label selector; empty selects everything. All requirements must hold.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on single keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(rule::SELECTOR_COUNT.cel).message(rule::SELECTOR_COUNT.text))]
    pub match_expressions: Vec<Requirement>,
}

/// A requirement on one key.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::SELECTOR_VALUES.cel).message(rule::SELECTOR_VALUES.text))]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How the label relates to the values.
    pub operator: Operator,
    /// The values of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The operators of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// What a selector looks at.
pub trait Labels {
    /// The value of a label, where it is there.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl LabelSelector {
    /// Whether the labels satisfy every requirement.
    #[must_use]
    pub fn matches(&self, labels: &impl Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.label(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }

    /// Checks the requirements' operators against their values.
    pub(crate) fn check(&self, field: &str, check: &mut Check) {
        let few = self.match_expressions.len() <= MOST;
        check.that(few, &format!("{field}.matchExpressions"), rule::SELECTOR_COUNT);
        for (at, requirement) in self.match_expressions.iter().enumerate() {
            let wants_values = matches!(requirement.operator, Operator::In | Operator::NotIn);
            let field = format!("{field}.matchExpressions[{at}]");
            check.that(requirement.values.is_empty() != wants_values, &field, rule::SELECTOR_VALUES);
        }
    }
}

impl Requirement {
    fn matches(&self, labels: &impl Labels) -> bool {
        let value = labels.label(&self.key);
        let named = |value: &str| self.values.iter().any(|other| other == value);
        match self.operator {
            Operator::In => value.is_some_and(named),
            Operator::NotIn => !value.is_some_and(named),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn requirement(operator: Operator, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_labels: BTreeMap::new(),
            match_expressions: vec![Requirement {
                key: "rack".into(),
                operator,
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            }],
        }
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        assert!(LabelSelector::default().matches(&labels(&[])));
        assert!(LabelSelector::default().matches(&labels(&[("a", "b")])));
    }

    #[test]
    fn every_operator_is_as_kubernetes_has_it() {
        let (one, two, none) = (labels(&[("rack", "1")]), labels(&[("rack", "2")]), labels(&[]));
        let table = [
            (requirement(Operator::In, &["1"]), [true, false, false]),
            (requirement(Operator::NotIn, &["1"]), [false, true, true]),
            (requirement(Operator::Exists, &[]), [true, true, false]),
            (requirement(Operator::DoesNotExist, &[]), [false, false, true]),
        ];
        for (selector, expected) in table {
            assert_eq!([&one, &two, &none].map(|labels| selector.matches(labels)), expected, "{selector:?}");
        }
    }
}
