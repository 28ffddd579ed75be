//! What the container runtime and the plugin are told, and when.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use bgp::prefix::Prefix;
use bgp::time::Instant;
use controller::netconf::{self, Places};
use controller::status::snapshot::{Condition, ConditionKind, Publisher, Snapshot};
use labs::wait;

use crate::status::fixture;

const LIMIT: Duration = Duration::from_secs(20);

/// A node whose pods have these prefixes.
fn node(ready: bool, pods: &[&str]) -> Snapshot {
    let pods: Vec<Prefix> = pods.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let mut snapshot = Snapshot { pods, ..fixture::snapshot("n1", vec![]) };
    snapshot.conditions.push(Condition {
        kind: ConditionKind::PodNetworkReady,
        holds: Some(ready),
        reason: "first-peer-heard",
        message: String::new(),
        since: Instant(0),
    });
    snapshot
}

fn places(folder: &Path) -> Places {
    Places { networks: folder.join("net.d"), ready: folder.join("ready"), mtu: None }
}

fn subnets(folder: &Path) -> Option<serde_json::Value> {
    let list = fs::read(folder.join("net.d/10-underlay.conflist")).ok()?;
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    Some(list["plugins"][0]["subnets"].clone())
}

#[tokio::test]
async fn both_files_come_with_the_network_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let mut now = Instant(0);
    let (mut publisher, snapshots) = Publisher::new(node(false, &["10.244.1.0/24"]), now);
    let mut show = |snapshot: Snapshot| {
        now = now + Publisher::SPACING;
        publisher.changed();
        assert!(publisher.publish(|| snapshot, now));
    };
    let task = tokio::spawn(netconf::run(places.clone(), snapshots, |why| panic!("{why:?}")));
    // Ready without prefixes is nothing that pods could be given.
    show(node(true, &[]));
    tokio::task::yield_now().await;
    show(node(true, &["10.244.1.0/24", "fd00:10:244:1::/64"]));
    let held = |wanted: serde_json::Value| {
        let folder = folder.path().to_owned();
        tokio::task::spawn_blocking(move || {
            wait::until("the list", LIMIT, || subnets(&folder).is_some_and(|subnets| subnets == wanted));
        })
    };
    held(serde_json::json!(["10.244.1.0/24", "fd00:10:244:1::/64"])).await.unwrap();
    assert!(places.is_ready(), "the ready file is there before the list");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(fs::read_to_string(&places.ready).unwrap(), boot);

    // The uplinks' MTU, and a change of it; where somebody has set one it is that.
    let until_mtu = |wanted: Option<u64>| {
        let folder = folder.path().to_owned();
        tokio::task::spawn_blocking(move || {
            wait::until("the MTU", LIMIT, || {
                let list = fs::read(folder.join("net.d/10-underlay.conflist")).unwrap();
                let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
                list["plugins"][0]["mtu"].as_u64() == wanted
            });
        })
    };
    until_mtu(None).await.unwrap();
    for mtu in [9000, 1450] {
        show(Snapshot { pod_mtu: Some(mtu), ..node(true, &["10.244.1.0/24", "fd00:10:244:1::/64"]) });
        until_mtu(Some(mtu.into())).await.unwrap();
    }

    // Other prefixes are another list; a node without any keeps the one it had.
    show(node(true, &["10.244.7.0/24"]));
    held(serde_json::json!(["10.244.7.0/24"])).await.unwrap();
    // Nor is the MTU lost of which an agent that has just started does not know yet.
    until_mtu(Some(1450)).await.unwrap();
    show(node(false, &[]));
    drop(publisher);
    task.await.unwrap();
    assert!(places.is_ready());
    assert_eq!(subnets(folder.path()), Some(serde_json::json!(["10.244.7.0/24"])));
}

#[tokio::test]
async fn the_list_is_not_there_before_the_ready_file() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    // A folder where the ready file belongs.
    fs::create_dir_all(places.ready.join("full")).unwrap();
    let (publisher, snapshots) = Publisher::new(node(true, &["10.244.1.0/24"]), Instant(0));
    let (tell, told) = mpsc::channel();
    let task = tokio::spawn(netconf::run(places.clone(), snapshots, move |why| tell.send(why).unwrap()));
    let why = tokio::task::spawn_blocking(move || told.recv_timeout(LIMIT)).await.unwrap().unwrap().unwrap();
    assert!(why.starts_with(places.ready.to_str().unwrap()), "{why}");
    assert_eq!(subnets(folder.path()), None);
    assert!(!places.is_ready());
    drop(publisher);
    task.await.unwrap();
}

#[test]
fn the_ready_file_of_another_boot_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    assert!(!places.is_ready());
    fs::write(&places.ready, "4f0c8f3e-0000-4000-8000-000000000000\n").unwrap();
    assert!(!places.is_ready());
}
