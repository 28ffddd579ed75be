//! Routes written and asked for with nothing but netlink (rtnetlink(7)): the floor below every speaker that installs
//! routes, and a look at single routes that costs the speaker nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bgp::prefix::{Family, Prefix};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::report::{Clock, seconds};
use super::table::Table;

const AF_NETLINK: i32 = 16;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400 | 0x200;
const ERROR: u16 = 2;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const NEW_NEXT_HOP: u16 = 104;
const DELETE_NEXT_HOP: u16 = 105;
const RTA_DST: u16 = 1;
const RTA_MULTIPATH: u16 = 9;
const RTA_NEXT_HOP_ID: u16 = 30;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
/// The route as the table has it, with all next hops.
const FIB_MATCH: u32 = 0x2000;
/// Routes a write; the last one asks for an answer.
const BATCH: usize = 1_000;
/// Nobody else's protocol.
const PROTOCOL: u8 = 250;

const fn number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Appends a message; `fill` what follows its header.
fn message(out: &mut Vec<u8>, kind: u16, flags: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(kind.to_ne_bytes());
    out.extend((REQUEST | flags).to_ne_bytes());
    out.extend([0; 8]);
    fill(out);
    let len = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&len.to_ne_bytes());
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((value.len() as u16 + 4).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends a route by a next-hop object.
fn route(out: &mut Vec<u8>, prefix: Prefix, object: u32, flags: u16) {
    message(out, NEW_ROUTE, CREATE | flags, |out| {
        out.extend([number(prefix.family()), prefix.len(), 0, 0, 254, PROTOCOL, 0, 1, 0, 0, 0, 0]);
        attribute(out, RTA_DST, &octets(prefix.address()));
        attribute(out, RTA_NEXT_HOP_ID, &object.to_ne_bytes());
    });
}

/// A netlink socket.
struct Netlink {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Netlink {
    fn open() -> anyhow::Result<Self> {
        let socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW, None).context("netlink")?;
        Ok(Self { socket, buffer: vec![0; 64 << 10] })
    }

    /// Writes messages, the last of which asks for an answer, and reads it.
    fn ask(&mut self, messages: &[u8]) -> anyhow::Result<&[u8]> {
        ensure!(self.socket.write(messages)? == messages.len(), "netlink: cut short");
        let len = self.socket.read(&mut self.buffer)?;
        let answer = &self.buffer[..len];
        let field = |at: usize| answer.get(at..at + 4).and_then(|octets| octets.try_into().ok());
        let kind = u16::from_ne_bytes([*answer.get(4).unwrap_or(&0), *answer.get(5).unwrap_or(&0)]);
        if kind == ERROR {
            let errno = field(16).map_or(0, i32::from_ne_bytes);
            ensure!(errno == 0, "netlink: {}", std::io::Error::from_raw_os_error(-errno));
        }
        Ok(answer)
    }

    fn next_hop(&mut self, id: u32, gateway: IpAddr, link: u32) -> anyhow::Result<()> {
        let mut out = Vec::new();
        message(&mut out, NEW_NEXT_HOP, CREATE | ACK, |out| {
            out.extend([number(Family::of(gateway)), 0, PROTOCOL, 0, 0, 0, 0, 0]);
            attribute(out, NHA_ID, &id.to_ne_bytes());
            attribute(out, NHA_OIF, &link.to_ne_bytes());
            attribute(out, NHA_GATEWAY, &octets(gateway));
        });
        self.ask(&out).map(drop)
    }

    /// A group of two.
    fn group(&mut self, id: u32, members: [u32; 2]) -> anyhow::Result<()> {
        let mut out = Vec::new();
        let entries: Vec<u8> =
            members.iter().flat_map(|member| [member.to_ne_bytes(), [0; 4]].concat()).collect();
        message(&mut out, NEW_NEXT_HOP, CREATE | ACK, |out| {
            out.extend([0, 0, PROTOCOL, 0, 0, 0, 0, 0]);
            attribute(out, NHA_ID, &id.to_ne_bytes());
            attribute(out, NHA_GROUP, &entries);
        });
        self.ask(&out).map(drop)
    }

    fn delete(&mut self, id: u32) -> anyhow::Result<()> {
        let mut out = Vec::new();
        message(&mut out, DELETE_NEXT_HOP, ACK, |out| {
            out.extend([0; 8]);
            attribute(out, NHA_ID, &id.to_ne_bytes());
        });
        self.ask(&out).map(drop)
    }

    /// Whether the route of a prefix has several next hops; `None` where there is no such route.
    fn has_several(&mut self, prefix: Prefix) -> anyhow::Result<Option<bool>> {
        let mut out = Vec::new();
        message(&mut out, GET_ROUTE, 0, |out| {
            out.extend([number(prefix.family()), prefix.family().max_len(), 0, 0, 0, 0, 0, 0]);
            out.extend(FIB_MATCH.to_ne_bytes());
            attribute(out, RTA_DST, &octets(prefix.address()));
        });
        let Ok(answer) = self.ask(&out) else { return Ok(None) };
        let mut rest = answer.get(28..).unwrap_or_default();
        while let &[low, high, kind_low, kind_high, ..] = rest {
            let len = usize::from(u16::from_ne_bytes([low, high])).max(4);
            if u16::from_ne_bytes([kind_low, kind_high]) == RTA_MULTIPATH {
                // An IPv6 route by a group of one says so too.
                return Ok(Some(entries(rest.get(4..len).unwrap_or_default()) > 1));
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(Some(false))
    }
}

/// How many `struct rtnexthop` there are, each of which begins with its length.
fn entries(mut octets: &[u8]) -> usize {
    let mut count = 0;
    while let &[low, high, ..] = octets {
        let len = usize::from(u16::from_ne_bytes([low, high])).max(8);
        octets = octets.get(len.next_multiple_of(4)..).unwrap_or_default();
        count += 1;
    }
    count
}

/// What the writes alone take in this namespace, by `gateways` on `link`: the table in, one of two next hops lost, and
/// the other one.
pub(super) fn floor(table: &Table, link: &str, gateways: [IpAddr; 2], clock: &Clock) -> anyhow::Result<()> {
    let mut netlink = Netlink::open()?;
    let index = if_nametoindex(link).with_context(|| link.to_owned())?;
    let ([first, second], group) = ([1, 2], 3);
    netlink.next_hop(first, gateways[0], index)?;
    netlink.next_hop(second, gateways[1], index)?;
    netlink.group(group, [first, second])?;
    let prefixes: Vec<Prefix> = table.prefixes().collect();
    let mut timed = |step: &str, work: &mut dyn FnMut(&mut Netlink) -> anyhow::Result<()>| {
        let start = clock.nanos();
        work(&mut netlink)?;
        clock.say("floor", json!({"step": step, "seconds": seconds(clock.nanos() - start)}))
    };
    timed("announce", &mut |netlink| {
        let mut out = Vec::new();
        for batch in prefixes.chunks(BATCH) {
            out.clear();
            for (at, prefix) in batch.iter().enumerate() {
                route(&mut out, *prefix, group, if at + 1 == batch.len() { ACK } else { 0 });
            }
            netlink.ask(&out)?;
        }
        Ok(())
    })?;
    timed("part", &mut |netlink| netlink.delete(first))?;
    timed("reset", &mut |netlink| netlink.delete(second))
}

/// Waits until each of some routes in the namespace of process `pid` has several next hops, or one.
pub(super) fn until_several(
    pid: u32,
    prefixes: &[Prefix],
    several: bool,
    limit: Duration,
) -> anyhow::Result<()> {
    let wait = || -> anyhow::Result<()> {
        let file = format!("/proc/{pid}/ns/net");
        setns(File::open(&file).context(file)?, CloneFlags::CLONE_NEWNET)?;
        let mut netlink = Netlink::open()?;
        let until = Instant::now() + limit;
        // Each look begins where the one before ended: the last of these to change is what counts.
        for &prefix in prefixes {
            while netlink.has_several(prefix)? != Some(several) {
                if Instant::now() > until {
                    bail!("the route of {prefix} is not as expected after {limit:?}");
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok(())
    };
    // A thread of its own: only that one is in the other namespace.
    let waited = std::thread::scope(|scope| scope.spawn(wait).join());
    waited.map_err(|_| anyhow::anyhow!("the thread that looks at routes panicked"))?
}
