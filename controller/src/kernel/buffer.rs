//! The buffers of a netlink socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockRef;

/// Makes the receive buffer hold `bytes`, beyond the machine's limit where the process may do that (it takes
/// `NET_ADMIN`), else up to it.
///
/// # Errors
/// Those of the kernel.
pub(super) fn resize(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    if force(socket, libc::SO_RCVBUFFORCE, bytes).is_ok() {
        return Ok(());
    }
    SockRef::from(socket).set_recv_buffer_size(bytes)
}

/// The same for what is sent: a message that does not fit is refused.
///
/// # Errors
/// Those of the kernel.
pub(super) fn resize_sending(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    if force(socket, libc::SO_SNDBUFFORCE, bytes).is_ok() {
        return Ok(());
    }
    SockRef::from(socket).set_send_buffer_size(bytes)
}

#[allow(unsafe_code)]
fn force(socket: &impl AsFd, option: libc::c_int, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: the descriptor is borrowed for the call, and the value is an int whose address and size are given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
