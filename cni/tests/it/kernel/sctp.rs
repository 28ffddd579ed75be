//! Port mappings of SCTP, by packets made here: a kernel need not have the protocol itself to lead it.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use labs::{Netns, wait};
use serde_json::json;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::node::{Node, addresses};

const SCTP: i32 = 132;

/// RFC 9260 §3.2: the chunks that open an association.
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;

/// Where the client's end is.
const CLIENT: u16 = 40_000;

/// What the client wants to find in the server's answers; what it sends has the tag 0.
const TAG: u32 = 0x0102_0304;

/// What was seen of a packet.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    from: u16,
    to: u16,
    chunk: u8,
    intact: bool,
}

/// RFC 9260 §6.8, appendix A: CRC32c.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    };
    (!bytes.iter().fold(u32::MAX, step)).to_le_bytes()
}

/// A packet with one chunk: ports, tag, checksum; type, length, the sender's tag, window, streams and first number.
fn packet(from: u16, to: u16, tag: u32, chunk: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([chunk, 0, 0, 20]);
    bytes.extend(TAG.to_be_bytes());
    bytes.extend(65_536_u32.to_be_bytes());
    bytes.extend([0, 1, 0, 1]);
    bytes.extend(1_u32.to_be_bytes());
    let sum = checksum(&bytes);
    bytes[8..12].copy_from_slice(&sum);
    bytes
}

fn socket(netns: &Netns, of: IpAddr) -> Socket {
    let domain = if of.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket =
        netns.enter(|| Socket::new(domain, Type::RAW, Some(Protocol::from(SCTP)))).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    socket
}

/// The next packet; IPv4 ones come with their header.
fn receive(mut socket: &Socket, v4: bool) -> io::Result<Packet> {
    let mut bytes = [0; 256];
    let length = socket.read(&mut bytes)?;
    let start = if v4 { usize::from(bytes[0] & 15) * 4 } else { 0 };
    let mut sctp = bytes[start..length].to_vec();
    let word = |at: usize| u16::from_be_bytes([sctp[at], sctp[at + 1]]);
    let (from, to, chunk, sum) = (word(0), word(2), sctp[12], sctp[8..12].to_vec());
    sctp[8..12].fill(0);
    Ok(Packet { from, to, chunk, intact: checksum(&sctp) == sum[..] })
}

fn send(socket: &Socket, to: IpAddr, bytes: &[u8]) {
    let sent = socket.send_to(bytes, &SockAddr::from(SocketAddr::new(to, 0))).expect("it is sent");
    assert_eq!(sent, bytes.len());
}

#[test]
fn an_association_is_opened_through_the_node() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        let ports = json!({"portMappings": [{"hostPort": 3868, "containerPort": 3000, "protocol": "SCTP"}]});
        let result = node.call("ADD", Some(&pod), &node.with("runtimeConfig", ports), &[]).result();
        for (own, target) in addresses(&result).iter().zip(["192.0.2.1", "2001:db8::1"]) {
            let (own, target): (IpAddr, IpAddr) = (own.parse().expect("one"), target.parse().expect("one"));
            let (client, server) = (socket(&node.router, target), socket(&pod.netns, own));
            let init = packet(CLIENT, 3868, 0, INIT);
            let opened = wait::until("the pod to get the packet", Duration::from_secs(20), || {
                send(&client, target, &init);
                receive(&server, own.is_ipv4())
            });
            assert_eq!(opened, Packet { from: CLIENT, to: 3000, chunk: INIT, intact: true }, "{target}");
            // The answer comes from where the question went.
            let far: IpAddr =
                if own.is_ipv4() { "192.0.2.254" } else { "2001:db8::fe" }.parse().expect("one");
            send(&server, far, &packet(3000, CLIENT, TAG, INIT_ACK));
            let answer = receive(&client, own.is_ipv4()).expect("an answer");
            assert_eq!(answer, Packet { from: 3868, to: CLIENT, chunk: INIT_ACK, intact: true }, "{target}");
        }
        node.del(&pod);
        node.is_empty();
    });
}
