//! Numbered datagrams from each end to each other one, and what became of them.
//!
//! Each pair of ends and each family is a stream of 200 datagrams a second. An end has one socket a family, bound to
//! its address, with a buffer that holds seconds of everything: what is missing in the end was lost on the way.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use labs::namespace::in_network;
use labs::wait;
use nix::sys::socket::{setsockopt, sockopt};

const PORT: u16 = 9000;
const INTERVAL: Duration = Duration::from_millis(5);
const BUFFER: usize = 64 << 20;

/// Who sends and receives.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) name: String,
    pub(super) namespace: PathBuf,
    pub(super) addresses: Vec<IpAddr>,
}

/// Streams that run.
pub(super) struct Streams {
    ends: Vec<End>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
    received: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<BTreeMap<Stream, Sent>>>,
    receivers: Vec<JoinHandle<BTreeMap<Stream, Vec<bool>>>>,
    dropped: usize,
}

/// From end to end, by number, over the family with this number.
type Stream = (u8, u8, u8);

#[derive(Debug, Default)]
struct Sent {
    count: u32,
    errors: BTreeMap<String, usize>,
}

/// What became of one stream.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) family: &'static str,
    pub(super) sent: usize,
    /// Sent and never received.
    pub(super) lost: usize,
    /// The longest time in which nothing of it got through.
    pub(super) gap: Duration,
    /// What the kernel refused to send, by message.
    pub(super) errors: BTreeMap<String, usize>,
}

impl Streams {
    pub(super) fn start(ends: &[End]) -> Self {
        let (stop, done, received) = (Arc::default(), Arc::default(), Arc::default());
        let dropped = dropped(ends);
        let mut streams =
            Self { ends: ends.to_vec(), stop, done, received, senders: vec![], receivers: vec![], dropped };
        let sockets: Vec<Vec<UdpSocket>> = ends.iter().map(sockets).collect();
        for (from, (end, sockets)) in ends.iter().zip(&sockets).enumerate() {
            let targets: Vec<(Stream, UdpSocket, SocketAddr)> = ends
                .iter()
                .enumerate()
                .filter(|(to, _)| *to != from)
                .flat_map(|(to, other)| other.addresses.iter().map(move |address| (to, *address)))
                .map(|(to, address)| {
                    let family =
                        end.addresses.iter().position(|own| own.is_ipv4() == address.is_ipv4()).unwrap();
                    let stream = (number(from), number(to), number(family));
                    (stream, sockets[family].try_clone().unwrap(), SocketAddr::new(address, PORT))
                })
                .collect();
            let stop = Arc::clone(&streams.stop);
            streams.senders.push(std::thread::spawn(move || send(&targets, &stop)));
            for socket in sockets {
                let socket = socket.try_clone().unwrap();
                let (done, received, ends) =
                    (Arc::clone(&streams.done), Arc::clone(&streams.received), ends.to_vec());
                streams.receivers.push(std::thread::spawn(move || receive(&socket, &ends, &done, &received)));
            }
        }
        streams
    }

    /// Lets the streams run on for some time.
    pub(super) fn run(&self, time: Duration) {
        let end = Instant::now() + time;
        wait::until("the streams to have run for some time", time * 2, || Instant::now() >= end);
    }

    /// Ends the streams and tells what became of each.
    pub(super) fn finish(self) -> Vec<Fate> {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.iter().for_each(|sender| sender.thread().unpark());
        let sent: BTreeMap<Stream, Sent> =
            self.senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        let all: usize = sent.values().map(|sent| sent.count as usize).sum();
        // What is on its way arrives within this time, or it is lost.
        let _ = wait::attempt("the last datagrams", Duration::from_secs(1), || {
            self.received.load(Ordering::Relaxed) >= all
        });
        self.done.store(true, Ordering::Relaxed);
        let received: BTreeMap<Stream, Vec<bool>> =
            self.receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect();
        assert_eq!(
            dropped(&self.ends),
            self.dropped,
            "a receiver was too slow: nothing can be said of losses"
        );
        let none = Vec::new();
        let fate = |(stream, sent): (Stream, Sent)| {
            let seen = received.get(&stream).unwrap_or(&none);
            let seen = (0..sent.count as usize).map(|number| seen.get(number).copied().unwrap_or(false));
            let (mut lost, mut run, mut longest) = (0, 0, 0);
            for seen in seen {
                run = if seen { 0 } else { run + 1 };
                lost += usize::from(!seen);
                longest = longest.max(run);
            }
            Fate {
                from: self.ends[usize::from(stream.0)].name.clone(),
                to: self.ends[usize::from(stream.1)].name.clone(),
                family: if self.ends[usize::from(stream.0)].addresses[usize::from(stream.2)].is_ipv4() {
                    "IPv4"
                } else {
                    "IPv6"
                },
                sent: sent.count as usize,
                lost,
                gap: INTERVAL * longest,
                errors: sent.errors,
            }
        };
        sent.into_iter().map(fate).collect()
    }
}

fn number(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

fn sockets(end: &End) -> Vec<UdpSocket> {
    in_network(&end.namespace, || {
        let socket = |address: &IpAddr| {
            let socket = UdpSocket::bind((*address, PORT))
                .unwrap_or_else(|error| panic!("{} {address}: {error}", end.name));
            setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).unwrap();
            setsockopt(&socket, sockopt::SndBufForce, &BUFFER).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            socket
        };
        end.addresses.iter().map(socket).collect()
    })
}

fn send(targets: &[(Stream, UdpSocket, SocketAddr)], stop: &AtomicBool) -> BTreeMap<Stream, Sent> {
    let mut sent: BTreeMap<Stream, Sent> = BTreeMap::new();
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        for (stream, socket, target) in targets {
            let sent = sent.entry(*stream).or_default();
            let mut datagram = [0; 64];
            datagram[..3].copy_from_slice(&[stream.0, stream.1, stream.2]);
            datagram[3..7].copy_from_slice(&sent.count.to_be_bytes());
            sent.count += 1;
            if let Err(error) = socket.send_to(&datagram, target) {
                *sent.errors.entry(error.to_string()).or_default() += 1;
            }
        }
        next += INTERVAL;
        // Until the next ones are due, or it is told to stop.
        std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
    }
    sent
}

fn receive(
    socket: &UdpSocket,
    ends: &[End],
    done: &AtomicBool,
    count: &AtomicUsize,
) -> BTreeMap<Stream, Vec<bool>> {
    let mut received: BTreeMap<Stream, Vec<bool>> = BTreeMap::new();
    let mut buffer = [0; 128];
    loop {
        let Ok((64, sender)) = socket.recv_from(&mut buffer) else {
            // A pause, or an ICMP error that another end's kernel sent: both are told by what is missing.
            if done.load(Ordering::Relaxed) {
                return received;
            }
            continue;
        };
        let stream = (buffer[0], buffer[1], buffer[2]);
        let address = ends[usize::from(stream.0)].addresses[usize::from(stream.2)];
        assert_eq!(
            sender.ip(),
            address,
            "a datagram of {} came from another address",
            ends[usize::from(stream.0)].name
        );
        let number = u32::from_be_bytes(buffer[3..7].try_into().unwrap()) as usize;
        let seen = received.entry(stream).or_default();
        seen.resize(seen.len().max(number + 1), false);
        seen[number] = true;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Datagrams that the ends' kernels threw away because their receivers were slow.
fn dropped(ends: &[End]) -> usize {
    ends.iter().map(|end| buffer_errors(&end.namespace)).sum()
}

fn buffer_errors(namespace: &Path) -> usize {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
    let (snmp, snmp6) = in_network(namespace, || (read("snmp"), read("snmp6")));
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp:")).map(str::split_whitespace);
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let four = names.zip(values).find(|(name, _)| *name == "RcvbufErrors").unwrap().1;
    let six = snmp6.lines().find_map(|line| line.strip_prefix("Udp6RcvbufErrors")).unwrap();
    four.parse::<usize>().unwrap() + six.trim().parse::<usize>().unwrap()
}
