//! The daemon around the loop: threads, channels, signals. The loop has the
//! calling thread for itself; drivers run on others.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use anyhow::Context as _;
use bgp::time::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::host;
use super::identity::Identity;
use super::impairment::tell_of;
use super::inbox::{Inbox, Waiting};
use super::kept::{cordons, earlier_cordon, earlier_drain, objects};
use super::live::Live;
use super::log;
use super::marker::{self, Marker};
use super::serving::{first_socket, is_full, operate, show};
use super::settings::{Settings, Source};
use super::turn::Agent;
use crate::bfd;
use crate::cluster;
use crate::discovery;
use crate::drain;
use crate::kernel;
use crate::metrics;
use crate::netconf::{self, Places};
use crate::operator::service::{Operator, socket_beside};
use crate::publish;
use crate::record::{self, Recorder};
use crate::status::clock::Clock;
use crate::status::impairment::Impairment;
use crate::status::pods::Pods;
use crate::status::snapshot::Publisher;
use crate::transport::{self, listener};

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
    let Settings {
        node,
        source: objects_from,
        checkpoint,
        cni_state,
        socket,
        networks,
        pod_mtu,
        metrics: metrics_at,
        record: recording,
    } = settings;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let marker = Marker::here(&node).context("boot id and network namespace")?;
    // Beside the socket, which lies below /run: gone with the boot.
    let marker_path = socket.with_file_name("restart.json");
    let earlier = marker.earlier(&marker_path);
    let identity = Identity {
        node,
        source: match &objects_from {
            Source::Manifests(directory) => format!("manifests {}", directory.display()),
            Source::Kubernetes(connection) => connection.description(),
        },
        follows_node: matches!(objects_from, Source::Kubernetes(_)),
        clock: Clock::start(),
        restarts: earlier.is_some(),
        seed: RandomState::new().build_hasher().finish(),
    };
    tracing::info!(event = "starting", node = identity.node, version = env!("CARGO_PKG_VERSION"));

    let (transport, connections) = transport::Handle::new();
    transport.listen(listener::bind(PORT)?);
    let (impaired, impairments) = mpsc::unbounded_channel();
    let status_socket = first_socket(&socket, &impaired)?;
    let (kernel_events, kernel_inbox) = mpsc::channel(KERNEL_EVENTS);
    let kernel = kernel::spawn(kernel_events).context("kernel driver")?;
    let hidden =
        kernel::masquerade::spawn(tell_of(Impairment::Masquerade, &impaired)).context("masquerade driver")?;
    let (discovery, routers) = discovery::spawn(tell_of(Impairment::Discovery, &impaired));
    let (bfd, bfd_inbox) =
        bfd::spawn(identity.clock.monotonic(Instant::default()), identity.seed).context("thread for BFD")?;
    let (source_events, source) = mpsc::channel(1);
    let (standing, stands) = watch::channel(None);
    let kept = (checkpoint.clone(), identity.node.clone());
    tokio::spawn(objects(objects_from.clone(), kept, source_events, standing));
    let (good, to_keep) = watch::channel(None);
    let (told, drain_file) =
        (tell_of(Impairment::Checkpoint, &impaired), checkpoint.with_file_name(drain::FILE));
    let cordon_file = drain_file.with_file_name(drain::NODE_FILE);
    let keeper = tokio::spawn(cluster::checkpoint::keep(checkpoint, identity.node.clone(), to_keep, told));

    let first = Agent::<Live>::first_snapshot(&identity);
    let (publisher, snapshots) = Publisher::new(first, identity.clock.now());
    let places = networks.map(|networks| Places::new(networks, pod_mtu));
    let same_boot = places.as_ref().is_some_and(Places::is_ready);
    if let Source::Kubernetes(connection) = objects_from {
        if places.is_some() {
            let node = identity.node.clone();
            tokio::spawn(publish::admit(connection.clone(), node, snapshots.clone(), stands, same_boot));
        }
        tokio::spawn(publish::run(connection, identity.node.clone(), snapshots.clone(), good.subscribe()));
    }
    if let Some(places) = places {
        let told = tell_of(Impairment::PodNetwork, &impaired);
        tokio::spawn(netconf::run(places, snapshots.clone(), told));
    }
    let (questions, queries) = mpsc::channel(QUESTIONS);
    let (stop_serving, stop) = watch::channel(());
    let told = tell_of(Impairment::StatusSocket, &impaired);
    let (orders, order_inbox) = mpsc::channel(ORDERS);
    let drain = earlier_drain(&drain_file, &impaired);
    let cordoned_before = earlier_cordon(&cordon_file, &impaired);
    let (cordoned, says) = watch::channel(None);
    let says = tokio::spawn(cordons(cordon_file, says, tell_of(Impairment::CordonFile, &impaired)));
    let operator = Operator::new(snapshots.clone(), orders, drain_file, drain.clone());
    let operating = operate(operator.clone(), socket_beside(&socket), stop.clone(), &impaired);
    let (operating, expiry) = (tokio::spawn(operating), tokio::spawn(operator.expire()));
    if let Some(address) = metrics_at {
        let told = tell_of(Impairment::Metrics, &impaired);
        tokio::spawn(metrics::serve::run(address, snapshots.clone(), stop.clone(), told));
    }
    let sources = (snapshots, questions, Pods::new(cni_state));
    let service = tokio::spawn(show(socket, status_socket, sources, stop, told));

    let clock = identity.clock;
    let expected = earlier.and_then(|earlier| earlier.peers);
    let (up, peers_up) = watch::channel(expected.clone());
    let live = Live {
        clock,
        transport: transport.clone(),
        bfd,
        kernel,
        masquerade: hidden,
        discovery,
        publisher,
        good,
        up,
        cordoned,
    };
    let marker = marker.with(expected.clone());
    if let Err(error) = marker.leave(&marker_path) {
        let text = format!("{}: {error}; the next start is a cold one", marker_path.display());
        tracing::warn!(event = "marker", reason = text);
    }
    let markers = tokio::spawn(marker::keep(marker, marker_path, peers_up));
    let mut agent = Agent::new(identity, live);
    agent.begin_drained(drain, cordoned_before);
    if let Some(expected) = expected {
        agent.await_only(expected);
    }
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
    let mut inbox = Inbox::new(Waiting {
        source,
        kernel: kernel_inbox,
        queries,
        orders: order_inbox,
        bfd: bfd_inbox,
        transport: connections,
        routers,
        impairments,
    });
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
    let Live { bfd, kernel, masquerade, good, up, cordoned, .. } = agent.into_drivers();
    // What was handed over last is written yet.
    drop((good, up, cordoned));
    let _ = tokio::time::timeout(LAST_WORDS, futures::future::join3(keeper, markers, says)).await;
    let drivers = || {
        bfd.join();
        masquerade.join();
        kernel.join();
    };
    tokio::task::spawn_blocking(drivers).await.context("kernel driver")?;
    ended
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
        if first.is_none() && agent.is_waiting() {
            // Decisions wait for what peers are sending: the threads that read it go first.
            std::thread::yield_now();
        }
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
