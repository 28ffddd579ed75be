//! A peer of raw bytes over TCP.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use bgp::id::{Asn, RouterId};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::frame;
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;
use bgp::wire::{encode, pack};
use labs::Netns;
use socket2::{Domain, Protocol, Socket, Type};

use super::scene::LIMIT;

/// The rogue's AS.
pub(in crate::interop) const ASN: u32 = 65200;

/// What is under the header of a message.
pub(in crate::interop) type Message = (u8, Vec<u8>);

/// One connection to the agent.
pub(in crate::interop) struct Rogue {
    pub(in crate::interop) tcp: TcpStream,
    read: Vec<u8>,
}

impl Rogue {
    /// Connects from an address of the namespace to port 179 of the node.
    #[track_caller]
    pub(in crate::interop) fn connect(netns: &Netns, from: &str, to: &str) -> Self {
        Self::connect_with(netns, from, to, |_| Ok(()))
    }

    /// The same, with the socket prepared before.
    #[track_caller]
    pub(in crate::interop) fn connect_with(
        netns: &Netns,
        from: &str,
        to: &str,
        prepare: impl FnOnce(&Socket) -> io::Result<()> + Send,
    ) -> Self {
        let address = |text: &str, port| SocketAddr::new(text.parse::<IpAddr>().unwrap(), port);
        let (from, to) = (address(from, 0), address(to, 179));
        let connected = netns.enter(move || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            prepare(&socket)?;
            socket.bind(&from.into())?;
            socket.connect_timeout(&to.into(), LIMIT)?;
            io::Result::Ok(TcpStream::from(socket))
        });
        let tcp = connected.unwrap_or_else(|error| panic!("connecting {from} to {to}: {error}"));
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(LIMIT)).unwrap();
        tcp.set_write_timeout(Some(LIMIT)).unwrap();
        Self { tcp, read: Vec::new() }
    }

    #[track_caller]
    pub(in crate::interop) fn send(&mut self, bytes: &[u8]) {
        self.tcp.write_all(bytes).unwrap();
    }

    /// The next message; `None` at the end of the connection, however it came.
    pub(in crate::interop) fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(header) = self.read.get(..frame::HEADER_LEN) {
                let len = usize::from(u16::from_be_bytes([header[16], header[17]]));
                assert!(len >= frame::HEADER_LEN, "the agent's own messages are whole");
                if self.read.len() >= len {
                    let message: Vec<u8> = self.read.drain(..len).collect();
                    return Some((message[18], message[frame::HEADER_LEN..].to_vec()));
                }
            }
            let mut chunk = [0; 4096];
            match self.tcp.read(&mut chunk) {
                Ok(0) => return None,
                Ok(len) => self.read.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waiting for a message: {error}"),
            }
        }
    }

    /// Reads until the NOTIFICATION that ends the connection.
    #[track_caller]
    pub(in crate::interop) fn notification(&mut self) -> Notification {
        loop {
            match self.message() {
                Some((3, body)) => {
                    assert_eq!(self.message(), None, "nothing follows a NOTIFICATION");
                    return Notification::decode(&body).unwrap();
                }
                Some(_) => {}
                None => panic!("the connection ended without a NOTIFICATION"),
            }
        }
    }

    /// Exchanges OPEN and KEEPALIVE.
    #[track_caller]
    pub(in crate::interop) fn establish(&mut self) {
        self.establish_with(90);
    }

    /// The same with a hold time in seconds.
    #[track_caller]
    pub(in crate::interop) fn establish_with(&mut self, hold_seconds: u16) {
        self.send(&open(ASN, hold_seconds, "10.0.2.2"));
        assert_eq!(self.message().unwrap().0, 1, "the agent's OPEN");
        self.send(&keepalive());
        assert_eq!(self.message().unwrap().0, 4, "the agent's KEEPALIVE");
    }

    /// Closes our half and reads to the end.
    pub(in crate::interop) fn finish(mut self) {
        // The agent may have closed first.
        let _ = self.tcp.shutdown(std::net::Shutdown::Write);
        while self.message().is_some() {}
    }
}

/// An OPEN with both families.
pub(in crate::interop) fn open(asn: u32, hold_seconds: u16, router_id: &str) -> Vec<u8> {
    let router_id = RouterId::from(router_id.parse::<Ipv4Addr>().unwrap());
    let families = Family::ALL.map(Capability::multiprotocol);
    let capabilities = families.into_iter().chain([Capability::FourOctetAs(Asn(asn))]).collect();
    let mut bytes = Vec::new();
    Open { asn: Asn(asn), hold_seconds, router_id, capabilities }.encode(&mut bytes);
    bytes
}

pub(in crate::interop) fn keepalive() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_keepalive(&mut bytes);
    bytes
}

/// A message of any type whose header says `length`.
pub(in crate::interop) fn raw(length: u16, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}

/// UPDATEs that announce prefixes with the rogue as next hop.
pub(in crate::interop) fn announce(prefixes: impl IntoIterator<Item = Prefix>) -> Vec<u8> {
    let next_hop = NextHops::V4(Ipv4Addr::new(10, 0, 2, 2));
    let path = PathAttributes {
        as_path: AsPath { segments: vec![Segment { kind: SegmentKind::Sequence, asns: vec![Asn(ASN)] }] },
        ..PathAttributes::originated(next_hop)
    };
    let codec = Codec {
        four_octet: true,
        external: true,
        families: PerFamily { ipv4: true, ipv6: true },
        add_path: Codec::NO_PATH_IDS,
        extended_next_hop: false,
        zone: None,
    };
    let (mut attributes, mut bytes) = (Vec::new(), Vec::new());
    encode::attributes(&path, &codec, Family::Ipv4, &mut attributes);
    pack::announce(&attributes, next_hop, Family::Ipv4, prefixes, pack::Longest::Plain, &mut bytes).unwrap();
    bytes
}

/// UPDATEs that withdraw prefixes.
pub(in crate::interop) fn withdraw(prefixes: impl IntoIterator<Item = Prefix>) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack::withdraw(Family::Ipv4, prefixes, &mut bytes);
    bytes
}
