//! Metrics by HTTP/1.1: one answer a connection, few connections at a time, none that lasts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::text;
use crate::status::snapshot::{ConditionKind, Snapshot, Snapshots};
use crate::status::supervisor::stopped;

/// Connections at a time: some scrapers, and kubelets' probes.
const CONNECTIONS: usize = 16;
/// How long one connection may take, from its first octet to the last of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long until an address that cannot be had is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// A pause where accepting fails: the system is short of descriptors or memory.
const SHORTAGE: Duration = Duration::from_millis(250);

/// Serves on `address` until the other end of `stop` goes. An address that cannot be had is told of, with the address,
/// and tried again.
pub async fn run(
    address: SocketAddr,
    snapshots: Snapshots,
    stop: watch::Receiver<()>,
    told: impl Fn(Option<String>),
) {
    let serving = async {
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => told(Some(format!("{address}: {error}"))),
            }
            tokio::time::sleep(RETRY).await;
        };
        told(None);
        serve(listener, snapshots).await;
    };
    tokio::select! {
        () = serving => {}
        () = stopped(stop) => {}
    }
}

/// Answers whoever connects; never ends.
pub async fn serve(listener: TcpListener, snapshots: Snapshots) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let snapshots = snapshots.clone();
                tokio::spawn(async move {
                    // Who hangs up or is too slow has what was sent so far.
                    let _ = tokio::time::timeout(PATIENCE, connection(stream, &snapshots)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(event = "metrics-accept-failed", %error);
                tokio::time::sleep(SHORTAGE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, snapshots: &Snapshots) -> hyper::Result<()> {
    let answer = |request: Request<hyper::body::Incoming>| {
        let snapshot = Arc::clone(&snapshots.borrow());
        let answer = answer(request.method(), request.uri().path(), snapshot);
        async move { Ok::<_, Infallible>(answer) }
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await
}

/// The answer to one request.
#[must_use]
pub fn answer(method: &Method, path: &str, snapshot: Arc<Snapshot>) -> Response<String> {
    let (status, media, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => match text::page(snapshot) {
            Ok(page) => (StatusCode::OK, text::MEDIA, page),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
        },
        (&Method::GET | &Method::HEAD, "/ready") => ready(&snapshot),
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, PLAIN, "there are /metrics and /ready\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET alone\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// Whether the node may be used, as its condition says.
fn ready(snapshot: &Snapshot) -> (StatusCode, &'static str, String) {
    let ready = snapshot.conditions.iter().find(|condition| condition.kind == ConditionKind::Ready);
    match ready {
        Some(ready) if ready.holds == Some(true) => (StatusCode::OK, PLAIN, "ready\n".to_owned()),
        Some(ready) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{}\n", ready.reason)),
        None => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not-configured\n".to_owned()),
    }
}
