//! What the rules in CEL may cost at most, by the estimate that an API server makes before it takes a definition: it
//! refuses one whose rule may cost more than ten millions, or whose rules together more than a hundred. The estimate
//! goes by the longest lists and texts that the schema lets through; one without a bound fills a whole request.

use cel::common::ast::{Expr, LiteralValue};
use cel::parser::Parser;
use serde_json::Value;

use super::super::definitions;

/// What a rule may cost, and all of a definition.
const OF_A_RULE: u64 = 10_000_000;
const OF_ALL: u64 = 100_000_000;

/// The largest request, bytes.
const REQUEST: u64 = 3 << 20;

/// A look at a text or a list costs a tenth of an operation for each byte or element.
const TENTH: u64 = 10;

/// What an expression is about, as far as the schema tells.
#[derive(Clone)]
enum About<'a> {
    Schema(&'a Value),
    /// So many bytes or elements, of that.
    Sized(u64, Option<Box<About<'a>>>),
    /// A number, a truth value, or what nothing walks through.
    Scalar,
}

/// The fewest bytes that a value takes in a request.
fn least(schema: &Value) -> u64 {
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            2 + required.map(|name| name.len() as u64 + 4 + least(&schema["properties"][name])).sum::<u64>()
        }
        Some("array" | "string") => 2,
        _ => 1,
    }
}

/// The most elements of a list or a map.
fn most(schema: &Value) -> u64 {
    let of = if schema["items"].is_object() { &schema["items"] } else { &schema["additionalProperties"] };
    let bound = schema["maxItems"].as_u64().or_else(|| schema["maxProperties"].as_u64());
    bound.unwrap_or_else(|| REQUEST / (least(of) + 1))
}

impl<'a> About<'a> {
    /// How many bytes of a text or elements of a list there may be; none for what is neither.
    fn size(&self) -> u64 {
        match self {
            Self::Sized(size, _) => *size,
            Self::Scalar => 1,
            Self::Schema(schema) => match schema["type"].as_str() {
                Some("string") => {
                    let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    let word = words.map(|word| word.len() as u64).max();
                    // A character has up to four bytes.
                    word.or_else(|| schema["maxLength"].as_u64().map(|most| 4 * most)).unwrap_or(REQUEST)
                }
                Some("array" | "object") => most(schema),
                Some(_) => 1,
                // A number or a text.
                None => REQUEST,
            },
        }
    }

    fn element(&self) -> Self {
        match self {
            Self::Schema(schema) if schema["items"].is_object() => Self::Schema(&schema["items"]),
            Self::Sized(_, Some(of)) => (**of).clone(),
            _ => Self::Scalar,
        }
    }
}

/// The most that an expression costs, and what it comes to. `names` are its variables.
fn cost<'a>(expression: &Expr, names: &mut Vec<(String, About<'a>)>) -> (u64, About<'a>) {
    match expression {
        Expr::Literal(LiteralValue::String(text)) => (0, About::Sized(text.inner().len() as u64, None)),
        Expr::Literal(_) => (0, About::Scalar),
        Expr::Ident(name) => {
            let found = names.iter().rev().find(|(known, _)| known == name);
            (1, found.map_or(About::Scalar, |(_, about)| about.clone()))
        }
        Expr::Select(select) => {
            let (inner, of) = cost(&select.operand.expr, names);
            match of {
                About::Schema(schema) => {
                    let property = &schema["properties"][&select.field];
                    // What has no type is no field to an API server's expressions, and one that names it is refused.
                    let typed =
                        property["type"].is_string() || property["x-kubernetes-int-or-string"] == true;
                    assert!(typed, "{}: {property}", select.field);
                    (inner + 1, if select.test { About::Scalar } else { About::Schema(property) })
                }
                _ => (inner + 1, About::Scalar),
            }
        }
        Expr::List(list) => {
            let parts: Vec<_> = list.elements.iter().map(|element| cost(&element.expr, names)).collect();
            let longest = parts.iter().map(|(_, about)| about.size()).max().unwrap_or(0);
            let of = Some(Box::new(About::Sized(longest, None)));
            (10 + parts.iter().map(|(cost, _)| cost).sum::<u64>(), About::Sized(parts.len() as u64, of))
        }
        Expr::Call(call) => {
            let target = call.target.as_ref().map(|target| &target.expr);
            let parts: Vec<_> =
                target.into_iter().chain(call.args.iter().map(|argument| &argument.expr)).collect();
            let parts: Vec<_> = parts.into_iter().map(|part| cost(part, names)).collect();
            let before: u64 = parts.iter().map(|(cost, _)| cost).sum();
            let size = |at: usize| parts[at].1.size();
            let (own, about) = match call.func_name.as_str() {
                "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => {
                    (1 + size(0).min(size(1)) / TENTH, About::Scalar)
                }
                "@in" => (1 + size(1) * (1 + size(0) / TENTH), About::Scalar),
                "_+_" => (1 + (size(0) + size(1)) / TENTH, About::Sized(size(0) + size(1), None)),
                // Each place of the one may be compared with all of the other.
                "contains" => (1 + size(0).div_ceil(TENTH) * size(1).div_ceil(TENTH), About::Scalar),
                "_[_]" => (1, parts[0].1.element()),
                // Whatever it is of: an API server gives the length of what it comes to no bound.
                "string" => (1, About::Sized(REQUEST, None)),
                "_&&_"
                | "_||_"
                | "!_"
                | "_?_:_"
                | "-_"
                | "@not_strictly_false"
                | "_%_"
                | "size"
                | "type"
                | "duration"
                | "getMilliseconds" => (1, About::Scalar),
                other => panic!("what {other} costs is not known here"),
            };
            (before + own, about)
        }
        Expr::Comprehension(walk) => {
            let (range, over) = cost(&walk.iter_range.expr, names);
            let (init, accumulated) = cost(&walk.accu_init.expr, names);
            let of = accumulated.element();
            let accumulated = match accumulated {
                // What is filtered is no longer than what it is of.
                About::Sized(..) => About::Sized(over.size(), Some(Box::new(of))),
                other => other,
            };
            names.push((walk.accu_var.clone(), accumulated.clone()));
            names.push((walk.iter_var.clone(), over.element()));
            let step = cost(&walk.loop_cond.expr, names).0 + cost(&walk.loop_step.expr, names).0;
            names.pop();
            let result = cost(&walk.result.expr, names).0;
            names.pop();
            (range + init + over.size() * step + result, accumulated)
        }
        other => panic!("{other:?} is not known here"),
    }
}

/// What each rule below a schema costs at most, of which there may be so `many`.
fn rules(schema: &Value, path: &str, many: u64, into: &mut Vec<(String, u64)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap();
        let parsed = Parser::new().parse(text).unwrap();
        let (cost, _) = cost(&parsed.expr, &mut vec![("self".to_owned(), About::Schema(schema))]);
        into.push((format!("{path}: {text}"), cost.saturating_mul(many)));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        rules(property, &format!("{path}.{name}"), many, into);
    }
    for part in ["items", "additionalProperties"] {
        if schema[part].is_object() {
            rules(&schema[part], &format!("{path}[]"), many.saturating_mul(most(schema)), into);
        }
    }
}

#[test]
fn no_rule_costs_more_than_an_api_server_allows() {
    let definitions = serde_json::to_value(definitions()).unwrap();
    for definition in definitions.as_array().unwrap() {
        let mut found = Vec::new();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        rules(schema, kind, 1, &mut found);
        let dear: Vec<_> = found.iter().filter(|(_, cost)| *cost > OF_A_RULE).collect();
        assert!(dear.is_empty(), "{dear:#?}");
        let all: u64 = found.iter().map(|(_, cost)| cost).sum();
        eprintln!("{kind}: {} rules, {all} of {OF_ALL} together", found.len());
        assert!(all <= OF_ALL, "{kind}: {all}, {found:#?}");
    }
}

#[test]
fn a_list_without_a_bound_in_another_is_too_dear() {
    let of = |bound: Value| {
        let inner = serde_json::json!({"type": "array", "items": {"type": "string", "maxLength": 64,
            "x-kubernetes-validations": [{"rule": "self != 'a' && self.size() <= 9"}]}});
        let mut outer = serde_json::json!({"type": "array", "items": inner});
        if !bound.is_null() {
            outer["maxItems"] = bound;
        }
        let mut found = Vec::new();
        rules(&outer, "", 1, &mut found);
        found[0].1
    };
    assert!(of(Value::Null) > OF_ALL && of(1.into()) < OF_A_RULE, "{} {}", of(Value::Null), of(1.into()));
}
