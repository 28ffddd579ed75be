//! The third run: each side is away for longer than its restart time (RFC 9494).

use labs::{Netns, Sandbox};

use super::super::bird::rack;
use super::super::node::Node;
use super::super::restart::Monitor;
use super::carried::shown;
use super::cells::{Cells, Feature};
use super::{FAR, Far, SENT, Seen, Setup, Show, advertise, manifest};

const SETUP: Setup = Setup { key: None, hold: 9, limit: None, long_lived: true };
const BOTH: [usize; 2] = [0, 1];
/// The other sides' words for LLGR_STALE.
const STALE: [&str; 3] = ["65535:6", "llgrStale", "llgr-stale"];

pub(super) fn run<F: Far>(
    sandbox: &Sandbox,
    daemon: &'static str,
    start: impl FnOnce(&Sandbox, &Netns, Setup) -> F,
) {
    let (node, router) = rack(sandbox);
    let mut far = start(sandbox, &router, SETUP);
    let restarts = "gracefulRestart: {restartTime: 2s, longLived: 10m}";
    let mut node =
        Node::start(sandbox, node, "node", &manifest(SETUP, &format!("{restarts}\n  {}", advertise("")), ""));
    let mut cells = Cells::of(daemon, Feature::LongLivedOfOurs);
    for over in BOTH {
        node.until("the session", || shown(&far, over, Show::Established));
        let (prefix, _) = SENT[over];
        node.until("the node's prefix", || far.seen(over, prefix));
        node.until_route(&format!("{} via", FAR[over]), true);
    }

    // The other side keeps what the node is not there to announce, and says what it is.
    node.agent.kill();
    for over in BOTH {
        let (prefix, _) = SENT[over];
        cells.judge(Feature::LongLivedOfOurs, over, || stale(far.seen(over, prefix), true));
    }
    node.restart(sandbox, "node");
    for over in BOTH {
        let (prefix, _) = SENT[over];
        cells.judge(Feature::LongLivedOfOurs, over, || shown(&far, over, Show::Established));
        cells.judge(Feature::LongLivedOfOurs, over, || stale(far.seen(over, prefix), false));
        // The kernel has had the route all the time.
        node.until("its prefix again", || fresh(&node, FAR[over]));
    }

    // The node keeps what the other side is not there to announce.
    if !BOTH.iter().any(|over| cells.applies(Feature::LongLivedOfIts, *over)) {
        return cells.compare(&node);
    }
    let monitor = Monitor::start(sandbox, &node.netns);
    far.stop();
    for (over, prefix) in FAR.into_iter().enumerate() {
        cells.judge(Feature::LongLivedOfIts, over, || {
            let told = node.ask(&format!("explain {prefix}"));
            if told.contains("accepted, long-lived-stale") && told.contains("installed via") {
                Ok(())
            } else {
                Err(told)
            }
        });
        cells.judge(Feature::LongLivedOfIts, over, || {
            let changes = monitor.changes();
            if changes.is_empty() { Ok(()) } else { Err(format!("{changes:?}")) }
        });
    }
    far.restart(sandbox, &router);
    for over in BOTH {
        let (prefix, _) = SENT[over];
        cells.judge(Feature::LongLivedOfIts, over, || shown(&far, over, Show::Established));
        cells.judge(Feature::LongLivedOfIts, over, || far.seen(over, prefix));
        cells.judge(Feature::LongLivedOfIts, over, || fresh(&node, FAR[over]));
    }
    cells.compare(&node);
}

/// Whether the node has the prefix from a session that is up.
fn fresh(node: &Node, prefix: &str) -> Result<(), String> {
    let told = node.ask(&format!("explain {prefix}"));
    if told.contains("accepted") && !told.contains("stale") { Ok(()) } else { Err(told) }
}

fn stale(seen: Option<Seen>, expected: bool) -> Result<(), String> {
    let carried = |seen: &Seen| seen.communities.iter().any(|held| STALE.contains(&held.as_str()));
    match seen {
        Some(seen) if carried(&seen) == expected => Ok(()),
        seen => Err(format!("{seen:?}")),
    }
}
