//! What keeps a session from starting: a rest, a cut, its configuration.

use super::Session;
use super::action::Action;
use crate::io::Downfall;
use crate::time::Instant;
use crate::wire::notification::Notification;

impl Session {
    /// Ends the session as [`Session::stop`], and keeps it down: what a packet needs is not there.
    pub fn cut_off(
        &mut self,
        farewell: &Notification,
        cause: &Downfall,
        out: &mut Vec<Action>,
        now: Instant,
    ) {
        self.cut_off = Some(cause.clone());
        self.stop(farewell, cause, out, now);
    }

    /// Starts the session if it was cut off.
    pub fn reconnect(&mut self, out: &mut Vec<Action>, now: Instant) {
        if self.cut_off.take().is_some() {
            self.start(out, now);
        }
    }

    /// What keeps the session down, whoever would start it.
    pub(super) fn held(&self) -> Option<Downfall> {
        self.config.held().or_else(|| self.cut_off.clone())
    }

    /// Has a session that was stopped start at that time, unless the configuration keeps it down.
    pub fn rest(&mut self, until: Instant) {
        self.rest_until = self.held().is_none().then_some(until);
    }

    /// Ends the rest that follows a Cease for too many prefixes: another limit is in force.
    pub fn resume(&mut self, out: &mut Vec<Action>, now: Instant) {
        self.rests = 0;
        if self.rest_until.is_some() {
            self.start(out, now);
        }
    }
}
