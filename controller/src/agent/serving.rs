//! The two sockets that people and programs ask the agent by, served for as long as it lives.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};

use super::impairment::{ImpairedSender, tell_of};
use crate::operator::service::Operator;
use crate::status::impairment::Impairment;
use crate::status::pods::Pods;
use crate::status::query::Query;
use crate::status::snapshot::Snapshots;
use crate::status::{grpc, server, socket::Socket, supervisor};

/// Whether there is no room for a file: that passes, and no reason to keep a node out of the network.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The status socket at the start: `None` if there is no room for its file yet.
pub(super) fn first_socket(path: &Path, impaired: &ImpairedSender) -> anyhow::Result<Option<Socket>> {
    match Socket::bind(path) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if is_full(&error) => {
            tell_of(Impairment::StatusSocket, impaired)(Some(format!("{}: {error}", path.display())));
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("status socket {}", path.display())),
    }
}

/// Serves OperatorService until `stop` closes, anew where that failed.
pub(super) fn operate(
    operator: Operator,
    path: PathBuf,
    stop: watch::Receiver<()>,
    impaired: &ImpairedSender,
) -> impl Future<Output = ()> + Send + use<> {
    let told = tell_of(Impairment::OperatorSocket, impaired);
    async move {
        let serve = || {
            let socket = Socket::bind_with(&path, 0o600);
            told(socket.as_ref().err().map(|error| format!("{}: {error}", path.display())));
            let (routes, stopped) = (operator.routes(), supervisor::stopped(stop.clone()));
            async move {
                server::serve(socket.context("operator socket")?, routes?, stopped).await?;
                anyhow::Ok(())
            }
        };
        supervisor::keep(serve, stop.clone(), supervisor::PAUSE).await;
    }
}

/// Serves StatusService until `stop` closes, anew where that failed.
pub(super) async fn show(
    path: PathBuf,
    mut first: Option<Socket>,
    (snapshots, questions, pods): (Snapshots, mpsc::Sender<Query>, Pods),
    stop: watch::Receiver<()>,
    told: impl Fn(Option<String>),
) {
    let serve = || {
        let socket = first.take().map_or_else(|| Socket::bind(&path), Ok);
        told(socket.as_ref().err().map(|error| format!("{}: {error}", path.display())));
        let (snapshots, questions, pods) = (snapshots.clone(), questions.clone(), pods.clone());
        let stopped = supervisor::stopped(stop.clone());
        async move {
            grpc::serve(socket.context("status socket")?, snapshots, questions, pods, stopped).await?;
            anyhow::Ok(())
        }
    };
    supervisor::keep(serve, stop.clone(), supervisor::PAUSE).await;
}
