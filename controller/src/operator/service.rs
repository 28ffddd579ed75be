//! OperatorService on a unix socket of its owner's alone.
//!
//! One order at a time: what is on disk and what the loop does are never of two minds. A drain that ends by itself
//! is ended here, as if an operator had done it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::v1;
use api::v1::operator_service_server::{OperatorService, OperatorServiceServer};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::order::Order;
use crate::discovery::shown;
use crate::drain::{self, Drain};
use crate::status::error::Fault;
use crate::status::snapshot::{Snapshot, Snapshots};
use crate::status::{convert, peer, server};

/// How long the loop may take for an order.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often the time of day is looked at while a drain is to end by itself: it may be set meanwhile.
const LOOK: Duration = Duration::from_secs(30);

/// The file of the socket that belongs to a status socket: `operator.sock` beside `status.sock`, else named after it.
#[must_use]
pub fn socket_beside(status: &Path) -> PathBuf {
    let stem = status.file_stem().unwrap_or_default().to_string_lossy();
    status.with_file_name(if stem == "status" || stem == "operator" {
        "operator.sock".to_owned()
    } else {
        format!("{stem}-operator.sock")
    })
}

/// The drain, and the way to the loop; clones share it.
#[derive(Clone, Debug)]
pub struct Operator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    snapshots: Snapshots,
    orders: mpsc::Sender<Order>,
    path: PathBuf,
    held: Mutex<Option<Drain>>,
    /// When the drain ends by itself.
    ends: watch::Sender<Option<Timestamp>>,
}

impl Operator {
    /// An operator of an agent that begins with the drain that was kept at `path`.
    #[must_use]
    pub fn new(
        snapshots: Snapshots,
        orders: mpsc::Sender<Order>,
        path: PathBuf,
        begins: Option<Drain>,
    ) -> Self {
        let ends = watch::Sender::new(begins.as_ref().and_then(|drain| drain.until));
        Self(Arc::new(Inner { snapshots, orders, path, held: Mutex::new(begins), ends }))
    }

    /// The service's routes.
    ///
    /// # Errors
    /// Descriptors that reflection cannot show.
    pub fn routes(&self) -> Result<Routes, server::ServeError> {
        let service = OperatorServiceServer::new(Service(self.clone()));
        Ok(Routes::new(service).add_service(server::reflection().build_v1()?))
    }

    /// Ends drains whose time is over, for ever.
    pub async fn expire(self) {
        let mut ends = self.0.ends.subscribe();
        loop {
            let until = *ends.borrow_and_update();
            let left = until.map_or(LOOK, |until| {
                let left = until.duration_since(Timestamp::now());
                Duration::try_from(left.max(SignedDuration::ZERO)).unwrap_or(LOOK).min(LOOK)
            });
            tokio::select! {
                // The sender is in `self`.
                _ = ends.changed() => {}
                () = tokio::time::sleep(left), if until.is_some() => {
                    if until.is_some_and(|until| until <= Timestamp::now())
                        && let Err(error) = self.hold(None).await
                    {
                        tracing::warn!(event = "undrain-failed", reason = error.message());
                        tokio::time::sleep(LOOK).await;
                    }
                }
            }
        }
    }

    /// Makes this the operators' drain; the one before, and what holds then.
    async fn hold(&self, drain: Option<Drain>) -> Result<(Option<Drain>, Option<Drain>), Status> {
        let mut held = self.0.held.lock().await;
        let drain = drain.map(|drain| drain.after(held.as_ref()));
        let (path, kept) = (self.0.path.clone(), drain.clone());
        let written = tokio::task::spawn_blocking(move || drain::keep(&path, kept.as_ref())).await;
        let unkept = |error: &dyn std::fmt::Display| {
            let message = format!("{}: {error}; nothing has changed", self.0.path.display());
            Fault::DrainNotKept.status(message)
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(unkept(&error)),
            Err(error) => return Err(unkept(&error)),
        }
        let until = drain.as_ref().and_then(|drain| drain.until);
        let before = std::mem::replace(&mut *held, drain.clone());
        self.0.ends.send_replace(until);
        let holds = self.order(|reply| Order::Drain { drain, reply }).await?;
        Ok((before, holds))
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Fault::AgentStopping.status("the agent is stopping");
        let ordered = async {
            self.0.orders.send(order(reply)).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())
        };
        let late = |_| Fault::AgentBusy.status(format!("no answer from the agent within {DEADLINE:?}"));
        tokio::time::timeout(DEADLINE, ordered).await.map_err(late)?
    }

    async fn held(&self) -> Option<Drain> {
        self.0.held.lock().await.clone()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.snapshots.borrow())
    }
}

struct Service(Operator);

#[tonic::async_trait]
impl OperatorService for Service {
    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let v1::DrainRequest { pods, for_seconds, reason, wait_seconds } = request.into_inner();
        if reason.chars().count() > drain::REASON || reason.chars().any(char::is_control) {
            let message = format!("the reason is to be one line of at most {} letters", drain::REASON);
            return Err(Fault::InvalidReason.status(message));
        }
        // To the second, as a file and a message show it.
        let since = Timestamp::now();
        let until = for_seconds.map(|seconds| until(since, seconds)).transpose()?;
        let services = wait_seconds.map_or(Ok(drain::WAIT.as_secs()), Ok);
        let services = services.and_then(|wait| after(since, wait))?;
        let drain = Drain { pods, reason, since, until, services: Some(services) };
        self.0.hold(Some(drain)).await?;
        let drain = self.0.held().await;
        let node = self.0.snapshot().node.clone();
        Ok(Response::new(v1::DrainResponse {
            node,
            drain: drain.map(|drain| convert::drain(&drain, Timestamp::now())),
        }))
    }

    async fn undrain(&self, _: Request<v1::UndrainRequest>) -> Result<Response<v1::UndrainResponse>, Status> {
        let (before, holds) = self.0.hold(None).await?;
        let shown = |drain: Drain| convert::drain(&drain, Timestamp::now());
        let (drain, remains) = (before.map(shown), holds.map(shown));
        Ok(Response::new(v1::UndrainResponse { node: self.0.snapshot().node.clone(), drain, remains }))
    }

    async fn reset_peer(
        &self,
        request: Request<v1::ResetPeerRequest>,
    ) -> Result<Response<v1::ResetPeerResponse>, Status> {
        let v1::ResetPeerRequest { peer: text, soft } = request.into_inner();
        let snapshot = self.0.snapshot();
        let view = peer::find(&text, &snapshot)?;
        let (peer, node) = (view.id, snapshot.node.clone());
        self.0.order(|reply| Order::Reset { peer, soft, reply }).await?.map_err(|why| {
            Fault::PeerDown.status(format!("peer {} {}: {why}", view.name, shown(view.address)))
        })?;
        Ok(Response::new(v1::ResetPeerResponse {
            node,
            peer: Some(v1::PeerSource { name: view.name.clone(), address: shown(view.address) }),
            before: convert::state(view.state).into(),
            soft,
        }))
    }
}

/// When a drain of so many seconds ends.
fn until(since: Timestamp, seconds: u64) -> Result<Timestamp, Status> {
    if seconds == 0 {
        return Err(Fault::InvalidDuration.status("0 seconds are no time to drain for"));
    }
    after(since, seconds)
}

/// So many seconds later.
fn after(since: Timestamp, seconds: u64) -> Result<Timestamp, Status> {
    let span = i64::try_from(seconds).ok().map(SignedDuration::from_secs);
    span.and_then(|span| since.checked_add(span).ok())
        .ok_or_else(|| Fault::InvalidDuration.status(format!("{seconds} seconds are beyond all time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_socket_has_an_operator_socket_of_its_own() {
        for (status, operator) in [
            ("/run/underlay/status.sock", "/run/underlay/operator.sock"),
            ("/run/underlay/operator.sock", "/run/underlay/operator.sock"),
            ("/tmp/a.sock", "/tmp/a-operator.sock"),
            ("b", "b-operator.sock"),
        ] {
            assert_eq!(socket_beside(Path::new(status)), Path::new(operator));
        }
    }
}
