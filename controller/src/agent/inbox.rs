//! Everything that waits for the loop, and in which order it is taken: one of each kind after the other.

use std::net::IpAddr;

use tokio::sync::mpsc;

use crate::bfd::News;
use crate::cluster::SourceEvent;
use crate::event::Event;
use crate::kernel::KernelEvent;
use crate::operator::order::Order;
use crate::status::impairment::Impairment;
use crate::status::query::Query;
use crate::transport::TransportEvent;

fn impaired((what, why): (Impairment, Option<String>)) -> Event {
    Event::Impaired { what, why }
}

/// The receiving ends.
pub(super) struct Waiting {
    pub(super) source: mpsc::Receiver<SourceEvent>,
    pub(super) kernel: mpsc::Receiver<KernelEvent>,
    pub(super) queries: mpsc::Receiver<Query>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) bfd: mpsc::Receiver<News>,
    pub(super) transport: mpsc::UnboundedReceiver<TransportEvent>,
    pub(super) routers: mpsc::Receiver<IpAddr>,
    /// What fails beside the loop, or is mended: some words a minute.
    pub(super) impairments: mpsc::UnboundedReceiver<(Impairment, Option<String>)>,
}

/// Everything that waits for the loop.
pub(super) struct Inbox {
    waiting: Waiting,
    /// What each of them may still give in this turn.
    quota: [usize; 8],
    /// Whose turn it is among them.
    at: usize,
}

impl Inbox {
    /// An inbox of these.
    pub(super) fn new(waiting: Waiting) -> Self {
        Self { waiting, quota: [0; 8], at: 0 }
    }

    /// Waits for any event; `None` when a driver is gone.
    pub(super) async fn wait(&mut self) -> Option<Event> {
        let waiting = &mut self.waiting;
        tokio::select! {
            event = waiting.source.recv() => event.map(Event::Source),
            event = waiting.kernel.recv() => event.map(Event::Kernel),
            event = waiting.transport.recv() => event.map(Event::Transport),
            event = waiting.bfd.recv() => event.map(Event::Bfd),
            event = waiting.queries.recv() => event.map(Event::Query),
            event = waiting.orders.recv() => event.map(Event::Order),
            event = waiting.impairments.recv() => event.map(impaired),
            event = waiting.routers.recv() => event.map(Event::Router),
        }
    }

    /// A turn begins: what waits now is what it may take. A connection has one
    /// chunk among that, as its next one comes only after this one was taken.
    pub(super) fn begin(&mut self) {
        let waiting = &self.waiting;
        self.quota = [
            waiting.source.len(),
            waiting.kernel.len(),
            waiting.queries.len(),
            waiting.transport.len(),
            waiting.impairments.len(),
            waiting.bfd.len(),
            waiting.orders.len(),
            waiting.routers.len(),
        ];
    }

    /// The next event of this turn, one of each kind after the other.
    pub(super) fn next(&mut self) -> Option<Event> {
        for _ in 0..self.quota.len() {
            let at = self.at;
            self.at = (at + 1) % self.quota.len();
            if self.quota[at] == 0 {
                continue;
            }
            self.quota[at] -= 1;
            let waiting = &mut self.waiting;
            let event = match at {
                0 => waiting.source.try_recv().ok().map(Event::Source),
                1 => waiting.kernel.try_recv().ok().map(Event::Kernel),
                2 => waiting.queries.try_recv().ok().map(Event::Query),
                3 => waiting.transport.try_recv().ok().map(Event::Transport),
                4 => waiting.impairments.try_recv().ok().map(impaired),
                5 => waiting.bfd.try_recv().ok().map(Event::Bfd),
                6 => waiting.orders.try_recv().ok().map(Event::Order),
                _ => waiting.routers.try_recv().ok().map(Event::Router),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }
}
