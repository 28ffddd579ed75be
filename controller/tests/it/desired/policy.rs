//! What the policies for API servers from 1.30 on let an agent write: their own expressions, evaluated.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cel::objects::Key;
use cel::{Context, Env, Value as Cel};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use serde_json::{Value, json};

fn policy(file: &str) -> ValidatingAdmissionPolicy {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests/policy").join(file);
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(text.split("\n---\n").next().unwrap()).unwrap()
}

/// A JSON value in the language; there are no numbers in what the policies look at.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null | Value::Number(_) => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(values) => Cel::List(Arc::new(values.iter().map(cel).collect())),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (Key::String(Arc::new(key.clone())), cel(value)));
            Cel::Map(fields.collect::<HashMap<_, _>>().into())
        }
    }
}

/// What an API server asks of a policy.
struct Review<'a> {
    policy: &'a ValidatingAdmissionPolicy,
    values: Value,
}

impl Review<'_> {
    fn evaluate(&self, expression: &str, variables: &HashMap<Key, Cel>) -> Cel {
        let env = Arc::new(Env::stdlib());
        let program = env.compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let mut context = Context::with_env(env);
        for (name, value) in self.values.as_object().unwrap() {
            context.add_variable_from_value(name.as_str(), cel(value));
        }
        context.add_variable_from_value("variables", Cel::Map(variables.clone().into()));
        program.execute(&context).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The message of the first validation that fails; `None` where the write is let through.
    fn refusal(&self) -> Option<String> {
        let spec = self.policy.spec.as_ref().unwrap();
        let meant = |expression| self.evaluate(expression, &HashMap::new()) == Cel::Bool(true);
        if !spec.match_conditions.iter().flatten().all(|condition| meant(&condition.expression)) {
            return None;
        }
        let mut variables = HashMap::new();
        for variable in spec.variables.iter().flatten() {
            let value = self.evaluate(&variable.expression, &variables);
            variables.insert(Key::String(Arc::new(variable.name.clone())), value);
        }
        let mut validations = spec.validations.iter().flatten();
        let fails = validations.find(|it| self.evaluate(&it.expression, &variables) != Cel::Bool(true));
        fails.map(|validation| validation.message.clone().unwrap())
    }
}

const AGENT: &str = "system:serviceaccount:underlay-system:underlay-agent";

fn request(user: &str, node: Option<&str>) -> Value {
    let extra = node.map_or(json!({}), |node| json!({"authentication.kubernetes.io/node-name": [node]}));
    json!({"userInfo": {"username": user, "extra": extra}})
}

#[test]
fn an_agent_writes_the_fabric_node_of_its_own_node() {
    let policy = policy("own-fabric-node.yaml");
    let refused = |user, node, name: &str| {
        let object = json!({"metadata": {"name": name}});
        Review { policy: &policy, values: json!({"request": request(user, node), "object": object}) }
            .refusal()
    };
    assert_eq!(refused(AGENT, Some("n1"), "n1"), None);
    assert!(refused(AGENT, Some("n1"), "n2").is_some());
    assert!(refused(AGENT, None, "n1").is_some(), "a token that names no node");
    assert_eq!(refused("somebody", None, "n2"), None, "no concern of the policy");
}

#[test]
fn an_agent_writes_one_taint_and_one_condition_of_its_own_node() {
    let policy = policy("own-node.yaml");
    let node = || {
        json!({
            "metadata": {"name": "n1", "labels": {"a": "b"}},
            "spec": {"taints": [{"key": "x", "effect": "NoExecute"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        })
    };
    let refused = |user, of, change: &dyn Fn(&mut Value)| {
        let mut object = node();
        change(&mut object);
        let values = json!({"request": request(user, of), "object": object, "oldObject": node()});
        Review { policy: &policy, values }.refusal()
    };
    let own = |change: &dyn Fn(&mut Value)| refused(AGENT, Some("n1"), change);
    let push = |node: &mut Value, path: &str, value: Value| {
        node.pointer_mut(path).unwrap().as_array_mut().unwrap().push(value);
    };
    let ours = json!({"key": "underlay.dev/agent-not-ready", "effect": "NoSchedule"});
    assert_eq!(own(&|node| push(node, "/spec/taints", ours.clone())), None);
    let condition = json!({"type": "NetworkUnavailable", "status": "False"});
    assert_eq!(own(&|node| push(node, "/status/conditions", condition.clone())), None);

    let taints = own(&|node| node["spec"]["taints"] = json!([])).unwrap();
    assert!(taints.contains("taints"), "{taints}");
    assert!(own(&|node| push(node, "/spec/taints", json!({"key": "y", "effect": "NoSchedule"}))).is_some());
    assert!(own(&|node| drop(node["spec"].as_object_mut().unwrap().remove("taints"))).is_some());
    let cordon = own(&|node| node["spec"]["unschedulable"] = true.into()).unwrap();
    assert!(cordon.contains("cordons nothing"), "{cordon}");
    let ready = own(&|node| node["status"]["conditions"][0]["status"] = "False".into()).unwrap();
    assert!(ready.contains("NetworkUnavailable alone"), "{ready}");
    let label = own(&|node| node["metadata"]["labels"]["a"] = "c".into()).unwrap();
    assert!(label.contains("no label"), "{label}");
    assert!(own(&|node| node["metadata"]["annotations"] = json!({"a": "b"})).is_some());

    assert!(refused(AGENT, Some("n2"), &|_| {}).is_some(), "another's");
    assert_eq!(refused("system:node:n1", None, &|node| node["spec"]["unschedulable"] = true.into()), None);
}
