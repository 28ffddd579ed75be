//! The socket's file: modes, stale ones, those of others.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use controller::status::socket::Socket;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[tokio::test]
async fn directory_and_socket_are_open_to_readers() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("run/underlay/status.sock");
    let socket = Socket::bind(&path).expect("a socket");
    assert_eq!(mode(&path), 0o666);
    assert_eq!(mode(path.parent().expect("a directory")) & 0o755, 0o755);
    drop(socket);
    assert!(!path.exists(), "the file goes with the socket");
}

#[tokio::test]
async fn socket_of_a_dead_agent_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("status.sock");
    // A standard listener leaves its file behind, as a killed agent does.
    drop(UnixListener::bind(&path).expect("a socket"));
    assert_eq!(UnixStream::connect(&path).expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
    let _socket = Socket::bind(&path).expect("a stale socket is no obstacle");
    UnixStream::connect(&path).expect("somebody listens");
}

#[tokio::test]
async fn socket_of_a_living_agent_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("status.sock");
    let _first = Socket::bind(&path).expect("a socket");
    let error = Socket::bind(&path).expect_err("it is taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    UnixStream::connect(&path).expect("the first still listens");
}

#[tokio::test]
async fn file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("status.sock");
    std::fs::write(&path, "precious").expect("a file");
    assert_eq!(Socket::bind(&path).expect_err("it is taken").kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "precious");
}

#[tokio::test]
async fn successor_keeps_its_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("status.sock");
    let first = Socket::bind(&path).expect("a socket");
    std::fs::rename(&path, directory.path().join("moved")).expect("the file moves");
    let _second = Socket::bind(&path).expect("the place is free");
    drop(first);
    UnixStream::connect(&path).expect("the second still listens");
}
