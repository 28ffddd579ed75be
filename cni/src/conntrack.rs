//! Connections that the kernel tracks, as far as port mappings make them wrong.
//!
//! A packet of a connection that is known takes the way its first packet took. TCP ends by
//! itself; UDP has no end, so a client that never stops sending is led past a new mapping, or
//! to a pod that is gone, for as long as it sends.

use std::fs;
use std::net::IpAddr;

use api::nft::Message;
use api::nft::attribute::{address, attributes, find, put, put_nested};

use crate::error::Result;
use crate::netlink::Failure;
use crate::nftables::{Nftables, wrong};

// linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;
/// "Compare the protocol's number" among the flags of a filter.
const FILTER_PROTOCOL: u32 = 1 << 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
/// How many connections the kernel tracks in our namespace.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Protocol above IP.
    pub protocol: u8,
    /// Where its first packet was sent.
    pub destination: IpAddr,
    /// The port that it was sent to; 0 for a protocol without ports.
    pub port: u16,
    /// Who answers.
    pub answers: IpAddr,
    /// The attributes that name it to the kernel.
    name: Vec<u8>,
}

impl Flow {
    fn decode(payload: &[u8]) -> Option<Self> {
        let list = payload.get(HEADER..)?;
        let (there, back) = (find(list, CTA_TUPLE_ORIG)?, find(list, CTA_TUPLE_REPLY)?);
        let protocol = find(there, CTA_TUPLE_PROTO)?;
        let port = find(protocol, CTA_PROTO_DST_PORT).and_then(|port| port.try_into().ok());
        let mut name = Vec::new();
        put_nested(&mut name, CTA_TUPLE_ORIG, |inside| inside.extend(there));
        if let Some(id) = find(list, CTA_ID) {
            put(&mut name, CTA_ID, id);
        }
        Some(Self {
            protocol: *find(protocol, CTA_PROTO_NUM)?.first()?,
            destination: end(there, false)?,
            port: port.map_or(0, u16::from_be_bytes),
            answers: end(back, true)?,
            name,
        })
    }
}

/// Source or destination of a tuple.
fn end(tuple: &[u8], source: bool) -> Option<IpAddr> {
    // Source and destination of IPv4, then of IPv6.
    let wanted: [u16; 2] = if source { [1, 3] } else { [2, 4] };
    attributes(find(tuple, CTA_TUPLE_IP)?)
        .find(|(kind, _)| wanted.contains(kind))
        .and_then(|(_, value)| address(value))
}

/// Makes the kernel forget every connection of `protocol` that is `wrong_now`, of both families.
///
/// The kernel walks its whole table of buckets for that, which takes it some 10 ms on a large
/// machine, so nobody asks where there is nothing to find.
///
/// # Errors
/// Code 5 if the kernel refuses.
pub fn forget(
    nft: &mut Nftables,
    protocol: u8,
    mut wrong_now: impl FnMut(&Flow) -> Result<bool>,
) -> Result<()> {
    if fs::read_to_string(COUNT).is_ok_and(|count| count.trim() == "0") {
        return Ok(());
    }
    let flows = match nft.ask_raw(&list(Some(protocol))) {
        // A kernel that cannot compare protocols tells all.
        Err(Failure::Refused { .. }) => nft.ask_raw(&list(None)),
        other => other,
    };
    let flows = flows.map_err(|failure| wrong("list connections", &failure))?;
    for flow in flows.iter().filter_map(|payload| Flow::decode(payload)) {
        if flow.protocol == protocol && wrong_now(&flow)? {
            // One that has ended meanwhile is no failure.
            nft.ask_raw(&message(DELETE, 0, family(&flow), &flow.name))
                .map_err(|failure| wrong("forget a connection", &failure))?;
        }
    }
    Ok(())
}

fn list(protocol: Option<u8>) -> Message {
    let mut body = Vec::new();
    if let Some(protocol) = protocol {
        put_nested(&mut body, CTA_TUPLE_ORIG, |tuple| {
            put_nested(tuple, CTA_TUPLE_PROTO, |inside| put(inside, CTA_PROTO_NUM, &[protocol]));
        });
        put_nested(&mut body, CTA_FILTER, |filter| {
            put(filter, CTA_FILTER_ORIG_FLAGS, &FILTER_PROTOCOL.to_ne_bytes());
            put(filter, CTA_FILTER_REPLY_FLAGS, &0_u32.to_ne_bytes());
        });
    }
    message(GET, NLM_F_DUMP, libc::AF_UNSPEC, &body)
}

fn family(flow: &Flow) -> i32 {
    if flow.destination.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

fn message(kind: u16, flags: u16, family: i32, attributes: &[u8]) -> Message {
    let mut body = vec![u8::try_from(family).unwrap_or(0), 0, 0, 0];
    body.extend(attributes);
    Message { kind, flags: NLM_F_REQUEST | flags, body, doing: String::new() }
}

#[cfg(test)]
mod tests {
    use api::nft::attribute::put_be32;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flow_is_read() {
        let tuple = |bytes: &mut Vec<u8>, kind, source: [u8; 4], destination: [u8; 4], port: u16| {
            put_nested(bytes, kind, |tuple| {
                put_nested(tuple, CTA_TUPLE_IP, |inside| {
                    put(inside, 1, &source);
                    put(inside, 2, &destination);
                });
                put_nested(tuple, CTA_TUPLE_PROTO, |inside| {
                    put(inside, CTA_PROTO_NUM, &[17]);
                    put(inside, CTA_PROTO_DST_PORT, &port.to_be_bytes());
                });
            });
        };
        let mut payload = vec![2, 0, 0, 0];
        tuple(&mut payload, CTA_TUPLE_ORIG, [192, 0, 2, 9], [192, 0, 2, 1], 53);
        tuple(&mut payload, CTA_TUPLE_REPLY, [10, 0, 0, 5], [192, 0, 2, 9], 4_000);
        put_be32(&mut payload, CTA_ID, 7);
        let flow = Flow::decode(&payload).unwrap();
        assert_eq!((flow.protocol, flow.port), (17, 53));
        assert_eq!(flow.destination, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(flow.answers, IpAddr::from([10, 0, 0, 5]));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Flow::decode(&payload);
        }
    }
}
