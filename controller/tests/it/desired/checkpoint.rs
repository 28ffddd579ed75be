//! The checkpoint: what is written is read again, and nothing else is believed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use api::crd::value::PeerAsn;
use controller::cluster::checkpoint::Keeper;
use controller::cluster::object::{NodeFacts, Sourced};
use controller::cluster::{Objects, checkpoint, directory};
use controller::desired::{Surroundings, compute};
use jiff::Timestamp;
use proptest::prelude::*;

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

/// A step of a checkpoint's life: a Node that becomes something or goes, another spec of the FabricPeer, a new process,
/// the journal's last bytes lost.
#[derive(Clone, Debug)]
enum Step {
    Node(u8, Option<u8>),
    Peer(u16),
    Restart,
    Cut(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (2..9_u8, prop::option::weighted(0.7, any::<u8>())).prop_map(|(name, pods)| Step::Node(name, pods)),
        2 => (1..4_u16).prop_map(Step::Peer),
        1 => Just(Step::Restart),
        1 => (1..60_usize).prop_map(Step::Cut),
    ]
}

fn facts(pods: u8) -> Sourced<Arc<NodeFacts>> {
    let facts =
        NodeFacts { pod_cidrs: vec![format!("10.244.{pods}.0/24").parse().unwrap()], ..NodeFacts::default() };
    Sourced { value: Arc::new(facts), place: None, generation: 0, uid: String::new() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// After each step what is read is what was kept last, and after a cut what was kept before it.
    #[test]
    fn what_becomes_of_objects_is_read_again(steps in prop::collection::vec(step(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let mut objects = objects(&folder.path().join("manifests"));
        let path = folder.path().join("state/checkpoint.json");
        let new = || Keeper::new(path.clone(), "n1".to_owned());
        let values = |objects: &Objects| {
            let nodes = objects.nodes.iter().map(|(name, node)| (name.to_owned(), Arc::clone(&node.value)));
            (nodes.collect::<Vec<_>>(), objects.peers["on"].value.clone(), objects.fabrics["rack"].value.clone())
        };
        let (mut keeper, mut kept, mut second) = (new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Node(name, Some(pods)) => objects.nodes.insert(&format!("n{name}"), facts(pods)),
                Step::Node(name, None) => drop(objects.nodes.remove(&format!("n{name}"))),
                Step::Peer(asn) => objects.peers.get_mut("on").unwrap().value.asn = PeerAsn::Number(asn.into()),
                Step::Restart => keeper = new(),
                Step::Cut(bytes) => {
                    let journal = checkpoint::journal(&path);
                    let Ok(text) = fs::read(&journal) else { continue };
                    fs::write(&journal, &text[..text.len().saturating_sub(bytes)]).unwrap();
                    let read = checkpoint::read(&path, "n1", now()).unwrap().unwrap().objects;
                    prop_assert!(read.warnings.is_empty(), "{:?}", read.warnings);
                    prop_assert!(kept.contains(&values(&read)), "a set that was never kept");
                }
            }
            second += 1;
            keeper.keep(&Arc::new(objects.clone()), now() + jiff::SignedDuration::from_secs(second)).unwrap();
            kept.push(values(&objects));
            let read = checkpoint::read(&path, "n1", now()).unwrap().unwrap().objects;
            prop_assert_eq!(values(&read), values(&objects));
        }
    }
}

/// The bytes that are written for a set of so many Nodes, for one of them that changes, one that goes and one that comes,
/// and for the same once more.
fn bytes(nodes: u16) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = objects(&folder.path().join("manifests"));
    (0..nodes).for_each(|number| objects.nodes.insert(&format!("worker-{number:04}"), facts(1)));
    let mut keeper = Keeper::new(folder.path().join("state/checkpoint.json"), "n1".to_owned());
    let mut keep = |objects: &Objects| keeper.keep(&Arc::new(objects.clone()), now()).unwrap();
    let mut written = vec![keep(&objects)];
    objects.nodes.insert("worker-0007", facts(2));
    written.push(keep(&objects));
    objects.nodes.remove("worker-0008");
    written.push(keep(&objects));
    objects.nodes.insert("worker-9999", facts(3));
    written.push(keep(&objects));
    written.push(keep(&objects));
    written
}

#[test]
fn a_change_writes_itself_however_many_nodes_there_are() {
    let (few, many) = (bytes(1_000), bytes(4_000));
    assert!(many[0] > 3 * few[0], "{few:?} {many:?}");
    assert_eq!(few[1..], many[1..]);
    assert!(few[1..].iter().all(|bytes| *bytes < 400) && few[4] == 0, "{few:?}");
}

#[test]
fn a_journal_that_grows_long_gives_way_to_a_whole_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = objects(&folder.path().join("manifests"));
    let path = folder.path().join("state/checkpoint.json");
    let mut keeper = Keeper::new(path.clone(), "n1".to_owned());
    let longest = (0..2_000).map(|number: u32| {
        objects.nodes.insert("n2", facts((number % 200) as u8));
        keeper
            .keep(&Arc::new(objects.clone()), now() + jiff::SignedDuration::from_secs(number.into()))
            .unwrap();
        fs::metadata(checkpoint::journal(&path)).map_or(0, |file| file.len())
    });
    let longest = longest.max().unwrap();
    assert!((60_000..=65_536).contains(&longest), "{longest}");
    assert_eq!(checkpoint::read(&path, "n1", now()).unwrap().unwrap().objects.nodes.len(), 2);
}

#[test]
fn a_journal_that_is_no_good_is_named_and_the_checkpoint_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = objects(&folder.path().join("manifests"));
    let path = folder.path().join("state/checkpoint.json");
    let mut keeper = Keeper::new(path.clone(), "n1".to_owned());
    for pods in [1, 2, 3] {
        objects.nodes.insert("n2", facts(pods));
        keeper.keep(&Arc::new(objects.clone()), now()).unwrap();
    }
    let journal = checkpoint::journal(&path);
    assert_eq!(fs::metadata(&journal).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&journal).unwrap();
    let read = |text: &str| {
        fs::write(&journal, text).unwrap();
        let kept = checkpoint::read(&path, "n1", now()).unwrap().unwrap().objects;
        let warnings: Vec<String> = kept.warnings.iter().map(ToString::to_string).collect();
        (kept.nodes.get("n2").unwrap().value.pod_cidrs[0].to_string(), warnings.join("; "))
    };
    assert_eq!(read(&text), ("10.244.3.0/24".to_owned(), String::new()));
    let (pods, warning) = read(&text.replace("10.244.3.0", "10.244.x.0"));
    assert_eq!(pods, "10.244.2.0/24");
    assert!(
        warning.contains("checkpoint.journal: is damaged: line 3") && warning.contains("podCIDRs"),
        "{warning}"
    );
    // It is of another checkpoint: an older agent has written a new one beside it, say.
    assert_eq!(read(&text.replacen("12:00:00", "11:00:00", 1)), ("10.244.1.0/24".to_owned(), String::new()));
    let (pods, warning) = read(&text.replacen("\"node\":\"n1\"", "\"node\":\"n2\"", 1));
    assert!(pods == "10.244.1.0/24" && warning.contains("another node"), "{warning}");
    // Whoever has changed a file meanwhile gets a whole one again.
    fs::remove_file(&journal).unwrap();
    objects.nodes.insert("n2", facts(4));
    keeper.keep(&Arc::new(objects.clone()), now()).unwrap();
    assert!(!journal.exists());
    let kept = checkpoint::read(&path, "n1", now()).unwrap().unwrap().objects;
    assert_eq!(kept.nodes.get("n2").map(|node| &node.value), Some(&facts(4).value));
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
