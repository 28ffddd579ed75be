//! An API server that enforces rules in CEL, over the tables that the code is tested with: it takes the definitions, and
//! judges each object as the code does.

use std::time::Duration;

use labs::kubernetes::Extensions;
use labs::wait;
use serde_json::{Value, json};

use super::super::definitions;
use super::{Table, fabrics, peers, pools, route_rules};

const LIMIT: Duration = Duration::from_secs(40);
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Has `server` judge a table; how many objects it took and refused.
fn judge(server: &Extensions, list: &str, kind: &str, table: Table) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    for (number, (spec, expected)) in table.into_iter().enumerate() {
        let in_cel: Vec<&str> =
            expected.iter().filter(|rule| !rule.cel.is_empty()).map(|rule| rule.text).collect();
        let name = format!("x{number}-{}", if in_cel.is_empty() { "good" } else { "bad" });
        let object = json!({"apiVersion": "underlay.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        match server.create(list, &object.to_string()) {
            Ok(_) => {
                taken += 1;
                assert!(in_cel.is_empty(), "{kind} {spec} is taken, and breaks {in_cel:?}");
            }
            Err(message) => {
                refused += 1;
                assert!(!in_cel.is_empty(), "{kind} {spec}: {message}");
                // What the schema's own bounds refuse is not given to the rules.
                let by_bounds = message.contains("some validation rules were not checked");
                let by_rules = in_cel.iter().all(|text| message.contains(text));
                assert!(by_rules || by_bounds, "{kind} {spec}: {message}, not {in_cel:?}");
            }
        }
    }
    (taken, refused)
}

#[test]
fn an_api_server_that_knows_cel_judges_as_the_code_does() {
    labs::require!("root", "kubernetes", "apiextensions");
    labs::sandbox!(|sandbox| {
        let server = Extensions::start(sandbox);
        for definition in definitions() {
            server.create(DEFINITIONS, &serde_json::to_string(&definition).unwrap()).unwrap();
        }
        wait::until("the definitions are established", LIMIT, || {
            let found: Value =
                serde_json::from_str(&server.get(DEFINITIONS)?).map_err(|error| error.to_string())?;
            let established = |crd: &&Value| {
                let conditions = crd["status"]["conditions"].as_array().into_iter().flatten();
                conditions.into_iter().any(|c| c["type"] == "Established" && c["status"] == "True")
            };
            let items = found["items"].as_array().into_iter().flatten();
            let missing: Vec<_> = items
                .filter(|crd| !established(crd))
                .map(|crd| crd["metadata"]["name"].to_string())
                .collect();
            if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }
        });
        let of_rules =
            |(rules, expected)| (json!({"address": "10.0.1.1", "asn": 1, "import": rules}), expected);
        let rules: Table = route_rules().into_iter().map(of_rules).collect();
        let tables = [
            ("fabrics", "Fabric", fabrics()),
            ("fabricpeers", "FabricPeer", peers().into_iter().chain(rules).collect()),
            ("fabricpools", "FabricPool", pools()),
        ];
        for (plural, kind, table) in tables {
            let list = format!("/apis/underlay.dev/v1alpha1/{plural}");
            wait::until(&format!("{plural} are served"), LIMIT, || server.get(&list));
            let (taken, refused) = judge(&server, &list, kind, table);
            println!(
                "apiextensions-apiserver {}: {kind}: {taken} taken, {refused} refused",
                Extensions::version()
            );
            assert!(taken > 1 && refused > 1, "{kind}: {taken} {refused}");
        }
    });
}
