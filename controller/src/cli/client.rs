//! Asking agents: all at once (of a cluster a few dozen), each with a deadline, and
//! those that do not answer are reported beside the answers of the others.

use std::io::ErrorKind;
use std::time::Duration;

use api::v1::operator_service_client::OperatorServiceClient;
use api::v1::status_service_client::StatusServiceClient;
use futures::StreamExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::failure::{Exit, Failure};
use super::options::Options;
use super::target::{Target, Targets, Tunnel};
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

/// How many agents of a cluster are asked at a time: each is a connection to the API server and a process in a pod.
const AT_A_TIME: usize = 32;

/// What agents answered.
#[derive(Debug)]
pub struct Answers<T> {
    /// The answers, in the order of the agents.
    pub answers: Vec<T>,
    /// What went wrong, in the same order.
    pub failures: Vec<Failure>,
    /// Who was asked.
    pub asked: Asked,
}

/// Who was asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// How many agents.
    pub agents: usize,
    /// Whether programs read a list, however many there are.
    pub is_list: bool,
    /// What people are told beside the answers.
    pub hint: Option<String>,
}

/// Puts the same question to each agent that the arguments mean.
pub async fn ask<T, F>(options: &Options, question: impl Fn(Client) -> F) -> Answers<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    match options.targets().await {
        Ok(targets) => ask_each(&targets, question).await,
        Err(failure) => Answers::none(failure),
    }
}

/// Puts the same question to each of these agents.
pub async fn ask_each<T, F>(targets: &Targets, question: impl Fn(Client) -> F) -> Answers<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    each(targets, async |target| question(connect(target).await?).await).await
}

/// Puts a question to each of these agents that depends on the node, which has a name in a cluster alone.
pub async fn ask_nodes<T>(
    targets: &Targets,
    question: impl AsyncFn(&str, Client) -> Result<T, Failure>,
) -> Answers<T> {
    each(targets, async |target| question(target.node().unwrap_or_default(), connect(target).await?).await)
        .await
}

/// Gives the same order to each agent, at the operator's socket that belongs to the named one. In a cluster it goes to
/// nodes that were named alone.
pub async fn order<T, F>(options: &Options, order: impl Fn(Operator) -> F) -> Answers<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    if options.cluster.is_meant() && options.cluster.nodes.is_empty() {
        let failure = Failure::new(Exit::Usage, "an order is for nodes that are named: --node NAME");
        return Answers::none(failure);
    }
    let targets = if options.cluster.is_meant() {
        options.targets().await
    } else {
        Ok(Targets::sockets(&options.sockets))
    };
    match targets {
        Ok(targets) => {
            each(&targets, async |target| {
                order(OperatorServiceClient::new(channel(target, true).await?)).await
            })
            .await
        }
        Err(failure) => Answers::none(failure),
    }
}

impl<T> Answers<T> {
    fn none(failure: Failure) -> Self {
        Self { answers: Vec::new(), failures: vec![failure], asked: Asked::default() }
    }
}

async fn each<T>(targets: &Targets, ask: impl AsyncFn(&Target) -> Result<T, Failure>) -> Answers<T> {
    let asked = targets
        .each
        .iter()
        .enumerate()
        .map(async |(at, target)| (at, ask(target).await.map_err(|failure| target.blamed(failure))));
    let mut all: Vec<(usize, Result<T, Failure>)> =
        futures::stream::iter(asked).buffer_unordered(AT_A_TIME).collect().await;
    all.sort_by_key(|(at, _)| *at);
    let asked = Asked { agents: all.len(), is_list: targets.is_list, hint: targets.hint.clone() };
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for (_, answer) in all {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(failure) => failures.push(failure),
        }
    }
    Answers { answers, failures, asked }
}

pub(super) async fn connect(target: &Target) -> Result<Client, Failure> {
    Ok(StatusServiceClient::new(channel(target, false).await?).max_decoding_message_size(ANSWER))
}

async fn channel(target: &Target, operator: bool) -> Result<Channel, Failure> {
    let unreachable = |message: &str| Failure::new(Exit::Unreachable, message);
    match target {
        Target::Socket(socket) => {
            let socket = if operator { socket_beside(socket) } else { socket.clone() };
            match tokio::time::timeout(DEADLINE, UnixStream::connect(&socket)).await {
                Ok(Ok(stream)) => over(stream).await,
                Ok(Err(error)) => Err(unreachable(&refusal(&error))),
                Err(_) => Err(unreachable("the agent does not take the connection")),
            }
            .map_err(|failure| failure.at(&socket))
        }
        Target::Agent(agent) => match tokio::time::timeout(DEADLINE, Tunnel::open(agent, operator)).await {
            Ok(tunnel) => over(tunnel?).await,
            Err(_) => Err(unreachable("no way to the agent's pod was found in time")),
        },
    }
}

/// A channel over a connection.
async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Channel, Failure> {
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
        Ok(Err(_)) | Err(_) => {
            Err(Failure::new(Exit::Unreachable, "what listens there is not an agent".to_owned()))
        }
    }
}

pub(super) fn refusal(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no agent: the socket does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied: who may, runs this as root".to_owned(),
        ErrorKind::ConnectionRefused => "no agent: nothing listens on the socket".to_owned(),
        _ => format!("agent not reachable: {error}"),
    }
}
