//! A task an attempt to connect, which becomes the connection's task.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bgp::io::ConnectFailure;
use bgp::prefix::Prefix;
use bgp::zone;
use tokio::net::{TcpSocket, TcpStream};

use super::event::{TransportEvent, words};
use super::neighbours::{Book, Terms};
use super::sockopt;
use super::stream::{Command, Ended, Stream};

/// An attempt is given up after this time; the speaker's own timer is shorter
/// in most configurations.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Opens a connection from `source` if that is given.
async fn open(remote: SocketAddr, source: Option<IpAddr>, book: &Book) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let Terms { password, hops } = book.of(zone::of_socket(remote)).unwrap_or_default();
    if let Some(key) = password {
        let signed = sockopt::set_md5(&socket, Prefix::host(zone::of_socket(remote)), Some(&key));
        signed.map_err(|error| io::Error::new(error.kind(), format!("TCP MD5 key: {error}")))?;
    }
    let limited = sockopt::set_hops(&socket, remote.is_ipv4(), hops);
    limited.map_err(|error| io::Error::new(error.kind(), format!("TTL: {error}")))?;
    // BGP's messages are small and wait for nothing that follows.
    socket.set_nodelay(true)?;
    if let Some(source) = source {
        let bound = socket.bind(SocketAddr::new(source, 0));
        bound.map_err(|error| io::Error::new(error.kind(), format!("source address {source}: {error}")))?;
    }
    match tokio::time::timeout(TIMEOUT, socket.connect(remote)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "timed out")),
    }
}

/// Whether anybody was asked.
fn failure(error: &io::Error) -> ConnectFailure {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable};
    match error.kind() {
        AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable => ConnectFailure::NoWay,
        _ => ConnectFailure::Answered,
    }
}

/// Connects and serves; `make` puts the connection's parts together. Ends early
/// when the connection is closed before it is up. Returns what is to be reported
/// at the end.
pub(super) async fn run(
    conn: bgp::id::ConnId,
    remote: SocketAddr,
    source: Option<IpAddr>,
    mut commands: tokio::sync::mpsc::UnboundedReceiver<Command>,
    events: tokio::sync::mpsc::UnboundedSender<TransportEvent>,
    pool: super::pool::Pool,
    book: Book,
) -> Ended {
    let opened = {
        let open = open(remote, source, &book);
        tokio::pin!(open);
        loop {
            tokio::select! {
                opened = &mut open => break opened,
                command = commands.recv() => match command {
                    // Nothing is written before the connection is up.
                    Some(Command::Write(_)) => {}
                    // An attempt on the terms before is in vain, and the next one is on the new ones.
                    Some(Command::Terms(_)) => {}
                    Some(Command::Close) | None => return Ended { event: None, socket: None },
                },
            }
        }
    };
    let up = opened.and_then(|tcp| tcp.local_addr().map(|local| (tcp, local)));
    match up {
        Ok((tcp, local)) => {
            // The loop's end goes at shutdown, when nobody listens any more.
            let _ = events.send(TransportEvent::Connected { conn, local });
            Stream { conn, tcp, pool, events, commands }.serve().await
        }
        Err(error) => {
            let event =
                TransportEvent::ConnectFailed { conn, failure: failure(&error), error: words(&error) };
            Ended { event: Some(event), socket: None }
        }
    }
}
