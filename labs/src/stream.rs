//! Numbered packets from one namespace to another at a steady pace, and which of them are lost.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::netns::Netns;

/// How long the last packets may be on their way.
pub const TAIL: Duration = Duration::from_millis(300);

/// More packets than a day has of the quickest stream: a number beyond is none of ours.
const MOST: u64 = 100_000_000;

/// The numbers that have arrived.
#[derive(Debug, Default)]
struct Arrived {
    numbers: Vec<bool>,
    last: u64,
}

impl Arrived {
    fn take(&mut self, number: u64) {
        if let Some(at) = usize::try_from(number).ok().filter(|_| number < MOST) {
            self.numbers.resize(self.numbers.len().max(at + 1), false);
            self.numbers[at] = true;
            self.last = self.last.max(number);
        }
    }

    fn has(&self, number: u64) -> bool {
        usize::try_from(number).ok().and_then(|at| self.numbers.get(at)).copied().unwrap_or_default()
    }

    /// Whether so many have arrived one after the other at last, all of them after `number`.
    fn is_steady(&self, number: u64, run: u64) -> bool {
        self.last >= number + run && (self.last - run..=self.last).all(|number| self.has(number))
    }
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    stop: AtomicBool,
    arrived: Mutex<Arrived>,
}

/// A stream that goes on until it is dropped.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    /// Sends a packet each `pace` from the address `own` in `from` to `target` in `to`.
    ///
    /// # Errors
    /// Sockets that cannot be had, such as those of an address that is not there.
    pub fn start(
        from: &Netns,
        own: IpAddr,
        to: &Netns,
        target: SocketAddr,
        pace: Duration,
    ) -> io::Result<Self> {
        let receiver = to.enter(|| UdpSocket::bind(target))?;
        let sender = from.enter(|| UdpSocket::bind((own, 0)))?;
        receiver.set_read_timeout(Some(TAIL))?;
        let shared = Arc::new(Shared::default());
        let (one, two) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || send(&sender, target, pace, &one)),
            std::thread::spawn(move || receive(&receiver, &two)),
        ];
        Ok(Self { shared, threads })
    }

    /// How many were sent so far: the number of the next.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Whether `run` packets have arrived one after the other at last, all of them sent after `number`.
    #[must_use]
    pub fn is_steady(&self, number: u64, run: u64) -> bool {
        self.shared.arrived.lock().is_ok_and(|arrived| arrived.is_steady(number, run))
    }

    /// How many of these have not arrived.
    #[must_use]
    pub fn lost(&self, numbers: std::ops::Range<u64>) -> u64 {
        let Ok(arrived) = self.shared.arrived.lock() else { return 0 };
        numbers.map(|number| u64::from(!arrived.has(number))).sum()
    }

    /// Sends nothing more, and waits for what is on its way; how many were sent.
    pub fn end(&mut self) -> u64 {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that has failed has counted what it could.
            let _ = thread.join();
        }
        self.sent()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}

fn send(socket: &UdpSocket, target: SocketAddr, pace: Duration, shared: &Shared) {
    let began_at = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.sent.load(Ordering::Relaxed);
        // A packet that cannot leave is lost as well.
        let _ = socket.send_to(&number.to_be_bytes(), target);
        shared.sent.store(number + 1, Ordering::Relaxed);
        let due = began_at + pace * u32::try_from(number + 1).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn receive(socket: &UdpSocket, shared: &Shared) {
    let mut octets = [0; 8];
    loop {
        match socket.recv(&mut octets) {
            Ok(8) => {
                if let Ok(mut arrived) = shared.arrived.lock() {
                    arrived.take(u64::from_be_bytes(octets));
                }
            }
            Ok(_) => {}
            Err(_) if shared.stop.load(Ordering::Relaxed) => return,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_steady_when_nothing_was_missing_for_a_while() {
        let mut arrived = Arrived::default();
        (0..50).chain(51..100).for_each(|number| arrived.take(number));
        assert!(!arrived.is_steady(0, 50), "one is missing");
        (100..=101).for_each(|number| arrived.take(number));
        assert!(arrived.is_steady(51, 50) && !arrived.is_steady(52, 50));
        arrived.take(u64::MAX);
        assert!(!arrived.has(u64::MAX) && arrived.last == 101);
    }
}
