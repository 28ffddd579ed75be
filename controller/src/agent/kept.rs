//! What earlier runs of the agent have kept on disk, taken up at the start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::impairment::{ImpairedSender, tell_of};
use super::settings::Source;
use crate::cluster::kubernetes::Standing;
use crate::cluster::{self, Objects, Problem, SourceEvent};
use crate::desired::contradiction::Judge;
use crate::drain::{self, Drain};
use crate::status::impairment::Impairment;

/// When what could not be kept is tried again: a full disk is emptied in minutes.
const RETRY: Duration = Duration::from_secs(5);

/// Tells what an earlier run has kept, then what the source holds, and whenever that changes. `standing` holds what the
/// own Node says of whether it may carry pods.
pub(super) async fn objects(
    from: Source,
    (checkpoint, node): (PathBuf, String),
    events: mpsc::Sender<SourceEvent>,
    standing: watch::Sender<Option<Standing>>,
) {
    let name = node.clone();
    let read = move || cluster::checkpoint::read(&checkpoint, &name, Timestamp::now()).transpose();
    let kept = tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|error| Some(Err(Problem::anywhere(format!("checkpoint: {error}")))));
    let good = kept.as_ref().and_then(|kept| kept.as_ref().ok()).map(|kept| Arc::clone(&kept.objects));
    if let Some(kept) = kept
        && events.send(SourceEvent::Checkpoint(kept)).await.is_err()
    {
        return;
    }
    match from {
        Source::Manifests(directory) => cluster::watch::run(directory, events).await,
        Source::Kubernetes(connection) => {
            let mut judge = Judge::default();
            let contradict = Box::new(move |objects: &Arc<Objects>| judge.look(objects));
            cluster::kubernetes::run(connection, node, good, events, standing, contradict).await;
        }
    }
}

/// Since when the Node was out of service, as an earlier run has kept it. One that cannot be read has the wait for peers
/// begin anew, if the Node still says so.
pub(super) fn earlier_cordon(path: &Path, impaired: &ImpairedSender) -> Option<Drain> {
    let told = |problem: &String| {
        let why = format!("{problem}; a wait for peers that it told of begins anew");
        tell_of(Impairment::CordonFile, impaired)(Some(why));
    };
    drain::read(path, Timestamp::now()).inspect_err(told).unwrap_or_default()
}

/// Keeps since when the Node is out of service, whenever that changes, until the sender is gone; tells why that cannot
/// be done, or that it can.
pub(super) async fn cordons(
    path: PathBuf,
    mut cordons: watch::Receiver<Option<Drain>>,
    told: impl Fn(Option<String>),
) {
    let mut failed = false;
    while next(&mut cordons, failed).await {
        let (path, drain) = (path.clone(), cordons.borrow_and_update().clone());
        let shown = path.display().to_string();
        let kept = tokio::task::spawn_blocking(move || drain::keep(&path, drain.as_ref())).await;
        let kept = kept.unwrap_or_else(|error| Err(io::Error::other(error)));
        failed = kept.is_err();
        told(kept.err().map(|error| format!("{shown}: {error}; a restart begins the wait for peers anew")));
    }
}

/// Waits until there is something to keep: what is new, or after a while what could not be kept. `false` where nothing
/// will be any more.
async fn next(cordons: &mut watch::Receiver<Option<Drain>>, failed: bool) -> bool {
    tokio::select! {
        changed = cordons.changed() => changed.is_ok(),
        () = tokio::time::sleep(RETRY), if failed => true,
    }
}

/// The drain that an earlier run has kept. A file that is damaged still says that an operator wanted one: the node is
/// shunned, which loses no packet, until somebody says how it is to be.
pub(super) fn earlier_drain(path: &Path, impaired: &ImpairedSender) -> Option<Drain> {
    drain::read(path, Timestamp::now()).unwrap_or_else(|problem| {
        let why = format!("{problem}; the node is drained but for its pods until `drain` or `undrain`");
        tell_of(Impairment::Drain, impaired)(Some(why));
        let reason = "what was kept of a drain cannot be read".to_owned();
        Some(Drain { pods: false, reason, since: Timestamp::now(), until: None, services: None })
    })
}
