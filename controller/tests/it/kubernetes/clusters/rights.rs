//! What the agent asks of the API server, and what its role grants.

use std::collections::BTreeSet;
use std::fs;

use labs::bird::Bird;
use labs::wait;
use serde_json::Value;

use crate::interop::bird::config;

use super::audit::asked;
use super::{FABRIC, LIMIT, NAMESPACE, World, manifests};

/// A Service with an address that nobody has to give it.
const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
    spec: {ports: [{port: 80}], externalIPs: [192.0.2.77]}";

/// Its endpoint, on the node, as servers before 1.21 have it and others still take it from clients of then.
const SLICE: &str = "---\napiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\n\
    metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\n\
    endpoints: [{addresses: [10.244.1.5], conditions: {ready: READY}, topology: {kubernetes.io/hostname: n1}}]\nports: []";

/// A right: verb, group, resource with subresource, namespace.
type Right = (String, String, String, String);

/// What the agent asked for with success.
fn used(audit: &str) -> BTreeSet<Right> {
    let used = asked(audit).filter(|event| !event["objectRef"].is_null()).map(|event| {
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        assert_ne!(event["responseStatus"]["code"], 403, "the role lacks a right: {event}");
        let part = of(&object["subresource"]);
        let resource = of(&object["resource"]) + if part.is_empty() { "" } else { "/" } + &part;
        (of(&event["verb"]), of(&object["apiGroup"]), resource, of(&object["namespace"]))
    });
    used.collect()
}

/// What the roles of the manifests grant: verb, group, resource, and the namespace of a Role.
fn granted() -> BTreeSet<Right> {
    let mut granted = BTreeSet::new();
    for file in ["rbac/cluster-role.yaml", "rbac/role.yaml"] {
        for document in manifests(file).split("\n---\n") {
            let role: Value = serde_saphyr::from_str(document).unwrap();
            let namespace = match role["kind"].as_str() {
                Some("Role") => NAMESPACE,
                _ => "",
            };
            for rule in role["rules"].as_array().into_iter().flatten() {
                let each = |field: &str| -> Vec<String> {
                    rule[field].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
                };
                for group in each("apiGroups") {
                    for resource in each("resources") {
                        for verb in each("verbs") {
                            granted.insert((verb, group.clone(), resource.clone(), namespace.to_owned()));
                        }
                    }
                }
            }
        }
    }
    granted
}

#[test]
fn the_agent_asks_for_what_its_role_grants_and_for_nothing_else() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let _bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        world.put_node("n1", 2);
        world.api.apply(FABRIC);
        let mut agent = world.agent("n1");

        wait::until("the agent in the place of setpriv", LIMIT, || agent.ask("status").contains("n1"));
        let status = fs::read_to_string(format!("/proc/{}/status", agent.daemon.pid())).unwrap();
        // Bits 10 and 12 of linux/capability.h.
        assert!(status.contains("CapBnd:\t0000000000001400"), "{status}");

        // PodCIDRs are absent at first, and come late.
        agent.until("status", "has no podCIDRs, so none is advertised");
        world.put_cidrs("n1", 1);
        agent.until("routes --sent tor", "10.244.1.0/24");
        world.until_report("{.status.peers}", "1/1", &agent);
        world.until_report("{.status.conditions[?(@.type==\"Ready\")].status}", "True", &agent);
        world.until_report("{.status.conditions[?(@.type==\"KernelInSync\")].status}", "True", &agent);
        let table = world.api.kubectl(&["get", "fabricnodes,fabrics,fabricpeers"]);
        let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(head, ["NAME", "ASN", "PEERS", "ROUTES", "READY", "REASON", "AGE"], "{table}");
        assert!(world.api.kubectl(&["get", "underlay", "-o", "name"]).contains("fabricnode.underlay.dev/n1"));
        assert_eq!(world.report("{.metadata.ownerReferences[0].kind}"), "Node");

        // A key from a Secret, and one that is not there.
        let secret = |name: &str| {
            format!("{{\"spec\":{{\"passwordSecretRef\":{{\"name\":\"{name}\",\"key\":\"k\"}}}}}}")
        };
        let patch =
            |name: &str| world.api.kubectl(&["patch", "fp", "tor", "--type=merge", "-p", &secret(name)]);
        patch("tor");
        agent.until("status", "Secret \"tor\" is missing");
        world.until_report("{.status.peersDown[0].name}", "tor", &agent);
        world.api.kubectl(&["-n", NAMESPACE, "create", "secret", "generic", "tor", "--from-literal=other=x"]);
        agent.until("status", "Secret \"tor\" has no key `k`");
        world.api.kubectl(&[
            "patch",
            "fp",
            "tor",
            "--type=json",
            "-p",
            "[{\"op\":\"remove\",\"path\":\"/spec/passwordSecretRef\"}]",
        ]);
        world.until_report("{.status.peers}", "1/1", &agent);

        let events = || {
            world.api.kubectl(&[
                "get",
                "events",
                "-o",
                "jsonpath={range .items[*]}{.involvedObject.kind} {.reason}{\"\\n\"}{end}",
            ])
        };
        wait::until("the Events", LIMIT, || {
            let events = events();
            let all = ["Node PeerEstablished", "Node PeerDown"].iter().all(|event| events.contains(event));
            if all { Ok(()) } else { Err(events) }
        });

        // Each object says whether it is accepted; rules that the schema cannot hold are the agent's.
        let accepted = |kind: &str, name: &str| {
            let path = "jsonpath={.metadata.generation} {.status.conditions[?(@.type==\"Accepted\")].observedGeneration} \
                {.status.conditions[?(@.type==\"Accepted\")].status} {.status.conditions[?(@.type==\"Accepted\")].message}";
            world.api.kubectl(&["get", kind, name, "-o", path])
        };
        let until_accepted = |kind: &str, name: &str, word: &str| {
            wait::until(&format!("{kind} {name} {word}"), LIMIT, || {
                let found = accepted(kind, name);
                let mut words = found.split_whitespace();
                let current = words.next() == words.next();
                if current && found.contains(word) { Ok(()) } else { Err(found) }
            });
        };
        until_accepted("fabric", "all", "True");
        until_accepted("fp", "tor", "True");
        world.api.kubectl(&["patch", "fp", "tor", "--type=merge", "-p", "{\"spec\":{\"asn\":0}}"]);
        until_accepted("fp", "tor", "(usable-asn)");
        agent.until("status", "(usable-asn); it stays as it was");
        agent.until("peers", "Established");
        world.api.kubectl(&["patch", "fp", "tor", "--type=merge", "-p", "{\"spec\":{\"asn\":65100}}"]);
        until_accepted("fp", "tor", "True");

        // Services are watched from the moment on in which a Fabric advertises some.
        assert!(!world.api.audit().contains("\"endpointslices\""), "nobody wants them");
        let services = "{\"spec\":{\"advertise\":{\"services\":[{\"addresses\":[\"ExternalIP\"]}]}}}";
        world.api.kubectl(&["patch", "fabric", "all", "--type=merge", "-p", services]);
        world.api.apply(SERVICE);
        agent.until("explain 192.0.2.77", "no-ready-endpoint");
        let endpoint = |ready: bool| {
            world.api.apply(&SLICE.replace("READY", &ready.to_string()));
        };
        endpoint(true);
        agent.until("routes --sent tor", "192.0.2.77/32");
        endpoint(false);
        agent.until("explain 192.0.2.77", "Service default/web and NOT advertised: no-ready-endpoint");

        // Two nodes with one prefix: the one keeps what it had, and says so.
        world.put_node("n2", 3);
        world.put_cidrs("n2", 1);
        agent.until("status", "overlaps podCIDR");
        world.until_report("{.status.peers}", "1/1", &agent);
        agent.until("peers", "Established");
        wait::until("the Event of the conflict", LIMIT, || {
            let events = events();
            if events.contains("Node PrefixConflict") { Ok(()) } else { Err(events) }
        });

        // A watch is written down when it ends.
        agent.daemon.terminate();
        let granted = granted();
        wait::until("every right in use, and no other", LIMIT, || {
            let used: BTreeSet<_> = used(&world.api.audit())
                .into_iter()
                .map(|(verb, group, resource, namespace)| {
                    let namespace = if resource == "secrets" { namespace } else { String::new() };
                    (verb, group, resource, namespace)
                })
                .collect();
            let mut unused: BTreeSet<_> = granted.difference(&used).cloned().collect();
            // Server-side apply of an object that is not there is a `patch` in the log and a `create` to RBAC.
            unused.remove(&("create".into(), "underlay.dev".into(), "fabricnodes".into(), String::new()));
            let beyond = used.difference(&granted).count();
            if unused.is_empty() && beyond == 0 {
                Ok(())
            } else {
                Err(format!("unused {unused:?}, used {used:?}"))
            }
        });
    });
}
