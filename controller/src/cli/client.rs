//! Asking agents over their sockets: all at once, each with a deadline, and
//! those that do not answer are reported beside the answers of the others.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::v1::operator_service_client::OperatorServiceClient;
use api::v1::status_service_client::StatusServiceClient;
use futures::future::join_all;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::failure::{Exit, Failure};
use crate::operator::service::socket_beside;

/// A client of one agent.
pub type Client = StatusServiceClient<Channel>;

/// A client that gives one agent orders.
pub type Operator = OperatorServiceClient<Channel>;

/// How long an agent may take to take the connection, and for each answer:
/// longer than its own deadline, so that its reason is heard.
const DEADLINE: Duration = Duration::from_secs(8);
/// The longest answer: a page of 1000 routes with a hundred paths each.
const ANSWER: usize = 64 << 20;

/// Puts the same question to each agent. The answers are in the order of the
/// sockets, the failures too.
pub async fn ask<T, F>(sockets: &[PathBuf], question: impl Fn(Client) -> F) -> (Vec<T>, Vec<Failure>)
where
    F: Future<Output = Result<T, Failure>>,
{
    each(sockets, async |socket| question(connect(socket).await?).await).await
}

/// Gives the same order to each agent, at the operator's socket that belongs to the named one.
pub async fn order<T, F>(sockets: &[PathBuf], order: impl Fn(Operator) -> F) -> (Vec<T>, Vec<Failure>)
where
    F: Future<Output = Result<T, Failure>>,
{
    let sockets: Vec<PathBuf> = sockets.iter().map(|socket| socket_beside(socket)).collect();
    each(&sockets, async |socket| order(OperatorServiceClient::new(channel(socket).await?)).await).await
}

async fn each<T>(
    sockets: &[PathBuf],
    ask: impl AsyncFn(&Path) -> Result<T, Failure>,
) -> (Vec<T>, Vec<Failure>) {
    let asked = sockets.iter().map(async |socket| ask(socket).await.map_err(|failure| failure.of(socket)));
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for answer in join_all(asked).await {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(failure) => failures.push(failure),
        }
    }
    (answers, failures)
}

pub(super) async fn connect(socket: &Path) -> Result<Client, Failure> {
    Ok(StatusServiceClient::new(channel(socket).await?).max_decoding_message_size(ANSWER))
}

async fn channel(socket: &Path) -> Result<Channel, Failure> {
    let unreachable = |message: String| Failure::new(Exit::Unreachable, message);
    let stream = match tokio::time::timeout(DEADLINE, UnixStream::connect(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable(refusal(&error))),
        Err(_) => return Err(unreachable("the agent does not take the connection".to_owned())),
    };
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        // A channel that lost its connection asks for another one: there is none.
        let stream = stream.take().ok_or(std::io::Error::from(ErrorKind::ConnectionReset));
        std::future::ready(stream)
    });
    // The name only fills a header; the connection is the socket's.
    let endpoint = Endpoint::from_static("http://agent").timeout(DEADLINE);
    match tokio::time::timeout(DEADLINE, endpoint.connect_with_connector(connector)).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(_)) | Err(_) => Err(unreachable("what listens there is not an agent".to_owned())),
    }
}

fn refusal(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no agent: the socket does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied: who may, runs this as root".to_owned(),
        ErrorKind::ConnectionRefused => "no agent: nothing listens on the socket".to_owned(),
        _ => format!("agent not reachable: {error}"),
    }
}
