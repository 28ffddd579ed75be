//! The daemon around the loop: threads, channels, signals. The loop has the
//! calling thread for itself; drivers run on others.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bgp::io::Transport;
use bgp::prefix::Prefix;
use bgp::time::Instant;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::host;
use super::identity::Identity;
use super::log;
use super::marker::Marker;
use super::turn::Agent;
use crate::cluster::kubernetes::Connection;
use crate::cluster::{self, Objects, Problem, SourceEvent};
use crate::drain::{self, Drain};
use crate::effect::Drivers;
use crate::event::Event;
use crate::kernel::{self, Command, KernelEvent};
use crate::netconf::{self, Places};
use crate::operator::order::Order;
use crate::operator::service::{Operator, socket_beside};
use crate::publish;
use crate::record::{self, Recorder};
use crate::status::clock::Clock;
use crate::status::impairment::Impairment;
use crate::status::pods::Pods;
use crate::status::query::Query;
use crate::status::snapshot::{Publisher, Snapshot, Snapshots};
use crate::status::{event, grpc, server, socket::Socket, supervisor};
use crate::transport::{self, Passwords, TransportEvent, listener};

/// The port of BGP (RFC 4271 §8).
const PORT: u16 = 179;

/// Kernel events that may wait: the driver then waits too, and merges what it
/// has to say.
const KERNEL_EVENTS: usize = 64;

/// Questions that may wait; the service lets few more be asked at a time.
const QUESTIONS: usize = 16;

/// Orders that may wait: they come one after the other.
const ORDERS: usize = 4;

/// How long the end may take beyond the connections' own lingering.
const LAST_WORDS: Duration = Duration::from_secs(3);

type ImpairedSender = mpsc::UnboundedSender<(Impairment, Option<String>)>;

/// What the agent is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this node, as in its Node object.
    pub node: String,
    /// Where its objects come from.
    pub source: Source,
    /// Where the last good configuration is kept.
    pub checkpoint: PathBuf,
    /// Where the CNI plugin keeps who holds which address.
    pub cni_state: PathBuf,
    /// Where to serve StatusService.
    pub socket: PathBuf,
    /// The container runtime's folder of network configurations, if pods are connected here.
    pub networks: Option<PathBuf>,
    /// Where to record what the speaker is told.
    pub record: Option<PathBuf>,
}

/// Where objects come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory of manifests.
    Manifests(PathBuf),
    /// The Kubernetes API.
    Kubernetes(Connection),
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// Sockets that cannot be had, and a driver that ended by itself.
pub fn run(settings: impl Into<Settings>) -> anyhow::Result<()> {
    let settings = settings.into();
    log::start();
    // Two workers: the connections' bytes are copied on one while the other answers questions.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let Settings { node, source: objects_from, checkpoint, cni_state, socket, networks, record: recording } =
        settings;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let marker = Marker::here(&node).context("boot id and network namespace")?;
    // Beside the socket, which lies below /run: gone with the boot.
    let marker_path = socket.with_file_name("restart.json");
    let restarts = marker.is_at(&marker_path);
    let identity = Identity {
        node,
        source: match &objects_from {
            Source::Manifests(directory) => format!("manifests {}", directory.display()),
            Source::Kubernetes(connection) => connection.description(),
        },
        clock: Clock::start(),
        restarts,
        seed: RandomState::new().build_hasher().finish(),
    };
    tracing::info!(event = "starting", node = identity.node, version = env!("CARGO_PKG_VERSION"));

    let (transport, connections) = transport::Handle::new();
    transport.listen(listener::bind(PORT)?);
    let (impaired, impairments) = mpsc::unbounded_channel();
    let status_socket = first_socket(&socket, &impaired)?;
    let (kernel_events, kernel_inbox) = mpsc::channel(KERNEL_EVENTS);
    let kernel = kernel::spawn(kernel_events).context("kernel driver")?;
    let (source_events, source) = mpsc::channel(1);
    tokio::spawn(objects(objects_from.clone(), checkpoint.clone(), identity.node.clone(), source_events));
    let (good, to_keep) = watch::channel(None);
    let (told, drain_file) =
        (tell_of(Impairment::Checkpoint, &impaired), checkpoint.with_file_name(drain::FILE));
    let keeper = tokio::spawn(cluster::checkpoint::keep(checkpoint, identity.node.clone(), to_keep, told));

    let first = Agent::<Live>::first_snapshot(&identity);
    let (publisher, snapshots) = Publisher::new(first, identity.clock.now());
    if let Source::Kubernetes(connection) = objects_from {
        tokio::spawn(publish::run(connection, identity.node.clone(), snapshots.clone(), good.subscribe()));
    }
    let places = networks.map(Places::new);
    let same_boot = places.as_ref().is_some_and(Places::is_ready);
    if let Some(places) = places {
        let told = tell_of(Impairment::PodNetwork, &impaired);
        tokio::spawn(netconf::run(places, snapshots.clone(), told));
    }
    let (questions, queries) = mpsc::channel(QUESTIONS);
    let (stop_serving, stop) = watch::channel(());
    let told = tell_of(Impairment::StatusSocket, &impaired);
    let (orders, order_inbox) = mpsc::channel(ORDERS);
    let drain = earlier_drain(&drain_file, &impaired);
    let operator = Operator::new(snapshots.clone(), orders, drain_file, drain.clone());
    let operating = operate(operator.clone(), socket_beside(&socket), stop.clone(), &impaired);
    let (operating, expiry) = (tokio::spawn(operating), tokio::spawn(operator.expire()));
    let sources = (snapshots, questions, Pods::new(cni_state));
    let service = tokio::spawn(show(socket, status_socket, sources, stop, told));

    let clock = identity.clock;
    let live = Live { clock, transport: transport.clone(), kernel, publisher, good };
    if let Err(error) = marker.leave(&marker_path) {
        let text = format!("{}: {error}; the next start is a cold one", marker_path.display());
        tracing::warn!(event = "marker", reason = text);
    }
    let mut agent = Agent::new(identity, live);
    agent.begin_drained(drain);
    if same_boot {
        agent.resume_pods();
    }
    if let Some(path) = recording {
        match Recorder::create(&path, record::LIMIT) {
            Ok(recorder) => agent.record(recorder),
            Err(error) if is_full(&error) => {
                tell_of(Impairment::Recording, &impaired)(Some(format!("{}: {error}", path.display())));
            }
            Err(error) => return Err(error).with_context(|| format!("recording {}", path.display())),
        }
    }
    let mut inbox = Inbox {
        source,
        kernel: kernel_inbox,
        queries,
        orders: order_inbox,
        transport: connections,
        impairments,
        quota: [0; 6],
        at: 0,
    };
    let ended = tokio::select! {
        biased;
        () = either(&mut terminate, &mut interrupt) => Ok(()),
        ended = turns(&mut agent, &mut inbox, clock) => Err(ended),
    };

    tracing::info!(event = "stopping");
    agent.stop(host::is_stopping().await);
    if tokio::time::timeout(LAST_WORDS, transport.drain()).await.is_err() {
        tracing::warn!(event = "stopping", reason = "connections-linger");
    }
    drop(stop_serving);
    expiry.abort();
    // Serving ends half a second after it was told to.
    let _ = tokio::time::timeout(LAST_WORDS, futures::future::join(service, operating)).await;
    // The driver waits for nobody who reads its events.
    drop(inbox);
    let Live { kernel, good, .. } = agent.into_drivers();
    // What was handed over last is written yet.
    drop(good);
    let _ = tokio::time::timeout(LAST_WORDS, keeper).await;
    tokio::task::spawn_blocking(|| kernel.join()).await.context("kernel driver")?;
    ended
}

/// Tells what an earlier run has kept, then what the source holds, and whenever that changes.
async fn objects(from: Source, checkpoint: PathBuf, node: String, events: mpsc::Sender<SourceEvent>) {
    let name = node.clone();
    let read = move || cluster::checkpoint::read(&checkpoint, &name, Timestamp::now()).transpose();
    let kept = tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|error| Some(Err(Problem::anywhere(format!("checkpoint: {error}")))));
    let good = kept.as_ref().and_then(|kept| kept.as_ref().ok()).map(|kept| Arc::clone(&kept.objects));
    if let Some(kept) = kept
        && events.send(SourceEvent::Checkpoint(kept)).await.is_err()
    {
        return;
    }
    match from {
        Source::Manifests(directory) => cluster::watch::run(directory, events).await,
        Source::Kubernetes(connection) => cluster::kubernetes::run(connection, node, good, events).await,
    }
}

/// A way to tell the loop why something cannot be done, or that it can.
fn tell_of(what: Impairment, to: &ImpairedSender) -> impl Fn(Option<String>) + Send + Sync + use<> {
    let to = to.clone();
    // The loop's end goes at shutdown, when nobody listens any more.
    move |why| drop(to.send((what, why)))
}

/// Whether there is no room for a file: that passes, and no reason to keep a node out of the network.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The status socket at the start: `None` if there is no room for its file yet.
fn first_socket(path: &Path, impaired: &ImpairedSender) -> anyhow::Result<Option<Socket>> {
    match Socket::bind(path) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if is_full(&error) => {
            tell_of(Impairment::StatusSocket, impaired)(Some(format!("{}: {error}", path.display())));
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("status socket {}", path.display())),
    }
}

/// The drain that an earlier run has kept. A file that is damaged still says that an operator wanted one: the node is
/// shunned, which loses no packet, until somebody says how it is to be.
fn earlier_drain(path: &Path, impaired: &ImpairedSender) -> Option<Drain> {
    drain::read(path, Timestamp::now()).unwrap_or_else(|problem| {
        let why = format!("{problem}; the node is drained but for its pods until `drain` or `undrain`");
        tell_of(Impairment::Drain, impaired)(Some(why));
        let reason = "what was kept of a drain cannot be read".to_owned();
        Some(Drain { pods: false, reason, since: Timestamp::now(), until: None })
    })
}

/// Serves OperatorService until `stop` closes, anew where that failed.
fn operate(
    operator: Operator,
    path: PathBuf,
    stop: watch::Receiver<()>,
    impaired: &ImpairedSender,
) -> impl Future<Output = ()> + Send + use<> {
    let told = tell_of(Impairment::OperatorSocket, impaired);
    async move {
        let serve = || {
            let socket = Socket::bind_with(&path, 0o600);
            told(socket.as_ref().err().map(|error| format!("{}: {error}", path.display())));
            let (routes, stopped) = (operator.routes(), supervisor::stopped(stop.clone()));
            async move {
                server::serve(socket.context("operator socket")?, routes?, stopped).await?;
                anyhow::Ok(())
            }
        };
        supervisor::keep(serve, stop.clone(), supervisor::PAUSE).await;
    }
}

/// Serves StatusService until `stop` closes, anew where that failed.
async fn show(
    path: PathBuf,
    mut first: Option<Socket>,
    (snapshots, questions, pods): (Snapshots, mpsc::Sender<Query>, Pods),
    stop: watch::Receiver<()>,
    told: impl Fn(Option<String>),
) {
    let serve = || {
        let socket = first.take().map_or_else(|| Socket::bind(&path), Ok);
        told(socket.as_ref().err().map(|error| format!("{}: {error}", path.display())));
        let (snapshots, questions, pods) = (snapshots.clone(), questions.clone(), pods.clone());
        let stopped = supervisor::stopped(stop.clone());
        async move {
            grpc::serve(socket.context("status socket")?, snapshots, questions, pods, stopped).await?;
            anyhow::Ok(())
        }
    };
    supervisor::keep(serve, stop.clone(), supervisor::PAUSE).await;
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// The loop. Returns only when a driver is gone.
async fn turns(agent: &mut Agent<Live>, inbox: &mut Inbox, clock: Clock) -> anyhow::Error {
    loop {
        let mut first = tokio::select! {
            biased;
            event = inbox.wait() => match event {
                Some(event) => Some(event),
                None => return anyhow::anyhow!("a driver ended; see the log before this"),
            },
            () = until(agent.deadline(), clock) => None,
        };
        inbox.begin();
        agent.turn(&mut || first.take().or_else(|| inbox.next()));
        // Signals and the runtime's own work come between two turns.
        tokio::task::yield_now().await;
    }
}

async fn until(due: Option<Instant>, clock: Clock) {
    match due {
        Some(due) if due <= clock.now() => {}
        Some(due) => tokio::time::sleep_until(clock.monotonic(due).into()).await,
        None => std::future::pending().await,
    }
}

fn impaired((what, why): (Impairment, Option<String>)) -> Event {
    Event::Impaired { what, why }
}

/// Everything that waits for the loop.
struct Inbox {
    source: mpsc::Receiver<SourceEvent>,
    kernel: mpsc::Receiver<KernelEvent>,
    queries: mpsc::Receiver<Query>,
    orders: mpsc::Receiver<Order>,
    transport: mpsc::UnboundedReceiver<TransportEvent>,
    /// What fails beside the loop, or is mended: some words a minute.
    impairments: mpsc::UnboundedReceiver<(Impairment, Option<String>)>,
    /// What each of them may still give in this turn.
    quota: [usize; 6],
    /// Whose turn it is among them.
    at: usize,
}

impl Inbox {
    /// Waits for any event; `None` when a driver is gone.
    async fn wait(&mut self) -> Option<Event> {
        tokio::select! {
            event = self.source.recv() => event.map(Event::Source),
            event = self.kernel.recv() => event.map(Event::Kernel),
            event = self.transport.recv() => event.map(Event::Transport),
            event = self.queries.recv() => event.map(Event::Query),
            event = self.orders.recv() => event.map(Event::Order),
            event = self.impairments.recv() => event.map(impaired),
        }
    }

    /// A turn begins: what waits now is what it may take. A connection has one
    /// chunk among that, as its next one comes only after this one was taken.
    fn begin(&mut self) {
        self.quota = [
            self.source.len(),
            self.kernel.len(),
            self.queries.len(),
            self.transport.len(),
            self.impairments.len(),
            self.orders.len(),
        ];
    }

    /// The next event of this turn, one of each kind after the other.
    fn next(&mut self) -> Option<Event> {
        for _ in 0..self.quota.len() {
            let at = self.at;
            self.at = (at + 1) % self.quota.len();
            if self.quota[at] == 0 {
                continue;
            }
            self.quota[at] -= 1;
            let event = match at {
                0 => self.source.try_recv().ok().map(Event::Source),
                1 => self.kernel.try_recv().ok().map(Event::Kernel),
                2 => self.queries.try_recv().ok().map(Event::Query),
                3 => self.transport.try_recv().ok().map(Event::Transport),
                4 => self.impairments.try_recv().ok().map(impaired),
                _ => self.orders.try_recv().ok().map(Event::Order),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }
}

/// The drivers of a running agent.
struct Live {
    clock: Clock,
    transport: transport::Handle,
    kernel: kernel::Handle,
    publisher: Publisher,
    /// Objects to keep on disk; the newest alone.
    good: watch::Sender<Option<Arc<Objects>>>,
}

impl Drivers for Live {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn transport(&mut self, effect: Transport) {
        self.transport.apply(effect);
    }

    fn passwords(&mut self, passwords: Passwords) {
        self.transport.passwords(passwords);
    }

    fn kernel(&mut self, command: Command) {
        self.kernel.send(command);
    }

    fn keep(&mut self, objects: Arc<Objects>) {
        self.good.send_replace(Some(objects));
    }

    fn status_due(&self) -> Option<Instant> {
        self.publisher.deadline()
    }

    fn status_changed(&mut self) {
        self.publisher.changed();
    }

    fn event(&mut self, event: event::Event) {
        self.publisher.event(event);
    }

    fn prefix(&mut self, prefix: Prefix) {
        self.publisher.prefix(prefix);
    }

    fn publish(&mut self, build: &mut dyn FnMut() -> Snapshot, now: Instant) {
        self.publisher.publish(build, now);
    }
}
