//! The two listening sockets: IPv4, and IPv6 alone (V6ONLY), so that no peer
//! ever has a v4-mapped address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::sockopt;

/// Connections that the kernel completes before they are accepted: every node
/// of a large mesh may connect in the second after a restart.
const BACKLOG: i32 = 4096;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is somebody else's.
    #[error(
        "{address} is taken: another BGP daemon (BIRD, FRR, GoBGP, Calico, MetalLB) or a second agent runs here; \
         `ss -ltnp sport = :{port}` names it", port = address.port()
    )]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// A port below 1024 without the right to it.
    #[error("{address}: permission denied; ports below 1024 need CAP_NET_BIND_SERVICE")]
    Denied {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("listening on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The operating system's words.
        source: io::Error,
    },
}

/// Listens on a port on both families. A machine without IPv6 gets the IPv4
/// socket alone.
///
/// # Errors
/// When one of the sockets cannot be had.
pub fn bind(port: u16) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        let address = SocketAddr::new(address, port);
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if address.is_ipv6() && lacks_family(&error) => {
                tracing::warn!(event = "listener-missing", reason = "no-ipv6", %address, %error);
            }
            Err(error) => return Err(explained(address, error)),
        }
    }
    Ok(listeners)
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn explained(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address },
        io::ErrorKind::PermissionDenied => BindError::Denied { address },
        _ => BindError::Other { address, source },
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the run before may still be closing.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // BGP's messages are small and wait for nothing that follows. What is accepted has it from here.
    socket.set_tcp_nodelay(true)?;
    sockopt::answer_from_anywhere(&socket, address.is_ipv4())?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
