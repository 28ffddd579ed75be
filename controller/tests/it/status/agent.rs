//! An agent as its clients see it: the real server on a real socket, before a
//! loop that answers out of a list of stories.

use std::path::{Path, PathBuf};

use api::v1::status_service_client::StatusServiceClient;
use bgp::prefix::Prefix;
use bgp::view::{Explanation, RouteCursor, RouteFilter, RoutePage, RouteView};
use bgp::view::{KernelView, PathSource};
use controller::status::grpc;
use controller::status::pods::Pods;
use controller::status::query::Query;
use controller::status::snapshot::{Publisher, Snapshot};
use controller::status::socket::Socket;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint, Uri};

/// A running agent; its directory goes with it.
pub(crate) struct Agent {
    directory: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    /// The agent loop's end of the status cell.
    pub(crate) publisher: Publisher,
}

impl Agent {
    /// Starts an agent with this status, which knows these stories.
    pub(crate) fn start(first: Snapshot, stories: Vec<Explanation>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = Socket::bind(&directory.path().join("run/status.sock")).expect("a socket");
        let (publisher, snapshots) = Publisher::new(first, bgp::time::Instant::default());
        let (queries, inbox) = mpsc::channel(4);
        tokio::spawn(answer(inbox, stories));
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let pods = Pods::new(directory.path().join("cni"));
        let serving = grpc::serve(socket, snapshots, queries, pods, shutdown);
        let serving = tokio::spawn(async { serving.await.expect("serving goes on until the end") });
        Self { directory, stop, serving, publisher }
    }

    /// Replaces the status, as the loop does when it is due.
    pub(crate) fn publish(&mut self, snapshot: Snapshot) {
        self.publisher.changed();
        let due = self.publisher.deadline().expect("something changed");
        assert!(self.publisher.publish(|| snapshot, due));
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("run/status.sock")
    }

    pub(crate) async fn channel(&self) -> Channel {
        channel(&self.socket()).await
    }

    pub(crate) async fn client(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.channel().await)
    }

    /// Stops the agent, and returns when its server has ended.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        drop(self.stop);
        self.serving.await.expect("the server does not panic");
        self.directory
    }
}

async fn channel(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
    });
    Endpoint::from_static("http://agent").connect_with_connector(connector).await.expect("the agent answers")
}

/// The loop: one question a turn, in the order of asking.
async fn answer(mut inbox: mpsc::Receiver<Query>, stories: Vec<Explanation>) {
    while let Some(query) = inbox.recv().await {
        match query {
            Query::Routes { filter, cursor, limit, reply } => {
                drop(reply.send(page(&stories, filter, cursor, limit)));
            }
            Query::Route { prefix, reply } => {
                let story = stories.iter().find(|story| story.prefix == prefix);
                drop(reply.send(story.and_then(|story| story.route.clone())));
            }
            Query::Address { address, reply } => {
                let story = stories.iter().find(|story| story.prefix.covers(address)).cloned();
                drop(reply.send(story.unwrap_or(untold(Prefix::host(address)))));
            }
            Query::Service { reply, .. } => drop(reply.send(None)),
            Query::Peer { peer, reply } => drop(reply.send(Some(super::fixture::config(peer)))),
            Query::Explain { prefix, reply } => {
                let story = stories.iter().find(|story| story.prefix == prefix).cloned();
                drop(reply.send(story.unwrap_or(untold(prefix))));
            }
        }
    }
}

fn untold(prefix: Prefix) -> Explanation {
    Explanation { prefix, route: None, next_hops: vec![], withdrawn: vec![], sent: vec![] }
}

fn page(
    stories: &[Explanation],
    filter: RouteFilter,
    cursor: Option<RouteCursor>,
    limit: usize,
) -> RoutePage {
    let from = cursor.map_or(0, |cursor| usize::try_from(cursor.0).expect("a cursor of ours"));
    let passes = |story: &&Explanation| match filter {
        RouteFilter::All => true,
        RouteFilter::Sent(peer) => story.sent.iter().any(|sent| sent.id == peer && sent.sent.is_ok()),
        RouteFilter::Installed => {
            story.route.as_ref().is_some_and(|route| route.kernel == KernelView::Installed)
        }
        RouteFilter::Received(peer) => {
            any_path(story, |path| matches!(path.source, PathSource::Peer { id, .. } if id == peer))
        }
        RouteFilter::Rejected => any_path(story, |path| !path.accepted),
    };
    let passing: Vec<RouteView> =
        stories.iter().filter(passes).filter_map(|story| story.route.clone()).collect();
    let end = passing.len().min(from + limit);
    let next = (end < passing.len()).then_some(RouteCursor(end as u64));
    RoutePage { routes: passing[from.min(end)..end].to_vec(), next }
}

fn any_path(story: &Explanation, is: impl Fn(&bgp::view::PathView) -> bool) -> bool {
    story.route.as_ref().is_some_and(|route| route.paths.iter().any(is))
}
