//! The unix socket that StatusService listens on. Every local user may connect,
//! so connections are counted: what one user opens must not take the file
//! descriptors that BGP sessions need.
//!
//! Accepting is cancel-safe: a connection is taken together with its permit.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, UdsConnectInfo};

/// Connections at a time: some people, some scrapers, a script that leaks.
const CONNECTIONS: usize = 64;
/// A pause where accepting fails: the system is short of descriptors or memory,
/// and the connection that waits would be reported again at once.
const SHORTAGE: Duration = Duration::from_millis(250);

/// A listening socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    #[expect(dead_code, reason = "removes the file on drop")]
    file: SocketFile,
}

impl Socket {
    /// Listens on `path`. The directory is made if it is missing (mode 0755),
    /// the socket may be used by everybody (0666: StatusService only reads).
    /// A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// As [`Socket::bind_with`].
    pub fn bind(path: &Path) -> io::Result<Self> {
        Self::bind_with(path, 0o666)
    }

    /// The same with other rights: 0600 for what is its owner's alone. Before they are set, nobody else may use
    /// the socket either.
    ///
    /// # Errors
    /// `AddrInUse` if another program answers there; `AlreadyExists` if the file
    /// is something else than a socket; what the file system says.
    pub fn bind_with(path: &Path, mode: u32) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        clear(path)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        let inode = fs::symlink_metadata(path)?.ino();
        Ok(Self { listener, file: SocketFile { path: path.to_owned(), inode } })
    }

    /// The connections as they come, never more than 64 at a time; never ends.
    pub(super) fn connections(self) -> impl Stream<Item = io::Result<Connection>> {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        futures::stream::unfold((self, permits), |(socket, permits)| async move {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            loop {
                match socket.listener.accept().await {
                    Ok((stream, _)) => return Some((Ok(Connection { stream, permit }), (socket, permits))),
                    Err(error) => {
                        tracing::warn!(event = "status-accept-failed", %error);
                        tokio::time::sleep(SHORTAGE).await;
                    }
                }
            }
        })
    }
}

/// Removes a socket that nobody listens on.
fn clear(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is not a socket is in the way"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another agent answers on this socket")),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The socket's file, removed on drop unless another one has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            // A file that stays behind is cleared by the next agent.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// One connection and its place among the 64.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    #[expect(dead_code, reason = "gives the place back on drop")]
    permit: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = UdsConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
