//! The driver's thread: it owns the sockets, the view and the ledger.
//!
//! ```text
//!  ┌─> commands and notifications, as many as wait
//!  │   a dump, if one is due, or a glance at the interfaces
//!  │   one batch of writes, its answers
//!  └── wait, if there is nothing left to write
//! ```
//!
//! A loss of ways out does not wait: it is written before a dump that is due, and a dump under way is given up for it
//! and begun anew.
//!
//! A dump follows each change that can concern us, at once after a quiet time; a storm of changes gets at most a fifth
//! of the thread's time for dumps. Meanwhile a glance at the interfaces, which are few, shows which ways out are lost. A
//! change that concerns nothing yet is looked at before the next next hop is
//! resolved.

mod survey;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bgp::io::{NextHop, Tracking};
use bgp::prefix::Prefix;
use tokio::sync::mpsc;

use super::age::{Age, weigh};
use super::command::{Command, Fib, KernelEvent, LocalAddress};
use super::ledger::Ledger;
use super::monitor::{Change, Monitor};
use super::netlink::{Netlink, Outcome};
use super::nexthop::{Resolution, resolve};
use super::view::View;

/// Commands a turn, so that a flood of them does not hold up writes.
const TURN: usize = 64;

/// With more own writes than this to come, route notifications are left until they are done.
const BULK: usize = 1000;

/// How long after a bulk of writes the route notifications are taken up again: a table comes in more than one.
const SETTLED: Duration = Duration::from_millis(100);

/// For how long bulks that follow each other put that off.
const DEAF: Duration = Duration::from_secs(2);

/// The agent's end of the driver.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl Handle {
    /// Hands a command over; never blocks. A driver that has ended takes no notice.
    pub fn send(&self, command: Command) {
        // The receiver goes with the thread alone; what is sent after its end has no addressee.
        let _ = self.commands.send(command);
    }

    /// Sends [`Command::Shutdown`] and waits for the end; blocks. The receiver of the events must be drained or
    /// dropped meanwhile.
    pub fn join(self) {
        self.send(Command::Shutdown);
        drop(self.commands);
        if self.thread.join().is_err() {
            tracing::error!(event = "kernel-driver-panicked");
        }
    }
}

/// Starts the driver in the network namespace of the calling thread. It ends with [`Command::Shutdown`], with the
/// handle, or with the receiver of its events; routes stay in any case. While `events` is full the driver waits.
///
/// # Errors
/// Those of the sockets and of the thread.
pub fn spawn(events: mpsc::Sender<KernelEvent>) -> io::Result<Handle> {
    let netlink = Netlink::open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let monitor = {
        let _entered = runtime.enter();
        Monitor::open(netlink.port())?
    };
    let (commands, queue) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name("kernel".into()).spawn(move || {
        runtime.block_on(async {
            let trouble = events.clone();
            if let Err(error) = Driver::new(netlink, monitor, queue, events).run().await {
                // Nobody is left to tell where the receiver is gone.
                let _ = trouble.send(KernelEvent::Trouble(format!("the kernel driver ended: {error}"))).await;
            }
        });
    })?;
    Ok(Handle { commands, thread })
}

#[derive(Debug, Default)]
struct Tracked {
    resolution: Option<Resolution>,
    /// What was told last; `None` before the first time.
    told: Option<Option<u32>>,
    /// Whether an answer is owed, be it the same as before.
    asked: bool,
}

struct Driver {
    netlink: Netlink,
    /// The socket for dumps of routes; gone with the rest of one that was given up.
    reader: Option<Netlink>,
    /// How many dumps in a row were given up.
    given_up: u32,
    monitor: Monitor,
    queue: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<KernelEvent>,
    ledger: Ledger,
    view: View,
    age: Age,
    /// Whether a link or an address has changed since it was looked at.
    interfaces_changed: bool,
    /// When the next dump may begin.
    dump_at: Instant,
    /// When a dump is due because route notifications were left, once nothing is left to write.
    settles_at: Option<Instant>,
    /// Until when that may be put off.
    deaf_until: Instant,
    tracked: BTreeMap<NextHop, Tracked>,
    /// Addresses whose route matters to a resolution.
    watched: BTreeSet<IpAddr>,
    addresses: Option<Arc<[LocalAddress]>>,
    passing: Arc<[IpAddr]>,
    gateways: Option<Arc<[IpAddr]>>,
    /// What was told of pods outside of the PodCIDRs, and of the uplinks' MTU.
    hosts: Arc<[Prefix]>,
    uplink_mtu: Option<u32>,
    trouble: Option<String>,
    fib: Option<Fib>,
    /// Whether it was told what an earlier run has left.
    adopted: bool,
    ending: bool,
}

impl Driver {
    fn new(
        netlink: Netlink,
        monitor: Monitor,
        queue: mpsc::UnboundedReceiver<Command>,
        events: mpsc::Sender<KernelEvent>,
    ) -> Self {
        Self {
            netlink,
            reader: None,
            given_up: 0,
            monitor,
            queue,
            events,
            ledger: Ledger::default(),
            view: View::default(),
            age: Age::Stale,
            interfaces_changed: false,
            dump_at: Instant::now(),
            settles_at: None,
            deaf_until: Instant::now(),
            tracked: BTreeMap::new(),
            watched: BTreeSet::new(),
            addresses: None,
            passing: Arc::default(),
            gateways: None,
            hosts: Arc::default(),
            uplink_mtu: None,
            trouble: None,
            fib: None,
            adopted: false,
            ending: false,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            let mut more = self.take_commands();
            more |= self.take_notifications()?;
            let glances = self.interfaces_changed && self.ledger.is_configured();
            if glances {
                self.glance().await;
            }
            if glances || self.ledger.is_losing() {
                // A way out that is lost does not wait for the dump of a large table.
                self.write_objects().await?;
            }
            if self.settles_at.is_some_and(|at| at <= Instant::now()) {
                self.age = Age::Stale;
            }
            if self.age == Age::Stale && self.dump_at <= Instant::now() {
                self.refresh().await;
            }
            if self.age == Age::Fresh {
                self.tell_gateways().await;
                self.tell_next_hops().await;
                self.tell_pods().await;
            }
            if self.ledger.backlog() > 0 {
                self.write().await?;
                more = true;
            }
            if self.ledger.backlog() == 0 {
                self.tell_fib().await;
            }
            if self.events.is_closed() || (self.ending && !more) {
                return Ok(());
            }
            if more {
                continue;
            }
            let dump_at = self.dump_at.into();
            let settles_at = self.settles_at.filter(|_| self.age != Age::Stale);
            tokio::select! {
                command = self.queue.recv() => match command {
                    Some(command) => self.obey(command),
                    None => self.ending = true,
                },
                ready = self.monitor.ready() => ready?,
                () = tokio::time::sleep_until(dump_at), if self.age == Age::Stale => {}
                () = until(settles_at), if settles_at.is_some() => {}
                () = self.events.closed() => {}
            }
        }
    }

    /// Whether more may be waiting.
    fn take_commands(&mut self) -> bool {
        for _ in 0..TURN {
            match self.queue.try_recv() {
                Ok(command) => self.obey(command),
                Err(mpsc::error::TryRecvError::Empty) => return false,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.ending = true;
                    return false;
                }
            }
        }
        true
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Configure(config) => {
                if self.ledger.configure(config) {
                    self.dump_now();
                }
            }
            Command::Tracking(changes) => self.track(changes),
            Command::Sets(changes) => {
                self.ledger.change_sets(changes);
                self.resolve_sets(false);
            }
            Command::Routes(changes) => self.ledger.change_routes(&changes),
            Command::Sweep => self.ledger.sweep(),
            Command::Shutdown => self.ending = true,
        }
    }

    fn track(&mut self, changes: Vec<Tracking>) {
        for change in changes {
            match change {
                Tracking::Start(next_hop) => {
                    let tracked = self.tracked.entry(next_hop).or_default();
                    tracked.asked = true;
                    if self.age == Age::Fresh && self.ledger.is_configured() {
                        tracked.resolution = resolve(&self.view, next_hop, &mut self.watched);
                    } else {
                        self.dump_now();
                    }
                }
                Tracking::Stop(next_hop) => {
                    self.tracked.remove(&next_hop);
                }
            }
        }
    }

    fn dump_now(&mut self) {
        self.age = Age::Stale;
        self.dump_at = self.dump_at.min(Instant::now());
    }

    /// Whether more may be waiting.
    fn take_notifications(&mut self) -> io::Result<bool> {
        let Self { monitor, ledger, watched, age, interfaces_changed, .. } = self;
        monitor.take(|change| {
            let now = match change {
                Change::Interface | Change::Overrun => {
                    *interfaces_changed = true;
                    Age::Stale
                }
                Change::Route(route) => weigh(&route, ledger, watched),
            };
            *age = now.max(*age);
        })
    }

    /// Brings sets up to date: `all`, or those that have changed. Members are tracked as a rule.
    fn resolve_sets(&mut self, all: bool) {
        let Self { ledger, view, tracked, watched, .. } = self;
        ledger.resolve(all, |member| {
            let resolution = match tracked.get(&member) {
                Some(tracked) => tracked.resolution.clone(),
                None => resolve(view, member, watched),
            };
            Some(resolution?.legs)
        });
    }

    fn resolve_all(&mut self) {
        self.watched.clear();
        for (next_hop, tracked) in &mut self.tracked {
            tracked.resolution = resolve(&self.view, *next_hop, &mut self.watched);
        }
        self.resolve_sets(true);
    }

    /// Writes the changes of next-hop objects; whether routes may follow.
    async fn write_objects(&mut self) -> io::Result<bool> {
        loop {
            let changes = self.ledger.object_batch();
            if changes.is_empty() {
                return Ok(true);
            }
            if self.ledger.written_total() > BULK {
                // A group's change is told for each of its routes.
                self.leave_routes()?;
            }
            match self.netlink.change(&changes, self.ledger.protocol()) {
                Ok(results) => self.ledger.settle_objects(changes, &results),
                Err(error) => {
                    self.complain(format!("next-hop objects may not have been written: {error}")).await;
                    self.dump_now();
                    self.refresh().await;
                    return Ok(false);
                }
            }
        }
    }

    /// Leaves route notifications: they slow bulks of writes down.
    fn leave_routes(&mut self) -> io::Result<()> {
        if self.monitor.hears_routes() {
            self.deaf_until = Instant::now() + DEAF;
        }
        self.monitor.hear_routes(false)
    }

    /// Has a dump follow a bulk of writes, or the next one where that comes soon: a dump in the midst of a table costs
    /// as much as a quarter of its writes.
    fn settle(&mut self) {
        if self.monitor.hears_routes() {
            return;
        }
        let now = Instant::now();
        self.settles_at = if self.ledger.backlog() == 0 {
            Some((now + SETTLED).min(self.deaf_until.max(now)))
        } else {
            self.settles_at.filter(|_| self.deaf_until <= now)
        };
    }

    /// Writes one batch.
    async fn write(&mut self) -> io::Result<()> {
        if self.ledger.backlog() > BULK {
            self.leave_routes()?;
        }
        if !self.write_objects().await? {
            return Ok(());
        }
        let (operations, mut acks) = self.ledger.batch(self.netlink.limit());
        if !operations.is_empty() {
            match self.netlink.write(&operations) {
                Outcome::Known(results) => acks.extend(self.ledger.settle(operations, &results)),
                Outcome::Unknown(error) => {
                    self.ledger.doubt(&operations);
                    self.complain(format!("routes may not have been written: {error}")).await;
                    self.dump_now();
                    self.refresh().await;
                }
            }
        }
        if self.ledger.is_doubtful() {
            self.age = Age::Stale;
        }
        self.settle();
        self.acknowledge(acks).await;
        Ok(())
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
