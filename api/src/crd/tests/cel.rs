//! The rules in CEL, as they stand in the definitions, judge the same tables of objects as the code does: an API
//! server that enforces them and the agent cannot come to different verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::extractors::This;
use cel::objects::Key;
use cel::{Context, Env, Value as Cel};
use serde_json::Value;

use super::super::rule::{self, Rule};
use super::super::value::Span;
use super::super::{FabricSpec, definitions};
use super::{fabrics, peers, pools, route_rules};

/// As an API server has it: whole numbers of a schema are `int`.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Cel::Int(number),
            None => Cel::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(values) => Cel::List(Arc::new(values.iter().map(cel).collect())),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| (Key::String(Arc::new(key.clone())), cel(value));
            Cel::Map(fields.iter().map(field).collect::<std::collections::HashMap<_, _>>().into())
        }
    }
}

/// Evaluates an expression, which must come to true or false.
fn holds(expression: &str, of: &Value) -> bool {
    let env = Arc::new(Env::stdlib());
    let program = env.compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut context = Context::with_env(env);
    // The library's own durations need a calendar: here they are numbers of nanoseconds, which compare and add alike.
    let nanos = |text: Arc<String>| {
        let Span(time) = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        i64::try_from(time.as_nanos()).unwrap()
    };
    context.add_function("duration", nanos).unwrap();
    context.add_function("getMilliseconds", |This(nanos): This<i64>| nanos / 1_000_000).unwrap();
    context.add_variable_from_value("self", cel(of));
    match program.execute(&context) {
        Ok(Cel::Bool(holds)) => holds,
        other => panic!("{expression} of {of}: {other:?}"),
    }
}

/// The texts of the rules in `schema` that `value` breaks, as an API server goes about it: each rule at its place.
fn broken(schema: &Value, value: &Value, into: &mut BTreeSet<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if !holds(rule["rule"].as_str().unwrap(), value) {
            into.insert(rule["message"].as_str().unwrap().to_owned());
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        if let Some(schema) = schema["properties"].get(name) {
            broken(schema, value, into);
        } else if schema["additionalProperties"].is_object() {
            broken(&schema["additionalProperties"], value, into);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        broken(&schema["items"], value, into);
    }
}

fn schemas() -> BTreeMap<String, Value> {
    let definitions = serde_json::to_value(definitions()).unwrap();
    let definition = |crd: &Value| {
        let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        (crd["spec"]["names"]["kind"].as_str().unwrap().to_owned(), schema)
    };
    definitions.as_array().unwrap().iter().map(definition).collect()
}

#[test]
fn the_rules_in_cel_and_in_code_judge_alike() {
    let schemas = schemas();
    let of_rules =
        |(rules, expected)| (serde_json::json!({"address": "10.0.1.1", "asn": 1, "import": rules}), expected);
    let objects = [
        ("Fabric", fabrics()),
        ("FabricPeer", peers()),
        ("FabricPool", pools()),
        ("FabricPeer", route_rules().into_iter().map(of_rules).collect()),
    ];
    let (mut judged, mut met) = (0, BTreeSet::new());
    for (kind, spec, expected) in
        objects.iter().flat_map(|(kind, table)| table.iter().map(move |(spec, rules)| (kind, spec, rules)))
    {
        let mut found = BTreeSet::new();
        broken(&schemas[*kind], spec, &mut found);
        let in_cel = |rule: &&Rule| !rule.cel.is_empty();
        let expected: BTreeSet<String> =
            expected.iter().filter(in_cel).map(|rule| rule.text.to_owned()).collect();
        assert_eq!(found, expected, "{kind} {spec}");
        judged += 1;
        met.extend(found);
    }
    assert!(judged > 60, "{judged}");
    let all: BTreeSet<String> =
        rule::ALL.iter().filter(|rule| !rule.cel.is_empty()).map(|rule| rule.text.to_owned()).collect();
    assert_eq!(met, all, "each rule in CEL is in the definitions, and an object breaks it");
}

#[test]
fn every_protocol_number_is_judged_alike() {
    for protocol in 0..=255 {
        let spec = serde_json::json!({"fib": {"protocol": protocol}});
        let of_code: FabricSpec = serde_json::from_value(spec).unwrap();
        let expected = of_code.violations().is_empty();
        assert_eq!(holds(rule::FIB_PROTOCOL.cel, &protocol.into()), expected, "{protocol}");
    }
}
