//! The command line of the load generator, and the run as a whole.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bgp::id::{Asn, RouterId};
use bgp::prefix::Family;
use serde_json::json;

use super::counter::{self, Counter, Figures};
use super::kernel::Kernel;
use super::report::{Clock, seconds};
use super::session::{Ends, Reading, Session};
use super::step::{Receiver, Run, Step};
use super::table::Table;

/// Opens BGP sessions towards one speaker, sends a table, counts what comes back; prints JSON lines
#[derive(clap::Parser, Debug)]
#[command(name = "load", version)]
pub(super) struct Options {
    /// The speaker's address
    #[arg(long)]
    to: IpAddr,
    /// The speaker's port
    #[arg(long, default_value_t = 179)]
    port: u16,
    /// The own address of the first session; each further one takes the next address
    #[arg(long)]
    from: IpAddr,
    /// The AS of the first session; each further one takes the next AS
    #[arg(long)]
    asn: u32,
    /// Sessions that announce the table
    #[arg(long, default_value_t = 1)]
    senders: usize,
    /// Sessions that count what they are sent
    #[arg(long, default_value_t = 1)]
    receivers: usize,
    /// The table's family: ipv4 or ipv6
    #[arg(long, default_value = "ipv4", value_parser = family)]
    family: Family,
    /// Prefixes of the table
    #[arg(long, default_value_t = 100_000)]
    prefixes: usize,
    /// Attribute sets of the table
    #[arg(long, default_value_t = 4_000)]
    sets: usize,
    /// Take the table from a dump of a route collector (MRT, TABLE_DUMP), `--prefixes` of it at most
    #[arg(long, value_name = "FILE")]
    mrt: Option<PathBuf>,
    /// The table's seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The hold time to offer, in seconds
    #[arg(long, default_value_t = 240)]
    hold: u16,
    /// Half of the table from the first sender, the rest from the others in equal parts; else all of it from each
    #[arg(long)]
    split: bool,
    /// What to do, in order: announce, withdraw, flap:PERCENT, idle:SECONDS, silence, reset, restart, part
    #[arg(long, value_delimiter = ',')]
    steps: Vec<Step>,
    /// No speaker at all: the table straight from a sender to a receiver
    #[arg(long)]
    floor: bool,
    /// No speaker at all: the table straight into the kernel of this namespace, by two gateways from `--to` on
    #[arg(long, value_name = "LINK")]
    kernel_floor: Option<String>,
    /// Wait for the kernel's routes in the network namespace of this process, instead of for receivers
    #[arg(long, value_name = "PID")]
    kernel: Option<u32>,
    /// A step is complete when nothing has come for this long, in milliseconds
    #[arg(long, default_value_t = 300)]
    quiet: u64,
    /// Give up after this many seconds a step
    #[arg(long, default_value_t = 60)]
    limit: u64,
}

fn family(text: &str) -> Result<Family, String> {
    match text {
        "ipv4" => Ok(Family::Ipv4),
        "ipv6" => Ok(Family::Ipv6),
        _ => Err("ipv4 or ipv6".to_owned()),
    }
}

impl Options {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let floor = self.floor || self.kernel_floor.is_some();
        ensure!(floor || !self.steps.is_empty(), "nothing to do: --steps");
        ensure!(self.senders + self.receivers > 0, "no sessions: --senders or --receivers");
        ensure!(self.prefixes > 0, "--prefixes is 0");
        let table = Arc::new(match &self.mrt {
            Some(file) => {
                super::mrt::table(file, self.prefixes).with_context(|| file.display().to_string())?
            }
            None => Table::new(self.family, self.prefixes, self.sets, self.seed),
        });
        let places = counter::places(&table);
        let clock = Clock::start();
        clock.say("table", json!({"prefixes": table.len(), "sets": table.sets.len(), "seed": self.seed}))?;

        if self.floor {
            return super::floor::run(&table, &places, Asn(self.asn), &clock);
        }
        if let Some(link) = &self.kernel_floor {
            let second = following(self.to, 1).context("no address follows --to")?;
            return super::netlink::floor(&table, link, [self.to, second], &clock);
        }
        let mut sessions = self.connect(&clock)?.into_iter();
        let senders: Vec<Arc<Session>> = sessions
            .by_ref()
            .take(self.senders)
            .map(|(session, stream)| {
                let reader = Arc::clone(&session);
                // What comes back to a sender is read and dropped: a full window would hold the speaker up.
                std::thread::spawn(move || reader.read(stream, &clock, |_, _| Ok(())));
                session
            })
            .collect();
        let receivers: Vec<Receiver> = sessions
            .map(|(session, stream)| {
                let figures = Arc::new(Figures::default());
                let mut counter = Counter::new(Arc::clone(&places), Arc::clone(&figures));
                let reader = Arc::clone(&session);
                std::thread::spawn(move || {
                    reader.read(stream, &clock, |chunk, clock| counter.read(chunk, clock));
                });
                Receiver { session, figures }
            })
            .collect();
        let kernel = self.kernel.map(|pid| Kernel::of(pid, self.family));
        let before = kernel.as_ref().map_or(Ok(0), Kernel::routes)?;
        let parts = if self.split {
            table.split(self.senders).into_iter().map(Arc::new).collect()
        } else {
            vec![Arc::clone(&table); self.senders]
        };
        let run = Run {
            table,
            parts,
            senders,
            receivers,
            kernel,
            before,
            clock,
            quiet: Duration::from_millis(self.quiet),
            limit: Duration::from_secs(self.limit),
        };
        run.keep_alive(Duration::from_secs(u64::from(self.hold) / 3));
        self.steps.iter().try_for_each(|step| run.step(step))
    }

    /// All sessions at once, each from a thread of its own.
    fn connect(&self, clock: &Clock) -> anyhow::Result<Vec<(Arc<Session>, Reading)>> {
        let until = Instant::now() + Duration::from_secs(self.limit);
        let ends: Vec<Ends> =
            (0..self.senders + self.receivers).map(|index| self.ends(index)).collect::<Result<_, _>>()?;
        let start = clock.nanos();
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                ends.iter().map(|ends| scope.spawn(|| Session::open(ends, until))).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut sessions = Vec::new();
        for session in opened {
            sessions.push(session.map_err(|_| anyhow::anyhow!("a thread that connects panicked"))??);
        }
        let took = clock.nanos() - start;
        clock.say("established", json!({"sessions": sessions.len(), "seconds": seconds(took)}))?;
        Ok(sessions)
    }

    fn ends(&self, index: usize) -> anyhow::Result<Ends> {
        let index = u32::try_from(index)?;
        let local = following(self.from, index).context("no address follows --from")?;
        Ok(Ends {
            local,
            remote: SocketAddr::new(self.to, self.port),
            asn: Asn(self.asn + index),
            // Distinct, and not that of a speaker: those of the labs lie in 10.0.0.0/8.
            router_id: RouterId(0xc612_0001 + index),
            hold_seconds: self.hold,
        })
    }
}

/// The address so many further.
fn following(first: IpAddr, count: u32) -> Option<IpAddr> {
    match first {
        IpAddr::V4(first) => u32::from(first).checked_add(count).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(first) => u128::from(first).checked_add(count.into()).map(|bits| IpAddr::V6(bits.into())),
    }
}
