//! Rates of an attachment: what may be asked for, and the queueing disciplines that hold them,
//! as messages. Pure.
//!
//! What goes to the pod waits in a token bucket (`tbf`) on the host end. What comes from it is
//! led from the host end to an `ifb` of its own, which has the other bucket: the pod cannot
//! take away what stands in the node's namespace.
//!
//! The queue is bounded by time, so that a full one costs each packet a known delay. The bucket
//! is bounded too: runtimes ask for bursts of half a gigabyte, which would be no limit at all.

use std::ops::RangeInclusive;

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attribute::{find, put, put_nested, text, u32_at};
use crate::error::{Code, Error, Result};
use crate::netlink::Request;

/// The longest that a packet waits in a full queue, where that is room enough for a few packets.
const QUEUE_MILLISECONDS: u64 = 10;

/// The most that a bucket holds beyond its rate, where that is room enough for what a sender
/// hands over at once.
const BUCKET_MILLISECONDS: u64 = 10;

/// A queue or a bucket below this holds up a single sender.
const ROOM: u64 = 16 << 10;

/// What link layers add to a packet of the size of the MTU, bytes.
const HEADERS: u64 = 18;

/// Rates, bits a second: less is nothing at all in bytes, more has no interface.
const RATE: RangeInclusive<u64> = 8..=100_000_000_000_000;

/// Bursts, bits: as many bytes as the kernel can count.
const BURST: RangeInclusive<u64> = 1..=(u32::MAX as u64 * 8 + 7);

// linux/pkt_sched.h, linux/pkt_cls.h, linux/rtnetlink.h, linux/tc_act/tc_mirred.h
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TC_LINKLAYER_ETHERNET: u8 = 1;
const TC_H_CLSACT: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_fff2;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TC_U32_TERMINAL: u8 = 1;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TC_ACT_STOLEN: u32 = 4;
const TCA_EGRESS_REDIR: u32 = 1;
/// Where the index of the device stands in `struct tc_mirred`.
const MIRRED_DEVICE: usize = 24;
/// `ETH_P_ALL` as tc writes it, below the filter's priority 1.
const EVERY_PROTOCOL: u32 = 1 << 16 | (3_u16.to_be() as u32);

/// Rates as configurations and runtimes write them; what goes to the pod is *ingress*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    ingress_rate: u64,
    ingress_burst: u64,
    egress_rate: u64,
    egress_burst: u64,
}

/// A rate that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Bits a second.
    pub rate: u64,
    /// Bits that may come at once.
    pub burst: u64,
}

/// The rates of both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    /// To the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Rate>,
    /// From the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Rate>,
}

/// A token bucket as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes that may come at once.
    pub burst: u32,
    /// Bytes that may wait.
    pub limit: u32,
}

impl Asked {
    /// The four fields as `fetch` finds them; `place` is where they stand.
    ///
    /// # Errors
    /// That of `fetch`, and code 7 with the first field that is no whole number.
    pub fn read(place: &str, fetch: impl Fn(&str) -> Result<Option<Value>>) -> Result<Self> {
        let number = |key: &str| match fetch(key)? {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value.as_u64().ok_or_else(|| {
                let text = format!("network configuration: {place}{key} is {value}, not a number of bits");
                Error::new(Code::Config, text)
            }),
        };
        Ok(Self {
            ingress_rate: number("ingressRate")?,
            ingress_burst: number("ingressBurst")?,
            egress_rate: number("egressRate")?,
            egress_burst: number("egressBurst")?,
        })
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        [self.ingress_rate, self.ingress_burst, self.egress_rate, self.egress_burst] == [0; 4]
    }

    /// The rates, if they can be held.
    ///
    /// # Errors
    /// Code 7 with the first field that makes no sense; `place` is where it stands.
    pub fn rates(&self, place: &str) -> Result<Rates> {
        Ok(Rates {
            ingress: rate(place, "ingress", self.ingress_rate, self.ingress_burst)?,
            egress: rate(place, "egress", self.egress_rate, self.egress_burst)?,
        })
    }
}

fn rate(place: &str, direction: &str, rate: u64, burst: u64) -> Result<Option<Rate>> {
    let wrong = |field: &str, why: String| {
        Err(Error::new(Code::Config, format!("network configuration: {place}{direction}{field} {why}")))
    };
    match (rate, burst) {
        (0, 0) => Ok(None),
        (0, _) => wrong("Rate", "is missing or 0 beside a burst".into()),
        (_, 0) => wrong("Burst", "is missing or 0 beside a rate".into()),
        _ if !RATE.contains(&rate) => {
            wrong("Rate", format!("is {rate}; {} to {} bits a second are possible", RATE.start(), RATE.end()))
        }
        _ if !BURST.contains(&burst) => {
            wrong("Burst", format!("is {burst} bits; at most {} are possible", BURST.end()))
        }
        _ => Ok(Some(Rate { rate, burst })),
    }
}

impl Bucket {
    /// The bucket that holds `asked` on a link of that MTU.
    pub fn new(asked: Rate, mtu: u32) -> Self {
        let rate = asked.rate / 8;
        let packet = u64::from(mtu) + HEADERS;
        let room = ROOM.max(2 * packet);
        let within = |milliseconds: u64| (rate.saturating_mul(milliseconds) / 1000).max(room);
        let burst = (asked.burst / 8).clamp(2 * packet, within(BUCKET_MILLISECONDS));
        let bytes = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self { rate, burst: bytes(burst), limit: bytes(within(QUEUE_MILLISECONDS).max(burst)) }
    }

    fn options(self) -> Vec<u8> {
        let small = u32::try_from(self.rate).unwrap_or(u32::MAX);
        // struct tc_tbf_qopt: two of struct tc_ratespec, then limit, buffer and mtu.
        let mut parameters = vec![0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
        parameters.extend(small.to_ne_bytes());
        parameters.extend([0; 12]);
        parameters.extend(self.limit.to_ne_bytes());
        parameters.extend([0; 8]);
        let mut bytes = Vec::new();
        put(&mut bytes, TCA_TBF_PARMS, &parameters);
        if self.rate > u64::from(u32::MAX) {
            put(&mut bytes, TCA_TBF_RATE64, &self.rate.to_ne_bytes());
        }
        put(&mut bytes, TCA_TBF_BURST, &self.burst.to_ne_bytes());
        bytes
    }

    /// Whether the options of a `tbf` hold as many bytes at once as this one, which the kernel tells as the time that
    /// the rate needs for them, in ticks of 64 ns.
    pub fn has_burst(self, options: &[u8]) -> bool {
        let seen =
            find(options, TCA_TBF_PARMS).and_then(|parameters| u32_at(parameters, 28)).unwrap_or_default();
        let wanted = u64::from(self.burst) * 1_000_000_000 / 64 / self.rate.max(1);
        // It counts no further than this, and rounds.
        wanted > u64::from(u32::MAX) || u64::from(seen).abs_diff(wanted) <= wanted / 100 + 2
    }

    /// The bucket in the options of a `tbf`, but for its burst, which the kernel tells in ticks of its own.
    pub fn read(options: &[u8]) -> Option<Self> {
        let parameters = find(options, TCA_TBF_PARMS)?;
        let wide = find(options, TCA_TBF_RATE64).and_then(|value| value.try_into().ok());
        let rate = wide.map_or(u64::from(u32_at(parameters, 8)?), u64::from_ne_bytes);
        Some(Self { rate, burst: 0, limit: u32_at(parameters, 24)? })
    }
}

fn message(device: u32, kind: &str, parent: u32, options: Vec<u8>) -> TcMessage {
    let mut message = TcMessage::with_index(device.cast_signed());
    message.header.parent = TcHandle::from(parent);
    message.attributes = vec![TcAttribute::Kind(kind.into())];
    if !options.is_empty() {
        message.attributes.push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options)));
    }
    message
}

/// Puts a bucket before a device.
pub fn add_bucket(device: u32, bucket: Bucket) -> Request {
    let message = message(device, "tbf", u32::from(TcHandle::ROOT), bucket.options());
    Request { message: RouteNetlinkMessage::NewQueueDiscipline(message), flags: NLM_F_CREATE | NLM_F_REPLACE }
}

/// Lets filters see what comes by a device.
pub fn add_ingress(device: u32) -> Request {
    let message = message(device, "clsact", TC_H_CLSACT, Vec::new());
    Request { message: RouteNetlinkMessage::NewQueueDiscipline(message), flags: NLM_F_CREATE | NLM_F_EXCL }
}

/// Leads all that comes by a device to another one's queue.
pub fn lead(device: u32, to: u32) -> Request {
    let mut options = Vec::new();
    // struct tc_u32_sel with one key that every packet has.
    let mut selector = vec![TC_U32_TERMINAL, 0, 1, 0];
    selector.extend([0; 12]);
    selector.extend([0; 16]);
    put(&mut options, TCA_U32_SEL, &selector);
    put_nested(&mut options, TCA_U32_ACT, |actions| {
        put_nested(actions, 1, |action| {
            put(action, TCA_ACT_KIND, b"mirred\0");
            put_nested(action, TCA_ACT_OPTIONS, |options| {
                let mut mirred = vec![0; 8];
                for word in [TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, to] {
                    mirred.extend(word.to_ne_bytes());
                }
                put(options, TCA_MIRRED_PARMS, &mirred);
            });
        });
    });
    let mut message = message(device, "u32", INGRESS, options);
    message.header.info = EVERY_PROTOCOL;
    Request { message: RouteNetlinkMessage::NewTrafficFilter(message), flags: NLM_F_CREATE | NLM_F_EXCL }
}

/// Makes an `ifb`.
pub fn add_ifb(name: &str, mtu: u32) -> Request {
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::IfName(name.into()),
        LinkAttribute::Mtu(mtu),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)]),
    ];
    Request { message: RouteNetlinkMessage::NewLink(link), flags: NLM_F_CREATE | NLM_F_EXCL }
}

/// Asks for the discipline before a device; the kernel tells it to who asks for an echo.
pub fn get_bucket(device: u32) -> Request {
    let mut message = TcMessage::with_index(device.cast_signed());
    message.header.parent = TcHandle::ROOT;
    Request { message: RouteNetlinkMessage::GetQueueDiscipline(message), flags: NLM_F_ECHO }
}

/// Asks for the filters of what comes by a device.
pub fn get_filters(device: u32) -> RouteNetlinkMessage {
    let mut message = TcMessage::with_index(device.cast_signed());
    message.header.parent = TcHandle::from(INGRESS);
    RouteNetlinkMessage::GetTrafficFilter(message)
}

/// Kind and options in a reply about disciplines or filters.
pub fn options(payload: &[u8]) -> Option<(String, &[u8])> {
    /// Length of `struct tcmsg`.
    const HEADER: usize = 20;
    let list = payload.get(HEADER..)?;
    let kind = text(find(list, 1)?);
    Some((kind, find(list, TCA_OPTIONS).unwrap_or_default()))
}

/// The device that a filter's options lead to.
pub fn leads_to(options: &[u8]) -> Option<u32> {
    let action = find(find(options, TCA_U32_ACT)?, 1)?;
    u32_at(find(find(action, TCA_ACT_OPTIONS)?, TCA_MIRRED_PARMS)?, MIRRED_DEVICE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(ingress: (u64, u64), egress: (u64, u64)) -> Result<Rates> {
        let json = json!({"ingressRate": ingress.0, "ingressBurst": ingress.1, "egressRate": egress.0, "egressBurst": egress.1});
        Asked::read("", |key| Ok(json.get(key).cloned()))?.rates("")
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (ingress, egress, needle) in [
            ((0, 1), (0, 0), "ingressRate is missing"),
            ((8, 0), (0, 0), "ingressBurst is missing"),
            ((0, 0), (7, 8), "egressRate is 7"),
            ((0, 0), (u64::MAX, 8), "egressRate is 18446744073709551615"),
            ((0, 0), (8, u64::MAX), "egressBurst is 18446744073709551615"),
        ] {
            let error = asked(ingress, egress).unwrap_err();
            assert!(error.code == Code::Config && error.message.contains(needle), "{error}");
        }
        for value in [json!(-1), json!("20M"), json!(1.5), json!(1e30)] {
            let error = Asked::read("a.", |_| Ok(Some(value.clone()))).unwrap_err();
            assert!(error.code == Code::Config && error.message.contains("a.ingressRate is"), "{error}");
        }
        assert_eq!(asked((0, 0), (0, 0)).unwrap(), Rates::default());
        assert_eq!(asked((8, 8), (0, 0)).unwrap().ingress, Some(Rate { rate: 8, burst: 8 }));
    }

    #[test]
    fn queue_and_bucket_are_bounded() {
        let twenty = Rate { rate: 20_000_000, burst: u64::from(u32::MAX) };
        assert_eq!(Bucket::new(twenty, 1500), Bucket { rate: 2_500_000, burst: 25_000, limit: 25_000 });
        // A burst below one packet would let none pass.
        let slow = Bucket::new(Rate { rate: 8, burst: 8 }, 1500);
        assert_eq!(slow, Bucket { rate: 1, burst: 3_036, limit: 16_384 });
        let jumbo = Bucket::new(Rate { rate: 8, burst: 8 }, 65_535);
        assert!(jumbo.burst > 65_535 && jumbo.limit >= jumbo.burst);
        let fast = Bucket::new(Rate { rate: *RATE.end(), burst: *BURST.end() }, 1500);
        assert_eq!((fast.rate, fast.limit), (12_500_000_000_000, u32::MAX));
    }

    #[test]
    fn buckets_are_read_back() {
        for rate in [8, 20_000_000, 80_000_000_000] {
            let bucket = Bucket::new(Rate { rate, burst: 1 << 20 }, 1500);
            assert_eq!(Bucket::read(&bucket.options()), Some(Bucket { burst: 0, ..bucket }));
        }
    }
}
