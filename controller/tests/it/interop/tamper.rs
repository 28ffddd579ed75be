//! A relay between the agent and its peer that can spoil a message, or keep one of them from hearing anything.
//!
//! Real daemons never send what is malformed; here they do. The relay is the other end of either's TCP connection, so
//! its namespace lies between the two and is the neighbour of both.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use labs::Netns;
use labs::namespace::in_network;

/// The marker of every message (RFC 4271 §4.1).
const MARKER: [u8; 16] = [0xff; 16];

/// Who reads what is spoiled or kept back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Agent,
    Peer,
}

/// What is done to the messages.
#[derive(Clone, Copy)]
enum Order {
    Pass,
    /// In the next one the octet at this offset becomes this value; then they pass.
    Spoil(Reader, usize, u8),
    /// They go nowhere.
    Keep(Reader),
}

/// A relay; it works until the sandbox ends.
pub(super) struct Relay {
    order: Arc<Mutex<Order>>,
}

impl Relay {
    /// Accepts the agent's connections at `here` in `namespace` and passes on what comes to `peer` and back.
    pub(super) fn start(namespace: &Netns, here: SocketAddr, peer: SocketAddr) -> Self {
        let listener = namespace.enter(|| TcpListener::bind(here)).unwrap();
        let order = Arc::new(Mutex::new(Order::Pass));
        let (orders, path) = (Arc::clone(&order), namespace.path());
        thread::spawn(move || {
            for agent in listener.incoming() {
                let agent = agent.unwrap();
                // A peer that refuses for a moment is one that closes at once.
                if let Ok(peer) = in_network(&path, || TcpStream::connect(peer)) {
                    relay(&agent, &peer, &orders);
                }
            }
        });
        Self { order }
    }

    /// Spoils the next message that goes to `reader`.
    pub(super) fn spoil(&self, reader: Reader, offset: usize, value: u8) {
        self.set(Order::Spoil(reader, offset, value));
    }

    /// Keeps everything from `reader` until [`Relay::pass`].
    pub(super) fn keep(&self, reader: Reader) {
        self.set(Order::Keep(reader));
    }

    /// Lets everything pass.
    pub(super) fn pass(&self) {
        self.set(Order::Pass);
    }

    fn set(&self, order: Order) {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = order;
    }
}

fn relay(agent: &TcpStream, peer: &TcpStream, orders: &Arc<Mutex<Order>>) {
    for (from, to, reader) in [(agent, peer, Reader::Peer), (peer, agent, Reader::Agent)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let orders = Arc::clone(orders);
        thread::spawn(move || pump(from, to, reader, &orders));
    }
}

/// Passes on until one of the ends is gone, and then closes the other.
fn pump(mut from: TcpStream, mut to: TcpStream, reader: Reader, orders: &Mutex<Order>) {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let chunk = &mut buffer[..count];
        let mut order = orders.lock().unwrap_or_else(PoisonError::into_inner);
        match *order {
            Order::Spoil(who, offset, value) if who == reader && chunk.starts_with(&MARKER) => {
                chunk[offset] = value;
                *order = Order::Pass;
            }
            Order::Keep(who) if who == reader => continue,
            _ => {}
        }
        drop(order);
        if to.write_all(chunk).is_err() {
            break;
        }
    }
    // The end that is gone needs no word.
    let _ = to.shutdown(Shutdown::Write);
}
