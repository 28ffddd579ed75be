//! A speaker whose calls may be recorded. Questions go past this: they change
//! nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Deref;

use bgp::config::SpeakerConfig;
use bgp::io::{Effects, Event};
use bgp::prefix::PerFamily;
use bgp::speaker::Speaker;
use bgp::time::Instant;

use super::line::Line;
use super::writer::Recorder;

/// A speaker, recorded or not.
#[derive(Debug)]
pub struct Recorded {
    speaker: Speaker,
    recorder: Option<Recorder>,
}

impl Recorded {
    /// A new speaker; see [`Speaker::new`].
    #[must_use]
    pub fn new(config: &SpeakerConfig, seed: u64, mut recorder: Option<Recorder>) -> Self {
        if let Some(recorder) = &mut recorder {
            recorder.start(config, seed);
        }
        Self { speaker: Speaker::new(config, seed), recorder }
    }

    /// See [`Speaker::handle`].
    pub fn handle(&mut self, event: Event<'_>, effects: &mut Effects, now: Instant) {
        let line = || Line::Handle { at: now, event: event.into() };
        self.call(line, effects, |speaker, effects| speaker.handle(event, effects, now));
    }

    /// See [`Speaker::work`].
    pub fn work(&mut self, effects: &mut Effects, now: Instant) -> bool {
        self.call(|| Line::Work { at: now }, effects, |speaker, effects| speaker.work(effects, now))
    }

    /// See [`Speaker::reconcile`].
    pub fn reconcile(&mut self, config: SpeakerConfig, effects: &mut Effects, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.call(|| Line::Reconcile { at: now, config: Box::new(config.clone()) });
        }
        self.watched(effects, |speaker, effects| speaker.reconcile(config, effects, now));
    }

    /// See [`Speaker::resume`].
    pub fn resume(&mut self, forwarding: PerFamily<bool>, expected: Option<BTreeSet<IpAddr>>) {
        let (mut none, told) = (Effects::default(), expected.clone());
        let line = || Line::Resume { forwarding, expected: told };
        self.call(line, &mut none, |speaker, _| speaker.resume(forwarding, expected));
    }

    /// See [`Speaker::suspend`].
    pub fn suspend(&mut self, effects: &mut Effects, now: Instant) {
        self.call(|| Line::Suspend { at: now }, effects, |speaker, effects| speaker.suspend(effects, now));
    }

    /// See [`Speaker::shutdown`].
    pub fn shutdown(&mut self, text: &str, effects: &mut Effects, now: Instant) {
        let line = || Line::Shutdown { at: now, text: text.into() };
        self.call(line, effects, |speaker, effects| speaker.shutdown(text, effects, now));
    }

    /// A turn of the loop ends. Says once why the recording has ended before the agent, if it has.
    pub fn end_turn(&mut self) -> Option<String> {
        let recorder = self.recorder.as_mut()?;
        recorder.end_turn();
        let ended = recorder.ended();
        if ended.is_some() {
            self.recorder = None;
        }
        ended
    }

    fn call<'l, R>(
        &mut self,
        line: impl FnOnce() -> Line<'l>,
        effects: &mut Effects,
        call: impl FnOnce(&mut Speaker, &mut Effects) -> R,
    ) -> R {
        if let Some(recorder) = &mut self.recorder {
            recorder.call(line);
        }
        self.watched(effects, call)
    }

    /// Makes the call; where it is recorded its effects are looked at by themselves.
    fn watched<R>(&mut self, effects: &mut Effects, call: impl FnOnce(&mut Speaker, &mut Effects) -> R) -> R {
        let Some(recorder) = &mut self.recorder else { return call(&mut self.speaker, effects) };
        let mut own = Effects::default();
        let result = call(&mut self.speaker, &mut own);
        recorder.effects(&own);
        // Field by field, so that none that is added is forgotten.
        let Effects { transport, tracking, sets, routes, notes, notices } = own;
        effects.transport.extend(transport);
        effects.tracking.extend(tracking);
        effects.sets.extend(sets);
        effects.routes.extend(routes);
        effects.notes.extend(notes);
        effects.notices.extend(notices);
        result
    }
}

impl Deref for Recorded {
    type Target = Speaker;

    fn deref(&self) -> &Speaker {
        &self.speaker
    }
}
