//! The agent loop's end of the transport: effects go in, and the tasks of all
//! connections are kept by their number.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bgp::id::ConnId;
use bgp::io::Transport;
use bgp::zone;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use super::connector;
use super::event::TransportEvent;
use super::neighbours::{Book, Neighbours, Terms, terms};
use super::pool::Pool;
use super::sockopt;
use super::stream::{Command, Ended, Stream};

/// Accepted connections at a time, strangers' included: the speaker closes
/// those at once, and more wait in the backlog.
const ACCEPTED: usize = 4096;

/// How long a listener rests after it could not accept: descriptors come back
/// when connections end, and not sooner for being asked.
const REST: Duration = Duration::from_millis(100);

/// The transport; clones share it. Made and used within a tokio runtime.
#[derive(Clone, Debug)]
pub struct Handle {
    streams: Streams,
    pool: Pool,
    book: Book,
    events: mpsc::UnboundedSender<TransportEvent>,
}

impl Handle {
    /// A transport without connections, and where its events come out.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<TransportEvent>) {
        let (events, inbox) = mpsc::unbounded_channel();
        (Self { streams: Streams::default(), pool: Pool::default(), book: Book::default(), events }, inbox)
    }

    /// Accepts connections from listeners.
    pub fn listen(&self, listeners: Vec<TcpListener>) {
        let places = Arc::new(Semaphore::new(ACCEPTED));
        let numbers = Arc::new(AtomicU64::new(0));
        let listeners: Vec<Arc<TcpListener>> = listeners.into_iter().map(Arc::new).collect();
        self.trouble(self.book.listen(&listeners));
        for listener in listeners {
            tokio::spawn(self.clone().accept(listener, Arc::clone(&places), Arc::clone(&numbers)));
        }
    }

    /// Makes these the terms of connections with peers. A connection whose peer
    /// had a key (RFC 2385) goes on with the new one; what was opened without one,
    /// or loses its key, is the speaker's to end.
    pub fn neighbours(&self, wanted: &Neighbours) {
        let (before, troubles) = self.book.replace(wanted.clone());
        self.streams.renew(&before, wanted);
        self.trouble(troubles);
    }

    fn trouble(&self, troubles: Vec<String>) {
        for trouble in troubles {
            self.tell(TransportEvent::Trouble(trouble));
        }
    }

    /// Carries out an effect. A connection that has ended meanwhile takes no notice.
    pub fn apply(&self, effect: Transport) {
        match effect {
            Transport::Connect { conn, remote, source } => {
                let commands = self.streams.insert(conn, zone::of_socket(remote));
                let (events, pool, book) = (self.events.clone(), self.pool.clone(), self.book.clone());
                self.spawn(conn, connector::run(conn, remote, source, commands, events, pool, book));
            }
            Transport::Write { conn, bytes } => self.streams.send(conn, Command::Write(bytes)),
            Transport::Close { conn } => self.streams.send(conn, Command::Close),
        }
    }

    /// Closes what is open, and waits until every connection has ended. Each
    /// lingers for two seconds at most.
    pub async fn drain(&self) {
        let mut ended = self.streams.ended.subscribe();
        self.streams.close_all();
        // The sender is in `self`, so that waiting cannot fail.
        let _ = ended.wait_for(|_| self.streams.is_empty()).await;
    }

    async fn accept(self, listener: Arc<TcpListener>, places: Arc<Semaphore>, numbers: Arc<AtomicU64>) {
        let mut troubled = false;
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = listener.accept().await.and_then(|(tcp, remote)| {
                let local = tcp.local_addr()?;
                Ok((tcp, local, remote))
            });
            let (tcp, local, remote) = match accepted {
                Ok(accepted) => accepted,
                // Some errors are the connection's own (accept(2)); the rest comes with a pause.
                Err(error) => {
                    if !std::mem::replace(&mut troubled, true) {
                        self.tell(TransportEvent::Trouble(format!("accepting a connection: {error}")));
                    }
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            troubled = false;
            let peer = zone::of_socket(remote);
            if !self.book.admits(peer) {
                continue;
            }
            // Deviation: RFC 5082 §3 drops all of a peer's segments that come from too far away. The listener is
            // everybody's, so that the handshake and what follows it until here is taken from anywhere.
            // A stranger, and anybody before the peers are known, keeps the listener's greatest TTL: who demands that
            // does not hear the end of the connection else, and waits for it.
            if let Some(Terms { hops, .. }) = self.book.of(peer)
                && let Err(error) = sockopt::set_hops_accepted(&tcp, remote.is_ipv4(), hops)
            {
                self.tell(TransportEvent::Trouble(format!(
                    "TTL of a connection of {}: {error}",
                    zone::shown(peer, |_| None)
                )));
                continue;
            }
            let conn = ConnId::Inbound(numbers.fetch_add(1, Ordering::Relaxed));
            let commands = self.streams.insert(conn, peer);
            // Said before the task can say anything of the connection.
            self.tell(TransportEvent::Accepted { conn, local, remote });
            let (events, pool) = (self.events.clone(), self.pool.clone());
            let stream = Stream { conn, tcp, pool, events, commands };
            self.spawn(conn, async move {
                let _place = place;
                stream.serve().await
            });
        }
    }

    fn spawn(&self, conn: ConnId, serve: impl Future<Output = Ended> + Send + 'static) {
        let this = self.clone();
        tokio::spawn(async move {
            let Ended { event, socket } = serve.await;
            // First gone, then said: the loop may use what it hears at once.
            this.streams.remove(conn);
            if let Some(event) = event {
                this.tell(event);
            }
            // Closed last: who connects again at once is heard after this end, and is no collision with it.
            drop(socket);
        });
    }

    fn tell(&self, event: TransportEvent) {
        // The loop's end goes at shutdown, when nobody listens any more.
        let _ = self.events.send(event);
    }
}

/// The way to the task of a connection, and whose connection it is.
#[derive(Debug)]
struct Task {
    peer: IpAddr,
    commands: mpsc::UnboundedSender<Command>,
}

/// The ways to the tasks of all connections. Locked for a look-up only.
#[derive(Clone, Debug)]
struct Streams {
    tasks: Arc<Mutex<HashMap<ConnId, Task>>>,
    ended: tokio::sync::watch::Sender<()>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { tasks: Arc::default(), ended: tokio::sync::watch::Sender::new(()) }
    }
}

impl Streams {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ConnId, Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, conn: ConnId, peer: IpAddr) -> mpsc::UnboundedReceiver<Command> {
        let (commands, inbox) = mpsc::unbounded_channel();
        self.lock().insert(conn, Task { peer, commands });
        inbox
    }

    fn send(&self, conn: ConnId, command: Command) {
        if let Some(Task { commands, .. }) = self.lock().get(&conn) {
            // A task that ends at this moment takes no notice.
            let _ = commands.send(command);
        }
    }

    /// Has the connections whose terms have changed go on on the new ones.
    fn renew(&self, before: &Neighbours, wanted: &Neighbours) {
        let of = |neighbours, peer| terms(neighbours, peer).map(|(_, terms)| terms.clone());
        for Task { peer, commands } in self.lock().values() {
            let (Some(before), Some(wanted)) = (of(before, *peer), of(wanted, *peer)) else { continue };
            if before != wanted {
                let password = wanted.password.filter(|_| before.password.is_some());
                // A task that ends at this moment takes no notice.
                let _ = commands.send(Command::Terms(Terms { password, ..wanted }));
            }
        }
    }

    fn close_all(&self) {
        for Task { commands, .. } in self.lock().values() {
            let _ = commands.send(Command::Close);
        }
    }

    fn remove(&self, conn: ConnId) {
        self.lock().remove(&conn);
        self.ended.send_replace(());
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}
