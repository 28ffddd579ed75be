//! The thread: it owns every session, receives, sends, and tells the loop what changed.
//!
//! A packet is nobody's unless it comes from a watched peer, at the distance that the peer has. What a peer sends
//! too fast for us is dropped before it takes more than its place in a short queue; and of a session that changes
//! faster than the loop listens the loop hears how it is, and not each step on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::thread::JoinHandle;

use bgp::bfd::{Packet, Session, View};
use bgp::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::socket;
use super::watch::{Distance, News, Watch, Watched};

/// Packets that wait for the thread: some milliseconds' of a thousand peers.
const QUEUE: usize = 1024;

/// No control packet is longer, authentication included.
const LONGEST: usize = 64;

/// News that wait for the loop; what changes meanwhile waits here.
const NEWS: usize = 64;

/// How often a last word is said: there is no time to wait for an answer.
const LAST_WORDS: usize = 3;

/// The loop's end.
#[derive(Debug)]
pub struct Handle {
    /// What to watch; dropped when the thread is to end.
    wanted: Option<mpsc::UnboundedSender<Watch>>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Watches these peers and nobody else; those that stay keep their sessions.
    pub fn watch(&self, watch: Watch) {
        if let Some(wanted) = &self.wanted {
            // A thread that is gone has told why.
            let _ = wanted.send(watch);
        }
    }

    /// Takes all sessions down on purpose, says so to the peers, and ends the thread (RFC 5880 §6.8.16).
    pub fn join(mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts the thread in the network namespace of the calling one. `origin` is when the loop's
/// time begins; what comes back tells what changes.
///
/// # Errors
/// If there is no thread or no runtime to be had.
pub fn spawn(origin: std::time::Instant, seed: u64) -> io::Result<(Handle, mpsc::Receiver<News>)> {
    let (news, heard) = mpsc::channel(NEWS);
    let (wanted, orders) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let driver = Driver {
        clock: Clock(origin),
        news,
        sessions: BTreeMap::new(),
        due: BTreeSet::new(),
        untold: BTreeSet::new(),
        troubles: Vec::new(),
        receivers: BTreeSet::new(),
        seed,
        drawn: seed as u32,
    };
    let body = move || runtime.block_on(driver.run(orders));
    let thread = std::thread::Builder::new().name("bfd".into()).spawn(body)?;
    Ok((Handle { wanted: Some(wanted), thread: Some(thread) }, heard))
}

/// A packet as it came.
struct Arrival {
    from: IpAddr,
    distance: Distance,
    octets: Vec<u8>,
}

/// One peer's session.
struct Watching {
    watched: Watched,
    session: Session,
    socket: UdpSocket,
    /// Where it stands in `due`.
    due: Option<Instant>,
    /// As it was when it last changed.
    seen: Option<View>,
}

struct Driver {
    clock: Clock,
    news: mpsc::Sender<News>,
    sessions: BTreeMap<IpAddr, Watching>,
    due: BTreeSet<(Instant, IpAddr)>,
    /// Peers whose sessions changed since that was told, those without one any more among them.
    untold: BTreeSet<IpAddr>,
    troubles: Vec<String>,
    /// The sockets that are open, by distance and whether IPv4.
    receivers: BTreeSet<(Distance, bool)>,
    seed: u64,
    drawn: u32,
}

impl Driver {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Watch>) {
        let (arrived, mut arrivals) = mpsc::channel(QUEUE);
        let news = self.news.clone();
        loop {
            let next = self.due.first().map(|(at, _)| *at);
            let some = !self.untold.is_empty() || !self.troubles.is_empty();
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(watch) => self.watch(watch, &arrived),
                    None => break,
                },
                () = until(next, self.clock), if next.is_some() => {
                    // However late this thread is: what has come is heard before anybody is said to be silent.
                    tokio::task::yield_now().await;
                    while let Ok(arrival) = arrivals.try_recv() {
                        self.receive(&arrival);
                    }
                    self.expire();
                }
                // Nobody listens while the agent ends.
                Ok(room) = news.reserve(), if some => if let Some(told) = self.next_news() { room.send(told) },
                Some(arrival) = arrivals.recv() => self.receive(&arrival),
            }
        }
        let peers: Vec<IpAddr> = self.sessions.keys().copied().collect();
        for peer in peers {
            self.leave(peer);
        }
    }

    fn watch(&mut self, watch: Watch, arrived: &mpsc::Sender<Arrival>) {
        let now = self.clock.now();
        let gone: Vec<IpAddr> = self
            .sessions
            .iter()
            .filter(|(peer, held)| {
                let same = |wanted: &Watched| {
                    (wanted.distance, wanted.source) == (held.watched.distance, held.watched.source)
                };
                !watch.get(*peer).is_some_and(same)
            })
            .map(|(peer, _)| *peer)
            .collect();
        gone.into_iter().for_each(|peer| self.leave(peer));
        for (peer, watched) in watch {
            if let Some(held) = self.sessions.get_mut(&peer) {
                held.watched = watched;
                held.session.reconfigure(watched.config, now);
                self.settle(peer, Vec::new());
                continue;
            }
            let opened = self.open(watched.distance, peer.is_ipv4(), arrived);
            if let Err(error) = opened.and_then(|()| self.begin(peer, watched, now)) {
                self.troubles.push(error.to_string());
            }
        }
    }

    /// Opens the socket that a session needs to hear its peer.
    fn open(&mut self, distance: Distance, ipv4: bool, arrived: &mpsc::Sender<Arrival>) -> io::Result<()> {
        if !self.receivers.contains(&(distance, ipv4)) {
            let socket = socket::receiver(distance, ipv4)?;
            self.receivers.insert((distance, ipv4));
            tokio::spawn(hear(socket, distance, arrived.clone()));
        }
        Ok(())
    }

    fn begin(&mut self, peer: IpAddr, watched: Watched, now: Instant) -> io::Result<()> {
        // One that no session has: never 0 (RFC 5880 §6.8.1).
        loop {
            self.drawn = self.drawn.wrapping_add(1);
            let drawn = self.drawn;
            if drawn != 0 && self.sessions.values().all(|held| held.session.discriminator() != drawn) {
                break;
            }
        }
        let socket = socket::sender(peer, watched.source, watched.distance, self.drawn)?;
        let seed = self.seed ^ u64::from(self.drawn);
        let session = Session::new(watched.config, self.drawn, seed, now);
        self.sessions.insert(peer, Watching { watched, session, socket, due: None, seen: None });
        self.settle(peer, Vec::new());
        Ok(())
    }

    /// Ends a session on purpose.
    fn leave(&mut self, peer: IpAddr) {
        let Some(mut held) = self.sessions.remove(&peer) else { return };
        if let Some(at) = held.due {
            self.due.remove(&(at, peer));
        }
        let mut out = Vec::new();
        held.session.disable(&mut out, self.clock.now());
        for packet in out {
            for _ in 0..LAST_WORDS {
                let _ = held.socket.try_send(&packet.encode());
            }
        }
        self.untold.insert(peer);
    }

    fn receive(&mut self, arrival: &Arrival) {
        let peer = arrival.from;
        let Some(held) = self.sessions.get_mut(&peer) else { return };
        if held.watched.distance != arrival.distance {
            return;
        }
        let now = self.clock.now();
        let mut out = Vec::new();
        let taken =
            Packet::decode(&arrival.octets).and_then(|packet| held.session.receive(&packet, &mut out, now));
        if let Err(why) = taken {
            tracing::debug!(event = "bfd-discard", %peer, reason = %why);
        }
        self.settle(peer, out);
    }

    fn expire(&mut self) {
        let now = self.clock.now();
        while let Some((_, peer)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(held) = self.sessions.get_mut(&peer) else { return };
            let mut out = Vec::new();
            held.session.expire(&mut out, now);
            self.settle(peer, out);
        }
    }

    /// Sends what a session wants sent, tells what changed, and sets when it is due.
    fn settle(&mut self, peer: IpAddr, out: Vec<Packet>) {
        let Some(held) = self.sessions.get_mut(&peer) else { return };
        for packet in out {
            // One that the kernel does not take is lost as one on the way is; the other end notices.
            let _ = held.socket.try_send(&packet.encode());
        }
        let due = held.session.deadline();
        if due != held.due {
            self.due.extend(due.map(|at| (at, peer)));
            if let Some(before) = std::mem::replace(&mut held.due, due) {
                self.due.remove(&(before, peer));
            }
        }
        let view = held.session.view();
        if held.seen != Some(view) {
            held.seen = Some(view);
            self.untold.insert(peer);
        }
    }

    /// What the loop has not heard, one thing at a time: each session as it is at present.
    fn next_news(&mut self) -> Option<News> {
        if let Some(trouble) = self.troubles.pop() {
            return Some(News::Trouble(trouble));
        }
        let peer = self.untold.pop_first()?;
        let view = self.sessions.get(&peer).map(|held| held.session.view());
        Some(News::Changed { peer, view })
    }
}

/// Hands on what comes to a socket; what finds the queue full is lost.
async fn hear(socket: UdpSocket, distance: Distance, arrived: mpsc::Sender<Arrival>) {
    let mut room = [0; LONGEST];
    loop {
        // An error of a receiving UDP socket is an echo of something sent: it says nothing of the next packet.
        let Ok((len, from)) = socket.recv_from(&mut room).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let octets = room[..len].to_vec();
        let full = arrived.try_send(Arrival { from: from.ip(), distance, octets });
        if matches!(full, Err(mpsc::error::TrySendError::Closed(_))) {
            return;
        }
    }
}

/// The loop's time.
#[derive(Clone, Copy)]
struct Clock(std::time::Instant);

impl Clock {
    fn now(self) -> Instant {
        Instant::default() + self.0.elapsed()
    }

    fn monotonic(self, at: Instant) -> std::time::Instant {
        self.0 + at.since(Instant::default())
    }
}

async fn until(at: Option<Instant>, clock: Clock) {
    match at {
        Some(at) if at <= clock.now() => {}
        Some(at) => tokio::time::sleep_until(clock.monotonic(at).into()).await,
        None => std::future::pending().await,
    }
}
