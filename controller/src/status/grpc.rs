//! StatusService, health and reflection on a unix socket.
//!
//! Owns nothing of the agent: it reads the newest snapshot, and asks the agent
//! loop for routes with a deadline on each answer. A client that is slow, gone
//! or greedy holds up itself alone.

use std::net::IpAddr;
use std::sync::Arc;

use api::v1;
use api::v1::explain_request::Subject;
use api::v1::list_routes_request::Filter;
use api::v1::status_service_server::{StatusService, StatusServiceServer};
use bgp::prefix::Prefix;
use bgp::view::{PeerView, RouteFilter, RoutePage};
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, mpsc};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::error::Fault;
use super::pods::Pods;
use super::query::Query;
use super::questions::{DEADLINE, Questions};
use super::reader::Reader;
use super::server::{self, ServeError};
use super::snapshot::{Snapshot, Snapshots};
use super::socket::Socket;
use super::{convert, events, object, page, peer};
use crate::discovery;

/// Readers of Watch at a time over all connections: each may hold a status of
/// its own while its client is slow.
const READERS: usize = 64;
/// Serves until `shutdown` is done; then open calls end, or are left behind
/// after half a second, and the socket's file goes.
///
/// # Errors
/// When the socket no longer accepts connections.
pub async fn serve(
    socket: Socket,
    snapshots: Snapshots,
    queries: mpsc::Sender<Query>,
    pods: Pods,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let questions = Questions::new(queries, DEADLINE);
    let readers = Arc::new(Semaphore::new(READERS));
    let service = StatusServiceServer::new(Service { snapshots, questions, pods, readers });
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<StatusServiceServer<Service>>().await;
    let routes = Routes::new(service)
        .add_service(health_service)
        .add_service(server::reflection().build_v1()?)
        .add_service(server::reflection().build_v1alpha()?);
    server::serve(socket, routes, shutdown).await
}

/// The service: two ways to the agent loop and nothing of its own.
struct Service {
    snapshots: Snapshots,
    questions: Questions,
    pods: Pods,
    readers: Arc<Semaphore>,
}

impl Service {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// The story of a peer.
    async fn of_peer(&self, peer: &PeerView, snapshot: &Snapshot) -> Result<v1::ExplainResponse, Status> {
        let id = peer.id;
        let config = self.questions.ask(|reply| Query::Peer { peer: id, reply }).await?;
        // It may have gone from the configuration since the snapshot.
        let config = config.ok_or_else(|| peer::unknown(&peer.name, snapshot))?;
        Ok(convert::peer_explanation(peer, &config, &snapshot.node, &snapshot.clock.moment()))
    }

    /// The story of the peer that has an address, else of the prefix that covers it.
    async fn of_address(&self, address: IpAddr, snapshot: &Snapshot) -> Result<v1::ExplainResponse, Status> {
        if let Some(peer) = snapshot.peers.iter().find(|peer| peer.address == address) {
            return self.of_peer(peer, snapshot).await;
        }
        let story = self.questions.ask(|reply| Query::Address { address, reply }).await?;
        Ok(object::name(convert::address_explanation(address, &story, &snapshot.withheld, &snapshot.node))
            .await)
    }

    /// The story of a pod of this node.
    async fn of_pod(&self, pod: String, snapshot: &Snapshot) -> Result<v1::ExplainResponse, Status> {
        let (pods, name, node) = (self.pods.clone(), pod.clone(), snapshot.node.clone());
        let found = tokio::task::spawn_blocking(move || pods.find(&name, &node)).await;
        let found = found.map_err(|error| Fault::UnknownPod.status(error.to_string()))??;
        let mut addresses = Vec::new();
        for held in found {
            let address = held.address;
            let story = self.questions.ask(|reply| Query::Address { address, reply }).await?;
            addresses.push((held, story));
        }
        Ok(convert::pod_explanation(&pod, &addresses, &snapshot.node))
    }

    /// The story of a Service.
    async fn of_service(&self, service: String, snapshot: &Snapshot) -> Result<v1::ExplainResponse, Status> {
        let name = service.clone();
        let story = self.questions.ask(|reply| Query::Service { name, reply }).await?;
        let story = story.ok_or_else(|| {
            Fault::UnknownService.status(format!(
                "no Service `{service}` is known on {}, which follows Services where a Fabric advertises some",
                snapshot.node
            ))
        })?;
        let mut told = Vec::new();
        for (_, _, served) in &story.addresses {
            told.push(match served.as_ref().map(|served| served.prefix) {
                Some(prefix) => Some(self.questions.ask(|reply| Query::Explain { prefix, reply }).await?),
                None => None,
            });
        }
        Ok(convert::service_explanation(&service, &story, &told, &snapshot.node))
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
        let Some(subject) = request.into_inner().subject else {
            return Err(Fault::MissingSubject.status("the request names nothing to explain"));
        };
        let snapshot = self.snapshot();
        let story = match subject {
            Subject::Prefix(text) => {
                let prefix = prefix(&text)?;
                let story = self.questions.ask(|reply| Query::Explain { prefix, reply }).await?;
                object::name(convert::explanation(&story, &snapshot.withheld, &snapshot.node)).await
            }
            Subject::Peer(text) => self.of_peer(peer::find(&text, &snapshot)?, &snapshot).await?,
            Subject::Address(text) => self.of_address(address(&text)?, &snapshot).await?,
            Subject::Pod(text) => match text.parse() {
                Ok(address) => self.of_address(address, &snapshot).await?,
                Err(_) => self.of_pod(text, &snapshot).await?,
            },
            Subject::Service(text) => self.of_service(text, &snapshot).await?,
        };
        Ok(Response::new(story))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let events = events::list(&request.into_inner(), &self.snapshot())?;
        Ok(Response::new(events))
    }

    type WatchStream = BoxStream<'static, Result<v1::WatchResponse, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let place = Arc::clone(&self.readers).try_acquire_owned();
        let place = place.map_err(|_| {
            let message = format!("{READERS} readers watch already, and there is no room for more");
            Fault::TooManyReaders.status(message)
        })?;
        let reader = Reader::new(&request.into_inner(), self.snapshots.clone(), place);
        Ok(Response::new(Box::pin(reader.answers())))
    }
}

fn address(text: &str) -> Result<IpAddr, Status> {
    let address = discovery::parse(text).map(|address| address.to_canonical());
    address.ok_or_else(|| Fault::InvalidAddress.status(format!("`{text}` is not an IP address")))
}

fn prefix(text: &str) -> Result<Prefix, Status> {
    text.parse()
        .map_err(|error: bgp::prefix::ParsePrefixError| Fault::InvalidPrefix.status(error.to_string()))
}

fn filter(filter: Option<Filter>, snapshot: &Snapshot) -> Result<RouteFilter, Status> {
    Ok(match filter {
        None => RouteFilter::All,
        Some(Filter::Received(of)) => RouteFilter::Received(peer::find(&of.peer, snapshot)?.id),
        Some(Filter::Rejected(_)) => RouteFilter::Rejected,
        Some(Filter::Sent(of)) => RouteFilter::Sent(peer::find(&of.peer, snapshot)?.id),
        Some(Filter::Installed(_)) => RouteFilter::Installed,
    })
}
