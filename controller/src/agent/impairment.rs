//! What the agent cannot do at present, told once and shown until it can again.

use std::collections::BTreeMap;

use bgp::time::Instant;
use tokio::sync::mpsc;

use crate::status::event::{Event, EventKind};
use crate::status::impairment::Impairment;

/// Where what fails beside the loop is told.
pub(super) type ImpairedSender = mpsc::UnboundedSender<(Impairment, Option<String>)>;

/// A way to tell the loop why something cannot be done, or that it can.
pub(super) fn tell_of(
    what: Impairment,
    to: &ImpairedSender,
) -> impl Fn(Option<String>) + Send + Sync + use<> {
    let to = to.clone();
    // The loop's end goes at shutdown, when nobody listens any more.
    move |why| drop(to.send((what, why)))
}

/// What is impaired, and why.
#[derive(Debug, Default)]
pub(super) struct Impairments(BTreeMap<Impairment, String>);

impl Impairments {
    /// Takes in why a thing cannot be done, or that it can again; what of that is news.
    pub(super) fn note(&mut self, what: Impairment, why: Option<String>, now: Instant) -> Option<Event> {
        let word = what.word();
        match why {
            Some(why) => {
                let text = format!("{word}: {why}");
                let before = self.0.insert(what, why);
                if before.as_deref() == self.0.get(&what).map(String::as_str) {
                    return None;
                }
                tracing::warn!(event = EventKind::Impaired.word(), what = word, reason = text);
                Some(Event::new(EventKind::Impaired, &text, now))
            }
            None => {
                self.0.remove(&what)?;
                tracing::info!(event = EventKind::Recovered.word(), what = word);
                Some(Event::new(EventKind::Recovered, word, now))
            }
        }
    }

    /// Why a thing cannot be done.
    pub(super) fn of(&self, what: Impairment) -> Option<&str> {
        self.0.get(&what).map(String::as_str)
    }

    /// All of it, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(what, why)| format!("{}: {why}", what.word())).collect()
    }
}
