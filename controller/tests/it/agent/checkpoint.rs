//! A start without the source: the checkpoint stands in until the source is good.

use std::sync::Arc;

use bgp::io::State;
use bgp::time::Duration;
use controller::cluster::{Checkpoint, Objects, Problem, SourceEvent, manifest};
use controller::event::Event;

use super::fake::{World, manifests};

const NOTE: &str = "running from checkpoint /c.json of then, 3h old";

/// A world whose earlier run has kept these manifests.
fn world(kept: &str) -> World {
    let (mut objects, mut problems) = (Objects::default(), Vec::new());
    manifest::read("/c.json", kept, &mut objects, &mut problems);
    assert_eq!(problems, []);
    let description = "checkpoint /c.json of then, 3h old".to_owned();
    let checkpoint = Checkpoint { objects: Arc::new(objects), description };
    let mut world = World::new();
    world.put(Event::Source(SourceEvent::Checkpoint(Ok(checkpoint))));
    world.run();
    world
}

fn errors(world: &mut World) -> Vec<String> {
    world.run_for(Duration::from_millis(200));
    world.snapshot().source.errors.clone()
}

#[test]
fn a_source_that_is_gone_is_stood_in_for_until_it_returns() {
    let mut world = world(&manifests(&[("10.0.1.1", 65100)], ""));
    assert_eq!(errors(&mut world), Vec::<String>::new());
    assert!(world.snapshot().identity.is_none(), "the source has not spoken yet");

    world.broken("directory /m: gone");
    assert_eq!(errors(&mut world), [NOTE, "directory /m: gone"]);
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 0);
    assert!(world.agent.drivers().kept.is_empty(), "what stands in is kept already");

    // The source returns with the same, and one origin more.
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ", advertise: {prefixes: [{prefix: 10.9.9.0/24}]}"));
    assert_eq!(errors(&mut world), Vec::<String>::new());
    let peer = &world.snapshot().peers[0];
    assert_eq!((peer.state, peer.established_count, peer.counts.ipv4.sent), (State::Established, 1, 2));
    assert_eq!(world.agent.drivers().kept.len(), 1);

    // Gone once more: this run's own last good state stays.
    world.broken("directory /m: gone");
    assert_eq!(errors(&mut world), ["directory /m: gone"]);
    assert_eq!(world.snapshot().peers[0].counts.ipv4.sent, 2);
}

#[test]
fn objects_that_cannot_be_applied_are_stood_in_for_too() {
    let mut world = world(&manifests(&[("10.0.1.1", 65100)], ""));
    world.manifests(&manifests(&[], "").replace("{name: n1}", "{name: n9}"));
    assert_eq!(errors(&mut world), [NOTE, "there is no Node \"n1\""]);
    world.connecting("10.0.1.1:179");
    assert!(world.agent.drivers().kept.is_empty());
}

#[test]
fn a_good_source_leaves_the_checkpoint_unread() {
    let mut world = world(&manifests(&[("10.0.1.7", 65107)], ""));
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    assert_eq!(errors(&mut world), Vec::<String>::new());
    assert_eq!(world.snapshot().peers[0].address.to_string(), "10.0.1.1");
    // It never comes back, whatever becomes of the source.
    world.broken("gone");
    assert_eq!(errors(&mut world), ["gone"]);
    assert_eq!(world.snapshot().peers[0].address.to_string(), "10.0.1.1");
}

#[test]
fn a_checkpoint_of_no_use_is_named_until_the_source_is_good() {
    let mut world = World::new();
    let problem = Problem::anywhere("checkpoint /c.json: is of node \"n2\", this is \"n1\"");
    world.put(Event::Source(SourceEvent::Checkpoint(Err(problem.clone()))));
    world.broken("gone");
    assert_eq!(errors(&mut world), ["gone".to_owned(), problem.to_string()]);
    world.manifests(&manifests(&[], ""));
    assert_eq!(errors(&mut world), Vec::<String>::new());
}

#[test]
fn each_good_set_is_kept_once_and_no_bad_one() {
    let mut world = World::new();
    world.manifests(&manifests(&[], ""));
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    world.broken("gone");
    world.manifests(&manifests(&[], "").replace("value: 65001", "value: 0"));
    world.run_for(Duration::from_secs(10));
    let kept = &world.agent.drivers().kept;
    assert_eq!(kept.iter().map(|objects| objects.peers.len()).collect::<Vec<_>>(), [0, 1]);
}
