//! The second run: sessions that are signed, that restart, and that end.

use labs::{Netns, Sandbox};
use nix::sys::signal::Signal;

use super::super::bird::rack;
use super::super::node::Node;
use super::super::restart::{Monitor, is_settled};
use super::carried::shown;
use super::cells::{Cells, Feature};
use super::{FAR, Far, SENT, Setup, Show, advertise, manifest};

const SETUP: Setup = Setup { key: Some("hunter2"), hold: 3, limit: Some(LIMIT), long_lived: false };
const BOTH: [usize; 2] = [0, 1];
/// How many prefixes of a family the other side takes.
const LIMIT: u64 = 6;
/// What it reads when the node is taken out of service.
pub(super) const TEXT: &str = "new-disk";

pub(super) fn run<F: Far>(
    sandbox: &Sandbox,
    daemon: &'static str,
    start: impl FnOnce(&Sandbox, &Netns, Setup) -> F,
) {
    let (node, router) = rack(sandbox);
    let mut far = start(sandbox, &router, SETUP);
    let restarts = "gracefulRestart: {restartTime: 30s}";
    let of_node = |fabric: &str, peer: &str| manifest(SETUP, &format!("{restarts}\n  {fabric}"), peer);
    let mut node = Node::start(sandbox, node, "node", &of_node(&advertise(""), ""));
    let mut cells = Cells::of(daemon, Feature::Md5);

    for over in BOTH {
        cells.judge(Feature::Md5, over, || shown(&far, over, Show::Established));
        let (prefix, _) = SENT[over];
        cells.judge(Feature::Md5, over, || far.seen(over, prefix));
    }
    for prefix in FAR {
        node.until_route(&format!("{prefix} via"), true);
    }
    node.until("settled", || is_settled(&node, 1));
    restarted(sandbox, &mut node, &mut far, &router, &mut cells);
    silent(&mut node, &far, &mut cells);

    // Taken out of service, it leaves with a text.
    let drained = node.run(&format!("drain --pods --reason {TEXT}"));
    assert!(drained.status.success(), "{drained:?}");
    node.agent.terminate();
    for over in BOTH {
        cells.judge(Feature::ShutdownText, over, || shown(&far, over, Show::ShutdownText));
    }

    // A second NOTIFICATION makes some let a session rest for longer than anybody waits here. One may have come before:
    // OpenBGPD connects again at once after the kill, to a listener that is about to go, and sends the OPEN of that
    // connection on the next one too, as a second one in OpenConfirm (RFC 6608 §4).
    far.again();

    // It comes back, and takes nothing: the other side is told why the session ends.
    node.apply(&of_node(&advertise(""), ", limits: {receive: {max: 0, action: Reset}}"));
    node.restart(sandbox, "node");
    for over in BOTH {
        cells.judge(Feature::LimitOfOurs, over, || shown(&far, over, Show::LimitReceived));
    }

    // It sends more than the other side takes.
    let many = (0..LIMIT + 2).flat_map(|at| {
        [format!("{{prefix: 10.244.201.{at}/32}}"), format!("{{prefix: \"fd00:10:244:201::{at}/128\"}}")]
    });
    let many = many.collect::<Vec<_>>().join(", ");
    node.apply(&of_node(&format!("advertise: {{prefixes: [{many}]}}"), ""));
    node.kill_and_restart(sandbox, "node");
    far.again();
    for over in BOTH {
        cells.judge(Feature::LimitOfIts, over, || shown(&far, over, Show::LimitSent));
    }
    cells.compare(&node);
}

/// Each side is killed and comes back, and the other keeps its routes.
fn restarted<F: Far>(sandbox: &Sandbox, node: &mut Node, far: &mut F, router: &Netns, cells: &mut Cells) {
    node.agent.kill();
    for over in BOTH {
        let (prefix, _) = SENT[over];
        cells.judge(Feature::Restarter, over, || shown(far, over, Show::Kept));
        cells.judge(Feature::Restarter, over, || far.seen(over, prefix));
    }
    node.restart(sandbox, "node");
    node.until("settled again", || is_settled(node, 2));
    for over in BOTH {
        let (prefix, _) = SENT[over];
        cells.judge(Feature::Restarter, over, || shown(far, over, Show::Established));
        cells.judge(Feature::Restarter, over, || far.seen(over, prefix));
    }

    let monitor = Monitor::start(sandbox, &node.netns);
    far.restart(sandbox, router);
    for over in BOTH {
        let (prefix, _) = SENT[over];
        cells.judge(Feature::Helper, over, || shown(far, over, Show::Established));
        cells.judge(Feature::Helper, over, || far.seen(over, prefix));
        // Nothing has happened to what was learned from it.
        cells.judge(Feature::Helper, over, || {
            let changes = monitor.changes();
            if changes.is_empty() { Ok(()) } else { Err(format!("{changes:?}")) }
        });
    }
}

/// The other side hears nothing any more.
fn silent<F: Far>(node: &mut Node, far: &F, cells: &mut Cells) {
    node.agent.signal(Signal::SIGSTOP);
    for over in BOTH {
        cells.judge(Feature::HoldTimer, over, || shown(far, over, Show::HoldExpired));
    }
    node.agent.signal(Signal::SIGCONT);
    for over in BOTH {
        let (prefix, _) = SENT[over];
        node.until("the session again", || shown(far, over, Show::Established));
        node.until("its routes again", || far.seen(over, prefix));
    }
}
