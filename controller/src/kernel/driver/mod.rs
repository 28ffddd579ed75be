//! The driver's thread: it owns the sockets, the view and the ledger.
//!
//! ```text
//!  ┌─> commands and notifications, as many as wait
//!  │   a dump, if one is due, or a glance at the interfaces
//!  │   one batch of writes, its answers
//!  └── wait, if there is nothing left to write
//! ```
//!
//! A dump follows each change that can concern us, at once after a quiet time; a storm of changes gets at most a fifth
//! of the thread's time for dumps. Meanwhile a glance at the interfaces, which are few, shows which ways out are lost. A
//! change that concerns nothing yet is looked at before the next next hop is
//! resolved.

mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bgp::io::{NextHop, Tracking};
use bgp::prefix::{Family, Prefix};
use tokio::sync::mpsc;

use super::age::{Age, weigh};
use super::command::{Command, Fib, KernelEvent, LocalAddress, MAIN_TABLE};
use super::ledger::Ledger;
use super::message::{self, InterfaceAddress, Link};
use super::monitor::{Change, Monitor};
use super::netlink::{Netlink, Outcome};
use super::nexthop::{Resolution, resolve};
use super::object;
use super::request;
use super::view::View;

/// Commands a turn, so that a flood of them does not hold up writes.
const TURN: usize = 64;

/// With more own writes than this to come, route notifications are left until they are done.
const BULK: usize = 1000;

/// How long after a bulk of writes the route notifications are taken up again: a table comes in more than one.
const SETTLED: Duration = Duration::from_millis(100);

/// For how long bulks that follow each other put that off.
const DEAF: Duration = Duration::from_secs(2);

/// How long after a dump that failed the next one is tried.
const RETRY: Duration = Duration::from_secs(1);

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
            if self.interfaces_changed && self.ledger.is_configured() {
                self.glance().await;
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

    /// Dumps, resolves again, and queues what differs from what is wanted.
    async fn refresh(&mut self) {
        let began = Instant::now();
        match self.dump() {
            Ok(()) => {
                self.trouble = None;
                let ended = Instant::now();
                self.dump_at = ended + (ended - began) * 4;
            }
            Err(error) => {
                self.dump_at = Instant::now() + RETRY;
                self.complain(format!("the kernel's tables cannot be read: {error}")).await;
                return;
            }
        }
        self.tell_addresses().await;
        if self.ledger.is_configured() && !std::mem::replace(&mut self.adopted, true) {
            // A speaker that restarts announces them before its End-of-RIB.
            self.tell_pods().await;
            self.tell(KernelEvent::Adopted(self.ledger.written())).await;
        }
    }

    fn dump(&mut self) -> io::Result<()> {
        // What changes while the dump runs is reported, and makes the next one due.
        self.monitor.hear_routes(true)?;
        self.settles_at = None;
        let (links, addresses) = self.dump_interfaces()?;
        self.dump_objects()?;
        let mut routes = Vec::new();
        let tables: BTreeSet<u32> =
            self.ledger.ownership().tables.iter().copied().chain([MAIN_TABLE]).collect();
        for family in Family::ALL {
            for table in &tables {
                let request = |sequence| request::dump_routes(family, *table, sequence);
                match self.netlink.dump(request, message::route) {
                    Ok(found) => routes.extend(found.into_iter().filter(|route| route.table == *table)),
                    // A table that nobody has written to does not exist.
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let (view, own) = View::new(links, &addresses, routes, self.ledger.ownership());
        self.view = view;
        self.age = Age::Fresh;
        self.interfaces_changed = false;
        self.resolve_all();
        self.ledger.adopt(own, &self.view);
        Ok(())
    }

    fn dump_interfaces(&mut self) -> io::Result<(Vec<Link>, Vec<InterfaceAddress>)> {
        let links = self.netlink.dump(request::dump_links, message::link)?;
        let mut addresses = Vec::new();
        for family in Family::ALL {
            let request = |sequence| request::dump_addresses(family, sequence);
            addresses.extend(self.netlink.dump(request, message::interface_address)?);
        }
        Ok((links, addresses))
    }

    /// Looks at the next-hop objects: with an interface they go without a word.
    fn dump_objects(&mut self) -> io::Result<()> {
        match self.netlink.dump(object::message::dump, object::message::object) {
            Ok(objects) => self.ledger.adopt_objects(Some(objects)),
            // Linux before 5.3.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.ledger.adopt_objects(None);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks at the interfaces and the next-hop objects alone. Next hops that come back do so with the dump.
    async fn glance(&mut self) {
        self.interfaces_changed = false;
        // The dump that is due tells of an error.
        let Ok((links, addresses)) = self.dump_interfaces() else { return };
        if self.dump_objects().is_err() {
            return;
        }
        self.view.replace_interfaces(links, &addresses);
        self.resolve_all();
        self.tell_addresses().await;
        self.tell_next_hops().await;
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
