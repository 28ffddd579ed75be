//! StatusService, health and reflection on a unix socket.
//!
//! Owns nothing of the agent: it reads the newest snapshot, and asks the agent
//! loop for routes with a deadline on each answer. A client that is slow, gone
//! or greedy holds up itself alone.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use api::v1;
use api::v1::list_routes_request::Filter;
use api::v1::status_service_server::{StatusService, StatusServiceServer};
use bgp::id::PeerId;
use bgp::prefix::Prefix;
use bgp::view::{PeerView, RouteFilter, RoutePage};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use super::error::Fault;
use super::query::Query;
use super::questions::{DEADLINE, Questions};
use super::snapshot::{Snapshot, Snapshots};
use super::socket::Socket;
use super::{convert, nearest, page};

/// Calls at a time on one connection.
const STREAMS: u32 = 32;
/// A connection is asked to end after this time, and ended a minute later, so
/// that idle ones do not hold their places for ever.
const CONNECTION_AGE: Duration = Duration::from_secs(600);
/// How long the calls of such a connection may go on.
const CONNECTION_GRACE: Duration = Duration::from_secs(60);
/// How long calls that are open at shutdown may go on; a health watch never ends.
const GRACE: Duration = Duration::from_millis(500);

/// Serves until `shutdown` is done; then open calls end, or are left behind
/// after half a second, and the socket's file goes.
///
/// # Errors
/// When the socket no longer accepts connections.
pub async fn serve(
    socket: Socket,
    snapshots: Snapshots,
    queries: mpsc::Sender<Query>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let questions = Questions::new(queries, DEADLINE);
    let service = StatusServiceServer::new(Service { snapshots, questions });
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<StatusServiceServer<Service>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that a client can read the ErrorInfo of an error, too.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        shutdown.await;
        // The other end goes only when serving is over anyway.
        let _ = stop.send(());
    };
    let serving = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS)
        .max_connection_age(CONNECTION_AGE)
        .max_connection_age_grace(CONNECTION_GRACE)
        .add_service(service)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .serve_with_incoming_shutdown(socket.connections(), shutdown);
    let overdue = async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = overdue => Ok(()),
    }
}

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors are not what reflection can show.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The socket failed.
    #[error("status socket: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// The service: two ways to the agent loop and nothing of its own.
struct Service {
    snapshots: Snapshots,
    questions: Questions,
}

impl Service {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// The routes that one prefix has, as a page of at most one.
    async fn exactly(&self, prefix: Prefix, filter: RouteFilter) -> Result<RoutePage, Status> {
        let route = match filter {
            RouteFilter::Sent(peer) => {
                let story = self.questions.ask(|reply| Query::Explain { prefix, reply }).await?;
                let sent = story.sent.iter().any(|sent| sent.id == peer && sent.sent.is_ok());
                story.route.filter(|_| sent)
            }
            _ => self.questions.ask(|reply| Query::Route { prefix, reply }).await?,
        };
        Ok(RoutePage { routes: route.into_iter().collect(), next: None })
    }
}

#[tonic::async_trait]
impl StatusService for Service {
    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let snapshot = self.snapshot();
        let status = convert::node(&snapshot, &snapshot.clock.moment());
        Ok(Response::new(v1::GetStatusResponse { status: Some(status) }))
    }

    async fn list_peers(
        &self,
        _: Request<v1::ListPeersRequest>,
    ) -> Result<Response<v1::ListPeersResponse>, Status> {
        let snapshot = self.snapshot();
        let moment = snapshot.clock.moment();
        Ok(Response::new(v1::ListPeersResponse {
            node: snapshot.node.clone(),
            revision: snapshot.revision,
            peers: snapshot.peers.iter().map(|peer| convert::peer(peer, &moment)).collect(),
        }))
    }

    async fn list_routes(
        &self,
        request: Request<v1::ListRoutesRequest>,
    ) -> Result<Response<v1::ListRoutesResponse>, Status> {
        let request = request.into_inner();
        let snapshot = self.snapshot();
        let started_at = snapshot.clock.moment().started_at;
        let filter = filter(request.filter, &snapshot)?;
        let cursor = page::cursor(&request.page_token, filter, started_at).map_err(|()| {
            Fault::InvalidPageToken
                .status("the page token belongs to another filter or to another run of the agent")
        })?;
        let page = match request.prefix {
            Some(text) => self.exactly(prefix(&text)?, filter).await?,
            None => {
                let limit = page::size(request.page_size);
                self.questions.ask(|reply| Query::Routes { filter, cursor, limit, reply }).await?
            }
        };
        let next_page_token = page::token(page.next, filter, started_at);
        let routes = convert::page(page, filter);
        Ok(Response::new(v1::ListRoutesResponse { node: snapshot.node.clone(), routes, next_page_token }))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let Some(v1::explain_request::Subject::Prefix(text)) = request.into_inner().subject else {
            return Err(Fault::MissingSubject.status("the request names nothing to explain"));
        };
        let prefix = prefix(&text)?;
        let story = self.questions.ask(|reply| Query::Explain { prefix, reply }).await?;
        Ok(Response::new(convert::explanation(&story, &self.snapshot().node)))
    }
}

fn prefix(text: &str) -> Result<Prefix, Status> {
    text.parse()
        .map_err(|error: bgp::prefix::ParsePrefixError| Fault::InvalidPrefix.status(error.to_string()))
}

fn filter(filter: Option<Filter>, snapshot: &Snapshot) -> Result<RouteFilter, Status> {
    Ok(match filter {
        None => RouteFilter::All,
        Some(Filter::Received(of)) => RouteFilter::Received(peer(&of.peer, snapshot)?),
        Some(Filter::Rejected(_)) => RouteFilter::Rejected,
        Some(Filter::Sent(of)) => RouteFilter::Sent(peer(&of.peer, snapshot)?),
        Some(Filter::Installed(_)) => RouteFilter::Installed,
    })
}

/// The peer with this address, else the only one with this name.
fn peer(text: &str, snapshot: &Snapshot) -> Result<PeerId, Status> {
    let address = text.parse().ok();
    if let Some(peer) = snapshot.peers.iter().find(|peer| Some(peer.address) == address) {
        return Ok(peer.id);
    }
    let named: Vec<&PeerView> = snapshot.peers.iter().filter(|peer| peer.name == text).collect();
    match named.as_slice() {
        [peer] => Ok(peer.id),
        [] => {
            let words = snapshot.peers.iter().map(|peer| peer.name.clone());
            let words = words.chain(snapshot.peers.iter().map(|peer| peer.address.to_string()));
            let nearest = nearest::words(text, words).join(", ");
            let mut message = format!("no peer `{text}` on {}", snapshot.node);
            if !nearest.is_empty() {
                // Writing to a String does not fail.
                let _ = write!(message, "; nearest: {nearest}");
            }
            Err(Fault::UnknownPeer.status_with(message, [("nearest", nearest)]))
        }
        several => {
            let addresses: Vec<String> = several.iter().map(|peer| peer.address.to_string()).collect();
            let addresses = addresses.join(", ");
            let message = format!("several peers are called `{text}`, name one by its address: {addresses}");
            Err(Fault::AmbiguousPeer.status_with(message, [("addresses", addresses)]))
        }
    }
}
