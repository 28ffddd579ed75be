//! A sender that goes and comes back, and one of two that goes: what becomes of the kernel's routes meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bgp::prefix::Prefix;
use serde_json::json;

use super::netlink;
use super::report::seconds;
use super::step::{Run, Step, announcement};
use super::stream::Stream;

/// Routes that are looked at one by one.
const SAMPLES: usize = 64;

impl Run {
    /// The first sender goes and comes back; the figures are until its prefixes are gone, and until they are back.
    pub(super) fn restart(&self) -> anyhow::Result<()> {
        let (Some(session), Some(part)) = (self.senders.first(), self.parts.first()) else {
            bail!("restart: there is no sender")
        };
        let kernel = self.kernel.as_ref().context("restart: there is no --kernel to watch")?;
        let until = Instant::now() + self.limit;
        let reaches = |wanted: usize| {
            while kernel.routes()?.saturating_sub(self.before) != wanted {
                if Instant::now() > until {
                    bail!("restart: not complete after {:?}: {}", self.limit, self.state()?);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(self.clock.nanos())
        };
        let streams = [announcement(session, part, 100)?, Stream::end_of_rib(part)];
        let start = self.clock.nanos();
        session.reset()?;
        let gone = reaches(self.table.len() - part.len())?;
        let stream = session.reopen(until)?;
        let (reader, clock) = (Arc::clone(session), self.clock);
        std::thread::spawn(move || reader.read(stream, &clock, |_, _| Ok(())));
        let open = self.clock.nanos();
        streams.iter().try_for_each(|stream| session.write(stream))?;
        let back = reaches(self.table.len())?;
        self.alive(Step::Idle(0))?;
        self.clock.say(
            Step::Restart.name(),
            json!({
                "seconds": seconds(back - start),
                "first": seconds(gone - start),
                "learned": seconds(back - open),
            }),
        )
    }

    /// One of two senders of the same prefixes goes; the time is until the last of some routes has one next hop.
    pub(super) fn part(&self) -> anyhow::Result<()> {
        let session = self.senders.first().context("part: there is no sender")?;
        let pid = self.kernel.as_ref().context("part: there is no --kernel to watch")?.pid;
        let every = (self.table.len() / SAMPLES).max(1);
        let samples: Vec<Prefix> = self.table.prefixes().step_by(every).collect();
        netlink::until_several(pid, &samples, true, self.limit)?;
        let start = self.clock.nanos();
        session.reset()?;
        netlink::until_several(pid, &samples, false, self.limit)?;
        self.clock.say(Step::Part.name(), json!({"seconds": seconds(self.clock.nanos() - start)}))
    }
}
