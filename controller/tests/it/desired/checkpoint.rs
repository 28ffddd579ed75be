//! The checkpoint: what is written is read again, and nothing else is believed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use controller::cluster::{Objects, checkpoint, directory};
use controller::desired::{Surroundings, compute};
use jiff::Timestamp;

const MANIFESTS: &str = r#"
apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: rack}
spec:
  nodeSelector: {matchLabels: {rack: "1"}}
  asn: {value: 65001}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {hold: 3s, keepalive: 1s}
  advertise: {prefixes: [{prefix: 10.9.9.0/24, communities: ["65001:7"], med: 5}]}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: "on"}
spec: {address: 10.0.1.1, asn: 65100, description: "---\n\"tor\" \u2028 # one"}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {rack: "1", empty: ""}, annotations: {note: "a: b\n--- \n'c'"}}
spec: {podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}
status: {addresses: [{type: InternalIP, address: 10.0.1.2}, {type: Hostname, address: n1}]}
"#;

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn objects(folder: &Path) -> Objects {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("a.yaml"), MANIFESTS).unwrap();
    directory::read(folder).unwrap()
}

/// A checkpoint of node `n1`, and the set in it.
fn written(folder: &Path) -> (std::path::PathBuf, Objects) {
    let objects = objects(&folder.join("manifests"));
    let path = folder.join("state/deep/checkpoint.json");
    checkpoint::write(&path, "n1", &objects, now()).unwrap();
    (path, objects)
}

#[track_caller]
fn refusal(path: &Path, node: &str) -> String {
    let problem = checkpoint::read(path, node, now()).unwrap_err().to_string();
    assert!(problem.contains(path.to_str().unwrap()), "{problem}");
    problem
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, objects) = written(folder.path());
    let later = now() + jiff::SignedDuration::from_secs(3 * 3600 + 60);
    let read = checkpoint::read(&path, "n1", later).unwrap().unwrap();
    assert!(
        read.description.ends_with("checkpoint.json of 2026-11-22T12:00:00Z, 3h 1m old"),
        "{}",
        read.description
    );
    let values = |objects: &Objects| {
        let Objects { fabrics, peers, nodes, .. } = objects.clone();
        (
            fabrics.into_iter().map(|(name, fabric)| (name, fabric.value)).collect::<Vec<_>>(),
            peers.into_iter().map(|(name, peer)| (name, peer.value)).collect::<Vec<_>>(),
            nodes.iter().map(|(name, node)| (name.to_owned(), Arc::clone(&node.value))).collect::<Vec<_>>(),
        )
    };
    assert_eq!(values(&read.objects), values(&objects));
    let speaker = |objects: &Objects| compute(objects, "n1", Surroundings::default()).unwrap().speaker;
    assert_eq!(speaker(&read.objects), speaker(&objects));

    // Written again, of what was read: the same text.
    let text = fs::read_to_string(&path).unwrap();
    checkpoint::write(&path, "n1", &Arc::clone(&read.objects), now()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn the_file_and_its_folder_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    // What a crash has left, readable by all.
    fs::create_dir_all(folder.path().join("state")).unwrap();
    let (path, _) = written(folder.path());
    let left = path.with_file_name("checkpoint.json.new");
    symlink(folder.path().join("elsewhere"), &left).unwrap();
    checkpoint::write(&path, "n1", &Objects::default(), now()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert!(!left.exists() && !folder.path().join("elsewhere").exists());
}

#[test]
fn a_write_that_fails_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (path, objects) = written(folder.path());
    let text = fs::read_to_string(&path).unwrap();
    // Not even root writes to a folder.
    fs::create_dir(path.with_file_name("checkpoint.json.new")).unwrap();
    assert!(checkpoint::write(&path, "n1", &Objects::default(), now()).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(checkpoint::write(Path::new("/"), "n1", &objects, now()).is_err());
}

#[test]
fn no_file_is_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(checkpoint::read(&folder.path().join("none/checkpoint.json"), "n1", now()), Ok(None));
}

#[test]
fn what_is_of_no_use_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path());
    let text = fs::read_to_string(&path).unwrap();
    assert!(refusal(&path, "n2").ends_with("is of node \"n1\", this is \"n2\""));
    let with = |text: &str| {
        fs::write(&path, text).unwrap();
        refusal(&path, "n1")
    };
    assert!(
        with(&text.replace("\"version\":1", "\"version\":2"))
            .ends_with("is of version 2, this agent reads 1")
    );
    assert!(with("").contains("is damaged"));
    assert!(with("[]").ends_with("it has no version"));
    assert!(with(&text.replace("65100", "\"x\"")).contains("is damaged: FabricPeer \"on\""));
    assert!(with(&text.replace("\"hold\"", "\"held\"")).contains("held"));
    assert!(with(&text.replace("2026-11-22T12", "yesterday")).contains("is damaged"));
    fs::write(&path, b"\xff\xfe").unwrap();
    refusal(&path, "n1");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(&path, "n1").ends_with("is not a regular file"));
}

#[test]
fn no_part_of_a_file_brings_down_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = written(folder.path());
    let text = fs::read(&path).unwrap();
    for len in (0..text.len()).step_by(7) {
        fs::write(&path, &text[..len]).unwrap();
        refusal(&path, "n1");
    }
}

const PEER: &str = "\n---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {name: keyed}\n\
    spec: {address: 10.0.1.9, asn: 65100, passwordSecretRef: {name: tor, key: password}}\n\
    ---\napiVersion: v1\nkind: Secret\nmetadata: {name: tor}\n\
    stringData: {password: hunter2, other: unused}\n\
    ---\napiVersion: v1\nkind: Secret\nmetadata: {name: nobodys}\nstringData: {password: elsewhere}\n";

#[test]
fn passwords_lie_apart_and_only_those_that_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::write(manifests.join("a.yaml"), format!("{MANIFESTS}{PEER}")).unwrap();
    let objects = directory::read(&manifests).unwrap();
    let path = folder.path().join("state/checkpoint.json");
    checkpoint::write(&path, "n1", &objects, now()).unwrap();

    let passwords = path.with_file_name(checkpoint::PASSWORDS);
    assert_eq!(fs::metadata(&passwords).unwrap().permissions().mode() & 0o777, 0o600);
    // Base64, as in a Secret.
    let (hunter2, elsewhere, unused) = ("aHVudGVyMg==", "ZWxzZXdoZXJl", "dW51c2Vk");
    let (public, secret) = (fs::read_to_string(&path).unwrap(), fs::read_to_string(&passwords).unwrap());
    assert!(!public.contains("hunter2") && !public.contains(hunter2), "{public}");
    assert!(secret.contains(hunter2) && !secret.contains(elsewhere) && !secret.contains(unused), "{secret}");

    // A start without the source has the key again; without the file it is missing, and the rest is there.
    let kept = checkpoint::read(&path, "n1", now()).unwrap().unwrap().objects;
    assert_eq!(kept.secrets["tor"].value.value("password"), Some(&b"hunter2"[..]));
    fs::write(&passwords, "{").unwrap();
    let kept = checkpoint::read(&path, "n1", now()).unwrap().unwrap().objects;
    assert!(kept.secrets.is_empty() && kept.peers.len() == 2);
    let warning = kept.warnings.first().unwrap().to_string();
    assert!(warning.contains(passwords.to_str().unwrap()) && warning.contains("is damaged"), "{warning}");

    // Nobody names one any more: the file goes.
    fs::write(manifests.join("a.yaml"), MANIFESTS).unwrap();
    checkpoint::write(&path, "n1", &directory::read(&manifests).unwrap(), now()).unwrap();
    assert!(!passwords.exists());
}
