//! What is done, and when its effect is complete.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bgp::wire::attribute::NextHops;
use serde_json::json;

use super::counter::Figures;
use super::kernel::Kernel;
use super::report::{Clock, seconds};
use super::session::Session;
use super::stream::Stream;
use super::table::Table;

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Each sender announces the whole table.
    Announce,
    /// Each sender withdraws the whole table.
    Withdraw,
    /// Each sender withdraws this many of a hundred prefixes and announces them again.
    Flap(usize),
    /// Nothing but KEEPALIVEs for so many seconds.
    Idle(u64),
    /// The senders say nothing any more: their hold timers run out.
    Silence,
    /// The senders reset their TCP connections.
    Reset,
    /// The first sender resets its TCP connection, and when the kernel has lost its prefixes it comes back.
    Restart,
    /// The first of two senders of one table resets its TCP connection: the routes lose one of two next hops.
    Part,
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "announce" => Ok(Self::Announce),
            None if text == "withdraw" => Ok(Self::Withdraw),
            None if text == "silence" => Ok(Self::Silence),
            None if text == "reset" => Ok(Self::Reset),
            None if text == "restart" => Ok(Self::Restart),
            None if text == "part" => Ok(Self::Part),
            Some(("flap", part)) => {
                let part = part.parse().ok().filter(|part| (1..=100).contains(part));
                part.map(Self::Flap).ok_or_else(|| "flap:PERCENT, from 1 to 100".to_owned())
            }
            Some(("idle", time)) => {
                time.parse().map(Self::Idle).map_err(|error| format!("idle:SECONDS: {error}"))
            }
            _ => {
                Err("announce, withdraw, flap:PERCENT, idle:SECONDS, silence, reset, restart or part"
                    .to_owned())
            }
        }
    }
}

impl Step {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Withdraw => "withdraw",
            Self::Flap(_) => "flap",
            Self::Idle(_) => "idle",
            Self::Silence => "silence",
            Self::Reset => "reset",
            Self::Restart => "restart",
            Self::Part => "part",
        }
    }

    /// Whether the table is there when the step is complete.
    const fn leaves_the_table(self) -> bool {
        matches!(self, Self::Announce | Self::Flap(_))
    }
}

/// A receiver and what it has.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) session: Arc<Session>,
    pub(super) figures: Arc<Figures>,
}

/// All that is open.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) table: Arc<Table>,
    /// What each sender announces.
    pub(super) parts: Vec<Arc<Table>>,
    pub(super) senders: Vec<Arc<Session>>,
    pub(super) receivers: Vec<Receiver>,
    pub(super) kernel: Option<Kernel>,
    /// The kernel's routes before anything was announced.
    pub(super) before: usize,
    pub(super) clock: Clock,
    pub(super) quiet: Duration,
    pub(super) limit: Duration,
}

/// What a session announces: of each attribute set the share `share` of a hundred.
pub(super) fn announcement(session: &Session, part: &Table, share: usize) -> anyhow::Result<Stream> {
    let next_hop = match session.ends.local {
        std::net::IpAddr::V4(address) => NextHops::V4(address),
        std::net::IpAddr::V6(global) => NextHops::V6 { global, link_local: None },
    };
    Stream::announce(part, share, session.ends.asn, next_hop)
}

/// When the effect of a step began and was complete, in nanoseconds of the clock.
struct Effect {
    first: u64,
    complete: u64,
}

impl Run {
    /// Sends KEEPALIVEs on every session from now on.
    pub(super) fn keep_alive(&self, every: Duration) {
        if every.is_zero() {
            return;
        }
        let receivers = self.receivers.iter().map(|receiver| &receiver.session);
        let sessions: Vec<Arc<Session>> = self.senders.iter().chain(receivers).cloned().collect();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(every);
                sessions.iter().for_each(|session| session.keep_alive());
            }
        });
    }

    /// Does one step and waits until its effect is complete.
    pub(super) fn step(&self, step: &Step) -> anyhow::Result<()> {
        if let Step::Idle(time) = *step {
            let start = self.clock.nanos();
            std::thread::sleep(Duration::from_secs(time));
            self.alive(*step)?;
            return self.clock.say(step.name(), json!({"seconds": seconds(self.clock.nanos() - start)}));
        }
        match step {
            Step::Restart => return self.restart(),
            Step::Part => return self.part(),
            _ => {}
        }
        let streams = self.streams(*step)?;
        let octets: usize = streams.iter().flatten().map(Stream::len).sum();
        self.receivers.iter().for_each(|receiver| receiver.figures.begin());
        let start = self.clock.nanos();
        self.act(*step, &streams)?;
        let written = self.clock.nanos();
        let effect = self.complete(*step).with_context(|| step.name())?;
        let figures = |figure: fn(&Figures) -> u64| -> u64 {
            self.receivers.iter().map(|receiver| figure(&receiver.figures)).sum()
        };
        let silences =
            self.receivers.iter().map(|receiver| receiver.figures.silence.load(Ordering::Relaxed)).max();
        self.clock.say(
            step.name(),
            json!({
                "silence": seconds(silences.unwrap_or_default()),
                "seconds": seconds(effect.complete.saturating_sub(start)),
                "first": seconds(effect.first.saturating_sub(start)),
                "written": seconds(written - start),
                "octets": octets,
                "announced": figures(|figures| figures.announced.load(Ordering::Relaxed)),
                "withdrawn": figures(|figures| figures.withdrawn.load(Ordering::Relaxed)),
            }),
        )
    }

    /// What each sender is to write.
    fn streams(&self, step: Step) -> anyhow::Result<Vec<Vec<Stream>>> {
        let streams = self.senders.iter().zip(&self.parts).map(|(session, part)| match step {
            Step::Announce => Ok(vec![announcement(session, part, 100)?, Stream::end_of_rib(part)]),
            Step::Withdraw => Ok(vec![Stream::withdraw(part, 100)]),
            Step::Flap(share) => Ok(vec![Stream::withdraw(part, share), announcement(session, part, share)?]),
            Step::Idle(_) | Step::Silence | Step::Reset | Step::Restart | Step::Part => Ok(Vec::new()),
        });
        streams.collect()
    }

    fn act(&self, step: Step, streams: &[Vec<Stream>]) -> anyhow::Result<()> {
        match step {
            Step::Announce | Step::Withdraw | Step::Flap(_) => std::thread::scope(|scope| {
                let threads: Vec<_> = self
                    .senders
                    .iter()
                    .zip(streams)
                    .map(|(session, streams)| {
                        scope.spawn(|| streams.iter().try_for_each(|stream| session.write(stream)))
                    })
                    .collect();
                threads.into_iter().try_for_each(|thread| {
                    thread.join().map_err(|_| anyhow::anyhow!("a thread that writes panicked"))?
                })
            }),
            Step::Idle(_) | Step::Restart | Step::Part => Ok(()),
            Step::Silence => {
                // The speaker's hold timer starts anew with this one: the step's time is the hold time and the rest.
                self.senders.iter().for_each(|session| session.keep_alive());
                self.senders.iter().for_each(|session| session.alive.store(false, Ordering::Relaxed));
                Ok(())
            }
            Step::Reset => self.senders.iter().try_for_each(|session| session.reset()),
        }
    }

    /// Waits until the kernel, or else every receiver, has what the step is to leave.
    fn complete(&self, step: Step) -> anyhow::Result<Effect> {
        let wanted = if step.leaves_the_table() { self.table.len() } else { 0 };
        let until = Instant::now() + self.limit;
        let mut first = 0;
        loop {
            let now = self.clock.nanos();
            self.alive(step)?;
            let seen = match &self.kernel {
                Some(kernel) => {
                    let routes = kernel.routes()?.saturating_sub(self.before);
                    if first == 0 && routes != if step.leaves_the_table() { 0 } else { self.table.len() } {
                        first = now;
                    }
                    // Of an IPv6 route each next hop of a peer's may count: its last ones are left out of the time then.
                    let more = step.leaves_the_table() && kernel.counts_next_hops();
                    (routes == wanted || (more && routes > wanted)).then_some(Effect { first, complete: now })
                }
                None => self.received(wanted, now),
            };
            if let Some(effect) = seen {
                return Ok(effect);
            }
            if Instant::now() > until {
                bail!("not complete after {:?}: {}", self.limit, self.state()?);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all sessions are there but for those that the step ends.
    pub(super) fn alive(&self, step: Step) -> anyhow::Result<()> {
        let over = |session: &Session| session.ended().map(|why| format!("{}: {why}", session.ends.local));
        let ending = matches!(step, Step::Silence | Step::Reset);
        let senders = self.senders.iter().filter(|_| !ending).map(|session| over(session));
        let receivers = self.receivers.iter().map(|receiver| over(&receiver.session));
        match senders.chain(receivers).flatten().next() {
            Some(why) => bail!("a session ended: {why}"),
            None => Ok(()),
        }
    }

    /// The effect at the receivers, once nothing has come for the quiet time.
    fn received(&self, wanted: usize, now: u64) -> Option<Effect> {
        let complete =
            self.receivers.iter().all(|receiver| receiver.figures.have.load(Ordering::Acquire) == wanted);
        let last = self.receivers.iter().map(|receiver| receiver.figures.last.load(Ordering::Relaxed)).max();
        let first =
            self.receivers.iter().map(|receiver| receiver.figures.first.load(Ordering::Relaxed)).min();
        let last = last.filter(|last| *last > 0 && complete)?;
        let quiet = now.saturating_sub(last) >= u64::try_from(self.quiet.as_nanos()).unwrap_or(u64::MAX);
        quiet.then_some(Effect { first: first.unwrap_or_default(), complete: last })
    }

    pub(super) fn state(&self) -> anyhow::Result<String> {
        if let Some(kernel) = &self.kernel {
            return Ok(format!("the kernel has {} routes, {} before", kernel.routes()?, self.before));
        }
        let have = |receiver: &Receiver| receiver.figures.have.load(Ordering::Relaxed).to_string();
        let have: Vec<String> = self.receivers.iter().map(have).collect();
        Ok(format!("the receivers have {} of {}", have.join(", "), self.table.len()))
    }
}
