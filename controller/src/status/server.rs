//! A gRPC server on a unix socket: its limits, and how it ends.

use std::time::Duration;

use api::v1;
use tokio::sync::oneshot;
use tonic::service::Routes;

use super::socket::Socket;

/// Calls at a time on one connection.
const STREAMS: u32 = 32;
/// A connection is asked to end after this time, and ended a minute later, so
/// that idle ones do not hold their places for ever.
const CONNECTION_AGE: Duration = Duration::from_secs(600);
/// How long the calls of such a connection may go on.
const CONNECTION_GRACE: Duration = Duration::from_secs(60);
/// A client that hangs is asked for a sign of life after this time of silence, and
/// let go when it gives none: its readers' places are others'.
const SILENCE: Duration = Duration::from_secs(30);
/// How long calls that are open at shutdown may go on; a health watch never ends.
const GRACE: Duration = Duration::from_millis(500);

/// Serves until `shutdown` is done; then open calls end, or are left behind
/// after half a second, and the socket's file goes.
///
/// # Errors
/// When the socket no longer accepts connections.
pub async fn serve(
    socket: Socket,
    routes: Routes,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        shutdown.await;
        // The other end goes only when serving is over anyway.
        let _ = stop.send(());
    };
    let serving = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(SILENCE))
        .max_connection_age(CONNECTION_AGE)
        .max_connection_age_grace(CONNECTION_GRACE)
        .add_routes(routes)
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

/// What reflection shows.
#[must_use]
pub fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that a client can read the ErrorInfo of an error, too.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors are not what reflection can show.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The socket failed.
    #[error("socket: {0}")]
    Transport(#[from] tonic::transport::Error),
}
