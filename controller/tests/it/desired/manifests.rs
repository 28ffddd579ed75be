//! Manifest files: what is read, and what is said of what is wrong.

use std::fs;

use controller::cluster::directory;

use super::{lines, read};

const HEAD: &str = "apiVersion: underlay.dev/v1alpha1\n";

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    assert_eq!(read(text).unwrap_err(), expected, "{text}");
}

#[test]
fn several_documents_of_all_kinds_are_read() {
    let objects = read(
        r#"# a comment
---
apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: all}
spec: {asn: {value: 64512}, podPrefixes: [10.244.0.0/16]}
--- # the second
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: tor}
spec: {address: 10.0.1.1, asn: External}
---
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"rack": "1"}, "uid": "x"},
 "spec": {"podCIDR": "10.244.1.0/24", "unschedulable": true},
 "status": {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.1.2"}]}}
---
"#,
    )
    .unwrap();
    assert!(objects.fabrics.contains_key("all") && objects.peers.contains_key("tor"));
    let node = &objects.nodes.get("n1").unwrap().value;
    assert_eq!(node.internal, ["10.0.1.2".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(node.pod_cidrs, ["10.244.1.0/24".parse().unwrap()]);
    assert_eq!(objects.peers["tor"].place.as_ref().unwrap().to_string(), "a.yaml:8 (document 2)");
}

#[test]
fn a_problem_names_file_line_and_field() {
    refused(
        &format!("{HEAD}kind: Fabric\nmetadata: {{name: f}}\nspec:\n  asn:\n    value: many\n"),
        &["a.yaml:6: Fabric \"f\": field `spec.asn.value`: invalid type: string \"many\", expected u32"],
    );
    let typo = read(&format!("{HEAD}kind: Fabric\nmetadata: {{name: f}}\nspec:\n  fib:\n    instal: true\n"));
    let typo = typo.unwrap_err().remove(0);
    assert!(
        typo.starts_with("a.yaml:6: Fabric \"f\": field `spec.fib.instal`: unknown field `instal`"),
        "{typo}"
    );
    refused(
        &format!(
            "{HEAD}kind: Fabric\nmetadata: {{name: f}}\nspec:\n  podPrefixes:\n  - 10.0.0.0/8\n  - 10.0.0.0/33\n"
        ),
        &["a.yaml:7: Fabric \"f\": field `spec.podPrefixes[1]`: invalid IP address syntax"],
    );
    refused(
        &format!("{HEAD}kind: FabricPeer\nmetadata: {{name: p}}\nspec:\n  asn: 1\n"),
        &[
            "a.yaml:4: FabricPeer \"p\": field `spec`: exactly one of address, addressFrom, interface, peers and listen is set (one-target)",
        ],
    );
    refused(
        &format!("{HEAD}kind: FabricPeer\nmetadata: {{name: p}}\nspec: {{address: 10.0.0.1}}\n"),
        &["a.yaml:4: FabricPeer \"p\": field `spec`: missing field `asn`"],
    );
    refused(
        "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec:\n  podCIDRs:\n  - 10.0.0.0/24\n  - nonsense\n",
        &[
            "a.yaml:7: Node \"n\": field `spec.podCIDRs[1]`: `nonsense` is not a prefix: a length after `/` is missing",
        ],
    );
}

#[test]
fn what_is_no_object_of_ours_is_refused_by_kind() {
    refused(
        "kind: Foo\n",
        &["a.yaml:1: kind Foo is not read; Fabric, FabricPeer, Node, Secret, Service and EndpointSlice are"],
    );
    refused(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: s}\n",
        &[
            "a.yaml:2: kind Pod of v1 is not read; Fabric, FabricPeer, Node, Secret, Service and EndpointSlice are",
        ],
    );
    refused(
        "apiVersion: underlay.dev/v1\nkind: Fabric\nmetadata: {name: s}\n",
        &["a.yaml:1: field `apiVersion`: Fabric is of underlay.dev/v1alpha1, not of `underlay.dev/v1`"],
    );
    refused("a: b\n", &["a.yaml:1: not an object: field `kind` is missing"]);
    refused(
        &format!("{HEAD}kind: Fabric\nspec: {{}}\n"),
        &["a.yaml:1: Fabric without a name: field `metadata.name` is missing or not a text"],
    );
    let twice = format!("{HEAD}kind: Fabric\nmetadata: {{name: f}}\nspec: {{}}\n");
    refused(
        &format!("{twice}---\n{twice}"),
        &["a.yaml:6 (document 2): Fabric \"f\" is there twice; it is also in a.yaml:1 (document 1)"],
    );
}

#[test]
fn broken_yaml_is_one_line_with_its_place() {
    for text in
        ["kind: [", "kind: Fabric\nkind: Node\n", "a: &x [*x]\n", "{\"kind\": \"Fabric\",,}", "- \t- x\n"]
    {
        let problems = read(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with("a.yaml:") && !problems[0].contains('\n'), "{text}: {problems:?}");
    }
}

#[test]
fn a_later_document_keeps_the_lines_of_the_file() {
    let text = format!(
        "{HEAD}kind: Fabric\nmetadata: {{name: f}}\nspec: {{}}\n---\n{HEAD}kind: Fabric\nmetadata: {{name: g}}\nspec:\n  mesh: Half\n"
    );
    let problem = read(&text).unwrap_err().remove(0);
    assert!(
        problem
            .starts_with("a.yaml:10 (document 2): Fabric \"g\": field `spec.mesh`: unknown variant `Half`"),
        "{problem}"
    );
}

#[test]
fn one_bad_file_spoils_the_directory_and_all_problems_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let errors = || lines(&directory::read(folder.path()).unwrap_err());
    assert!(errors()[0].contains("holds no *.yaml"), "{:?}", errors());

    let fabric = format!("{HEAD}kind: Fabric\nmetadata: {{name: f}}\nspec: {{}}\n");
    fs::write(folder.path().join("good.yaml"), &fabric).unwrap();
    fs::write(folder.path().join("notes.txt"), "kind: [").unwrap();
    fs::write(folder.path().join(".hidden.yaml"), "kind: [").unwrap();
    assert_eq!(directory::read(folder.path()).unwrap().fabrics.len(), 1);

    fs::write(folder.path().join("b.yml"), "kind: Foo\n").unwrap();
    fs::write(folder.path().join("c.json"), b"\xff\xfe").unwrap();
    let found = errors();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("b.yml:1: kind Foo") && found[1].contains("line 1 is not UTF-8"), "{found:?}");

    fs::remove_file(folder.path().join("b.yml")).unwrap();
    fs::remove_file(folder.path().join("c.json")).unwrap();
    fs::write(folder.path().join("d.json"), fabric).unwrap();
    assert!(errors()[0].contains("is there twice"), "{:?}", errors());
    folder.close().unwrap();
}

#[test]
fn a_directory_that_is_none_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let found = lines(&directory::read(&missing).unwrap_err());
    assert_eq!(found, [format!("directory {}: No such file or directory (os error 2)", missing.display())]);
}

#[test]
fn secrets_are_read_and_no_complaint_shows_a_value() {
    let secret = |lines: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{lines}\n");
    refused(
        &secret("stringData:\n  pin: 271828"),
        &["a.yaml:5: Secret \"s\": field `stringData.pin` is not a text; quotes make it one"],
    );
    refused(
        &secret("data: {pin: \"hunter2!\"}"),
        &["a.yaml:4: Secret \"s\": field `data.pin` is not base64"],
    );
    refused(&secret("data: [hunter2]"), &["a.yaml:4: Secret \"s\": field `data` is not a map"]);
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret.yaml");
    fs::write(&file, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n").unwrap();
    for (mode, warned) in [(0o644, true), (0o602, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let warnings = directory::read(folder.path()).unwrap().warnings;
        assert_eq!(warnings.len(), usize::from(warned), "{mode:o}: {warnings:?}");
        let named = format!("secret.yaml: holds a Secret, and its mode {mode:04o} lets everybody at it");
        assert!(warnings.iter().all(|warning| warning.text.ends_with(&named)), "{warnings:?}");
    }
}
