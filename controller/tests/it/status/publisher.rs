//! The status cell: numbered, spaced, replaced as a whole.

use bgp::time::{Duration, Instant};
use controller::status::snapshot::Publisher;

use super::fixture::snapshot;

#[test]
fn snapshots_are_spaced_and_numbered() {
    let start = Instant(5_000_000_000);
    let (mut publisher, snapshots) = Publisher::new(snapshot("a", vec![]), start);
    assert_eq!(snapshots.borrow().revision, 1);
    assert_eq!(publisher.deadline(), None, "nothing changed");
    let unchanged = || -> controller::status::snapshot::Snapshot { panic!("built without need") };
    assert!(!publisher.publish(unchanged, start + Duration::from_secs(9)));

    publisher.changed();
    publisher.changed();
    let due = start + Publisher::SPACING;
    assert_eq!(publisher.deadline(), Some(due));
    assert!(!publisher.publish(unchanged, Instant(due.0 - 1)), "too early");
    assert!(publisher.publish(|| snapshot("b", vec![]), due));
    assert_eq!((snapshots.borrow().revision, snapshots.borrow().node.as_str()), (2, "b"));
    assert_eq!(publisher.deadline(), None);
}

/// However often something changes, ten snapshots a second and no more.
#[test]
fn ten_a_second() {
    let (mut publisher, snapshots) = Publisher::new(snapshot("a", vec![]), Instant(0));
    let published = (0..1000).filter(|millisecond| {
        publisher.changed();
        publisher.publish(|| snapshot("a", vec![]), Instant(millisecond * 1_000_000))
    });
    assert_eq!(published.count(), 9, "after 100, 200, … 900 ms");
    assert_eq!(snapshots.borrow().revision, 10);
}
