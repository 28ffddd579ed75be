//! The transport over the loopback interface: fair reading, orderly ends.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bgp::id::ConnId;
use bgp::io::{ConnectFailure, Transport};
use bytes::Bytes;
use controller::transport::{Chunk, Handle, TransportEvent, listener};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

/// Far beyond what anything on loopback takes.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct World {
    runtime: Runtime,
    handle: Handle,
    events: UnboundedReceiver<TransportEvent>,
}

impl World {
    pub(super) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (handle, events) = Handle::new();
        Self { runtime, handle, events }
    }

    /// Listens on free ports; the IPv4 one.
    pub(super) fn listen(&self) -> SocketAddr {
        let _inside = self.runtime.enter();
        let listeners = listener::bind(0).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        self.handle.listen(listeners);
        (Ipv4Addr::LOCALHOST, port).into()
    }

    pub(super) fn apply(&self, effect: Transport) {
        let _inside = self.runtime.enter();
        self.handle.apply(effect);
    }

    #[track_caller]
    pub(super) fn next(&mut self) -> TransportEvent {
        let event = self.runtime.block_on(async { tokio::time::timeout(LIMIT, self.events.recv()).await });
        event.expect("an event in time").expect("the transport is there")
    }

    #[track_caller]
    fn accepted(&mut self) -> ConnId {
        match self.next() {
            TransportEvent::Accepted { conn, .. } => conn,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn chunk(&mut self) -> (ConnId, Chunk) {
        match self.next() {
            TransportEvent::Bytes { conn, chunk } => (conn, chunk),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_connection_that_floods_has_one_chunk_under_way() {
    let mut world = World::new();
    let address = world.listen();
    let mut loud = TcpStream::connect(address).unwrap();
    let flooding = world.accepted();
    let writer = std::thread::spawn(move || {
        let written = loud.write_all(&vec![1; 8 << 20]);
        (loud, written)
    });
    let (conn, held) = world.chunk();
    assert_eq!(conn, flooding);
    assert!(held.len() <= 64 << 10);

    // While that chunk is held nothing more comes of it, and others are heard.
    let mut quiet = TcpStream::connect(address).unwrap();
    let other = world.accepted();
    for round in 0..3 {
        quiet.write_all(&[round]).unwrap();
        let (conn, chunk) = world.chunk();
        assert_eq!((conn, &chunk[..]), (other, &[round][..]));
    }
    let mut total = held.len();
    drop(held);
    while total < 8 << 20 {
        let (conn, chunk) = world.chunk();
        assert!(conn == flooding && chunk.len() <= 64 << 10);
        total += chunk.len();
    }
    let (loud, written) = writer.join().unwrap();
    written.unwrap();
    drop(loud);
    assert!(matches!(world.next(), TransportEvent::Closed { conn, error: None } if conn == flooding));
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_heard_after_them() {
    let mut world = World::new();
    let address = world.listen();
    for round in 0..100_usize {
        let mut peer = TcpStream::connect(address).unwrap();
        // By turns the reader waits already, or finds bytes and end together.
        let waits = round % 2 == 0;
        let known = waits.then(|| world.accepted());
        peer.write_all(&vec![7; 1 + round]).unwrap();
        drop(peer);
        let conn = known.unwrap_or_else(|| world.accepted());
        let mut heard = 0;
        loop {
            match world.next() {
                TransportEvent::Bytes { conn: from, chunk } if from == conn => heard += chunk.len(),
                TransportEvent::Closed { conn: from, error: None } if from == conn => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, 1 + round);
    }
}

#[test]
fn closing_delivers_what_was_written_before() {
    let mut world = World::new();
    let address = world.listen();
    let mut peer = TcpStream::connect(address).unwrap();
    let conn = world.accepted();
    // Bytes that nobody reads would turn the close into a reset.
    peer.write_all(&vec![7; 256 << 10]).unwrap();
    let (_, held) = world.chunk();
    let text: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    world.apply(Transport::Write { conn, bytes: Bytes::from(text.clone()) });
    world.apply(Transport::Close { conn });
    let mut read = Vec::new();
    peer.read_to_end(&mut read).expect("an end, and no reset");
    assert!(read == text, "{} bytes", read.len());
    drop((peer, held));
    let _inside = world.runtime.enter();
    world.runtime.block_on(async { tokio::time::timeout(LIMIT, world.handle.drain()).await.unwrap() });
}

#[test]
fn written_bytes_are_counted_to_the_last() {
    let mut world = World::new();
    let address = world.listen();
    let mut peer = TcpStream::connect(address).unwrap();
    let conn = world.accepted();
    const TOTAL: usize = 3 << 20;
    for _ in 0..48 {
        world.apply(Transport::Write { conn, bytes: Bytes::from(vec![0; TOTAL / 48]) });
    }
    let reader = std::thread::spawn(move || {
        peer.read_exact(&mut vec![0; TOTAL]).unwrap();
        peer
    });
    let mut counted = 0;
    while counted < TOTAL {
        match world.next() {
            TransportEvent::Written { conn: of, tally } if of == conn => counted += tally.take(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counted, TOTAL);
    reader.join().unwrap().shutdown(Shutdown::Both).unwrap();
}

#[test]
fn a_peer_that_does_not_read_costs_a_bounded_queue() {
    let mut world = World::new();
    let address = world.listen();
    let _peer = TcpStream::connect(address).unwrap();
    let conn = world.accepted();
    for _ in 0..64 {
        world.apply(Transport::Write { conn, bytes: Bytes::from(vec![0; 1 << 20]) });
    }
    loop {
        match world.next() {
            TransportEvent::Written { .. } => {}
            TransportEvent::Closed { conn: of, error: Some(error) } => {
                assert!(of == conn && error.contains("does not read"), "{error}");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn connections_are_made_from_the_source_and_failures_are_told() {
    let mut world = World::new();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let remote = server.local_addr().unwrap();
    let source = std::net::IpAddr::from([127, 0, 0, 9]);
    let conn = ConnId::Outbound(1);
    world.apply(Transport::Connect { conn, remote, source: Some(source) });
    assert!(
        matches!(world.next(), TransportEvent::Connected { conn: of, local } if of == conn && local.ip() == source)
    );
    assert_eq!(server.accept().unwrap().1.ip(), source);
    drop(server);

    let mut failures = BTreeMap::new();
    world.apply(Transport::Connect { conn: ConnId::Outbound(2), remote, source: None });
    let foreign = Some(Ipv4Addr::new(192, 0, 2, 1).into());
    world.apply(Transport::Connect { conn: ConnId::Outbound(3), remote, source: foreign });
    while failures.len() < 2 {
        match world.next() {
            TransportEvent::ConnectFailed { conn, failure, error } => {
                failures.insert(conn, (failure, error));
            }
            // The server's end of the first connection went with it.
            TransportEvent::Closed { conn: of, .. } if of == conn => {}
            other => panic!("{other:?}"),
        }
    }
    let (failure, error) = &failures[&ConnId::Outbound(2)];
    assert!(*failure == ConnectFailure::Answered && error.contains("refused"), "{failures:?}");
    let (failure, error) = &failures[&ConnId::Outbound(3)];
    assert!(*failure == ConnectFailure::NoWay && error.contains("source address 192.0.2.1"), "{failures:?}");
}

#[test]
fn a_port_that_is_taken_says_who_may_hold_it() {
    let world = World::new();
    let _inside = world.runtime.enter();
    let holder = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let error = listener::bind(holder.local_addr().unwrap().port()).unwrap_err().to_string();
    assert!(error.contains("is taken: another BGP daemon (BIRD, FRR"), "{error}");
}
