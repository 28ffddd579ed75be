//! What one receiver has of the table at present, and when that changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bgp::prefix::{PerFamily, Prefix};
use bgp::wire::codec::Codec;
use bgp::wire::frame::{Framer, Kind};
use bgp::wire::update::Update;

use super::report::Clock;
use super::table::Table;

/// The place of each prefix of the table in a receiver's bitmap.
pub(super) type Places = Arc<HashMap<Prefix, u32, foldhash::fast::FixedState>>;

/// The places of a table's prefixes.
pub(super) fn places(table: &Table) -> Places {
    Arc::new(table.prefixes().zip(0..).collect())
}

/// The figures of one receiver: written by its reader, read by whoever waits.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Prefixes that are announced at present.
    pub(super) have: AtomicUsize,
    /// Announcements of prefixes, repeated ones included, since the step began.
    pub(super) announced: AtomicU64,
    /// Withdrawals of prefixes since the step began.
    pub(super) withdrawn: AtomicU64,
    /// When the first and the last UPDATE of the step came, in nanoseconds of the clock; 0 for none.
    pub(super) first: AtomicU64,
    pub(super) last: AtomicU64,
    /// The longest time without any message of the speaker since the step began, in nanoseconds.
    pub(super) silence: AtomicU64,
}

impl Figures {
    /// Forgets the step before. Nothing is on its way then.
    pub(super) fn begin(&self) {
        for figure in [&self.announced, &self.withdrawn, &self.first, &self.last, &self.silence] {
            figure.store(0, Ordering::Relaxed);
        }
    }
}

/// A receiver's own view.
pub(super) struct Counter {
    places: Places,
    present: Vec<bool>,
    framer: Framer,
    figures: Arc<Figures>,
    /// When octets came last.
    heard: Option<u64>,
}

/// What the receiver reads: what was offered in its OPEN.
pub(super) const CODEC: Codec = Codec {
    four_octet: true,
    external: true,
    families: PerFamily { ipv4: true, ipv6: true },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};

impl Counter {
    pub(super) fn new(places: Places, figures: Arc<Figures>) -> Self {
        Self { present: vec![false; places.len()], places, framer: Framer::new(), figures, heard: None }
    }

    /// Reads what came, in any pieces.
    ///
    /// # Errors
    /// The speaker's NOTIFICATION in hex, or what is wrong with its octets.
    pub(super) fn read(&mut self, mut chunk: &[u8], clock: &Clock) -> anyhow::Result<()> {
        let now = clock.nanos();
        let silence = self.heard.replace(now).map_or(0, |heard| now - heard);
        self.figures.silence.fetch_max(silence, Ordering::Relaxed);
        let (mut announced, mut withdrawn, mut updates) = (0, 0, 0);
        let mut have = self.figures.have.load(Ordering::Relaxed);
        while let Some(frame) = self.framer.next(&mut chunk).map_err(|error| anyhow::anyhow!("{error:?}"))? {
            match frame.kind {
                Kind::Update => {}
                Kind::Notification => anyhow::bail!("the speaker sent NOTIFICATION {:02x?}", frame.body),
                _ => continue,
            }
            updates += 1;
            let update = Update::parse(frame.body, &CODEC).map_err(|error| anyhow::anyhow!("{error:?}"))?;
            for nlri in update.withdrawn() {
                for prefix in nlri.iter() {
                    withdrawn += 1;
                    have -= usize::from(mark(&self.places, &mut self.present, prefix, false));
                }
            }
            for part in update.announced() {
                for prefix in part.nlri.iter() {
                    announced += 1;
                    have += usize::from(mark(&self.places, &mut self.present, prefix, true));
                }
            }
        }
        if updates > 0 {
            let now = clock.nanos();
            let figures = &self.figures;
            let _ = figures.first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            figures.announced.fetch_add(announced, Ordering::Relaxed);
            figures.withdrawn.fetch_add(withdrawn, Ordering::Relaxed);
            figures.last.store(now, Ordering::Relaxed);
            // Last: whoever sees the table complete sees the other figures of that moment too.
            figures.have.store(have, Ordering::Release);
        }
        Ok(())
    }
}

/// Whether this changed what the receiver has. A prefix that is not the table's is none of the receiver's.
fn mark(places: &Places, present: &mut [bool], prefix: Prefix, to: bool) -> bool {
    let place = places.get(&prefix).and_then(|place| present.get_mut(*place as usize));
    place.is_some_and(|place| std::mem::replace(place, to) != to)
}
