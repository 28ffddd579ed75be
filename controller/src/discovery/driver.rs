//! A task a link: hears routers and tells of them, says that this node is one, answers who asks.
//!
//! ```text
//!  want ─> supervisor ─> task a link ─> a router's address ─> agent loop
//!                              └─ troubles of all links ─> one text, told when it changes
//! ```
//!
//! Every task may be ended at any point: it owns its socket and nothing else.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bgp::zone::{self, Zone};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::message::{self, Heard, Packet};
use super::socket::Socket;

/// Advertisements that may wait for the loop; one more is not waited for, it comes again.
const HEARD: usize = 64;
/// The most time between two advertisements, as routers of such links have it: a neighbour
/// that starts hears of this node within that time, if its solicitation was lost.
const INTERVAL: Duration = Duration::from_secs(10);
/// The first advertisements come sooner, as many times (RFC 4861 §6.2.4).
const INITIAL: (u32, Duration) = (3, Duration::from_secs(1));
/// The least time between two advertisements (RFC 4861 §6.2.6: MIN_DELAY_BETWEEN_RAS).
///
/// Deviation: three seconds there. The link has two ends, and each start of a neighbour is
/// answered at once.
const LEAST: Duration = Duration::from_millis(500);
/// How long a link rests whose socket failed.
const REST: Duration = Duration::from_secs(2);

/// The loop's end.
#[derive(Debug)]
pub struct Handle {
    wanted: watch::Sender<BTreeMap<u32, String>>,
}

impl Handle {
    /// These links, by their index and name, have neighbours to be found, and no others.
    pub fn want(&self, links: BTreeMap<u32, String>) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != links;
            *wanted = links;
            changed
        });
    }
}

/// Starts without links, and tells of routers by their link-local address, with its zone; `troubled` is told why
/// links cannot be heard, and that they can. Within a tokio runtime.
pub fn spawn(troubled: impl Fn(Option<String>) + Send + Sync + 'static) -> (Handle, mpsc::Receiver<IpAddr>) {
    let (wanted, wants) = watch::channel(BTreeMap::new());
    let (heard, told) = mpsc::channel(HEARD);
    tokio::spawn(supervise(wants, heard, Troubles::new(troubled)));
    (Handle { wanted }, told)
}

/// Keeps a task for each link that is wanted.
async fn supervise(
    mut wants: watch::Receiver<BTreeMap<u32, String>>,
    heard: mpsc::Sender<IpAddr>,
    troubles: Troubles,
) {
    let mut tasks: BTreeMap<(u32, String), JoinHandle<()>> = BTreeMap::new();
    loop {
        let wanted: BTreeMap<u32, String> = wants.borrow_and_update().clone();
        let gone = |(ifindex, name): &&(u32, String)| wanted.get(ifindex) != Some(name);
        for link in tasks.keys().filter(gone).cloned().collect::<Vec<_>>() {
            if let Some(task) = tasks.remove(&link) {
                task.abort();
                // It may be saying something at this moment: its last word comes first.
                let _ = task.await;
                troubles.note(&link.1, None);
            }
        }
        for (ifindex, name) in wanted {
            let Some(zone) = Zone::new(ifindex) else { continue };
            tasks
                .entry((ifindex, name.clone()))
                .or_insert_with(|| tokio::spawn(serve(zone, name, heard.clone(), troubles.clone())));
        }
        // The loop's end goes with the agent.
        if wants.changed().await.is_err() {
            tasks.values().for_each(JoinHandle::abort);
            return;
        }
    }
}

/// Serves one link, again and again.
async fn serve(zone: Zone, name: String, heard: mpsc::Sender<IpAddr>, troubles: Troubles) {
    loop {
        let served = match Socket::open(zone.0.get(), &name) {
            Ok(socket) => {
                troubles.note(&name, None);
                Link { zone, socket, heard: heard.clone() }.attend().await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            let lacks = error.kind() == io::ErrorKind::PermissionDenied;
            let why = if lacks { "; raw ICMPv6 needs CAP_NET_RAW" } else { "" };
            troubles.note(&name, Some(format!("routers on {name} are not heard: {error}{why}")));
        }
        sleep(REST).await;
    }
}

/// A link that is heard.
struct Link {
    zone: Zone,
    socket: Socket,
    heard: mpsc::Sender<IpAddr>,
}

impl Link {
    /// Hears and advertises until the socket fails.
    async fn attend(&self) -> io::Result<()> {
        let mut times = Times::start();
        let mut known = None;
        // A link that is down says so; the advertisements to come are tried all the same.
        let _ = self.socket.tell_routers(&message::solicitation());
        loop {
            tokio::select! {
                packet = self.socket.hear(|packet: &Packet<'_>| (packet.source, message::read(packet))) => {
                    match packet? {
                        (source, Ok(Some(Heard::Advertisement))) => {
                            let Some(address) = zone::within(source, self.zone) else { continue };
                            // Whoever is new has not heard of this node.
                            if known.replace(address) != Some(address) {
                                times.hasten();
                            }
                            // A full inbox is a busy loop; the router says it again.
                            let _ = self.heard.try_send(address.into());
                        }
                        (_, Ok(Some(Heard::Solicitation))) => times.hasten(),
                        (_, Ok(None)) => {}
                        (source, Err(flaw)) => {
                            tracing::debug!(event = "router-message", %source, reason = %flaw);
                        }
                    }
                }
                () = sleep_until(times.next) => match self.socket.tell_nodes(&message::advertisement()) {
                    Ok(()) => times.advertised(),
                    // No address yet, or the link is down.
                    Err(error) if passes(&error) => times.later(),
                    Err(error) => return Err(error),
                },
            }
        }
    }
}

/// Whether sending may work the next time.
fn passes(error: &io::Error) -> bool {
    let passing = [libc::ENETDOWN, libc::EADDRNOTAVAIL, libc::ENETUNREACH, libc::ENOBUFS, libc::EAGAIN];
    error.raw_os_error().is_some_and(|errno| passing.contains(&errno))
}

/// When this node advertises itself.
struct Times {
    next: Instant,
    last: Option<Instant>,
    initial: u32,
}

impl Times {
    fn start() -> Self {
        Self { next: Instant::now(), last: None, initial: INITIAL.0 }
    }

    fn advertised(&mut self) {
        let now = Instant::now();
        self.last = Some(now);
        self.initial = self.initial.saturating_sub(1);
        // RFC 4861 §6.2.4: the time varies, so that routers do not fall into step.
        let part = (RandomState::new().build_hasher().finish() % 1024) as u32;
        self.next = now + if self.initial > 0 { INITIAL.1 } else { INTERVAL - INTERVAL / 4096 * part };
    }

    /// It could not be sent: the link has to come up first, and is then as new.
    fn later(&mut self) {
        (self.initial, self.next) = (INITIAL.0, Instant::now() + INITIAL.1);
    }

    /// Somebody wants to know at once.
    fn hasten(&mut self) {
        let soonest = self.last.map_or_else(Instant::now, |last| last + LEAST);
        self.next = self.next.min(soonest);
    }
}

/// What is wrong with links, told as one text.
#[derive(Clone)]
struct Troubles {
    tell: Arc<dyn Fn(Option<String>) + Send + Sync>,
    held: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Troubles {
    fn new(tell: impl Fn(Option<String>) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), held: Arc::default() }
    }

    fn note(&self, link: &str, why: Option<String>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.get(link).cloned();
        if before == why {
            return;
        }
        match why {
            Some(why) => drop(held.insert(link.to_owned(), why)),
            None => drop(held.remove(link)),
        }
        let lines: Vec<&str> = held.values().map(String::as_str).collect();
        (self.tell)((!lines.is_empty()).then(|| lines.join("; ")));
    }
}
