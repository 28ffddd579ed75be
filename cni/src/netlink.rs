//! A blocking netlink socket, for routes or for the packet filter: batches of requests, each
//! acknowledged or all of them at once, and dumps.
//!
//! Owns framing and sequence numbers, knows nothing of what the messages mean. A socket
//! belongs for ever to the namespace of the thread that made it.

use std::io;

use api::nft::Message;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP, NLMSG_OVERRUN, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{
    Socket, SocketAddr,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};
use nix::sys::socket::{setsockopt, sockopt::SndBufForce};

use crate::attribute::{attributes, text, u16_at, u32_at};

/// The kernel sends at most 32 KiB in one datagram of a dump; the rest is margin.
const BUFFER: usize = 64 * 1024;

/// What every socket takes at once; the kernel's own limit is above it.
const SENDABLE: usize = 128 * 1024;

/// How often a dump is tried while routes come and go, as they do when a peer comes up.
const DUMPS: usize = 4;

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// `NLMSGERR_ATTR_MSG` of `linux/netlink.h`.
const ERROR_TEXT: u16 = 1;

/// A request and its flags beside REQUEST and ACK.
#[derive(Debug, Clone)]
pub struct Request {
    /// The message.
    pub message: RouteNetlinkMessage,
    /// `NLM_F_…`.
    pub flags: u16,
}

/// The kernel's answer to a request that asks something.
#[derive(Debug, Clone)]
pub struct Reply {
    /// `RTM_…`.
    pub kind: u16,
    /// The family's header and the attributes.
    pub payload: Vec<u8>,
}

/// Why requests failed.
#[derive(Debug)]
pub enum Failure {
    /// The socket failed; what was done is unknown.
    Socket(io::Error),
    /// The kernel refused the request with this index; later ones of the batch were done all the same.
    Refused {
        /// Index in the batch.
        request: usize,
        /// Positive error number.
        errno: i32,
        /// The kernel's own words, where it has some.
        reason: String,
    },
}

impl Failure {
    /// The error number, for either kind.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket(e) => e.raw_os_error(),
            Self::Refused { errno, .. } => Some(*errno),
        }
    }

    /// In words.
    pub fn text(&self) -> String {
        match self {
            Self::Socket(e) => e.to_string(),
            Self::Refused { errno, reason, .. } if reason.is_empty() => {
                io::Error::from_raw_os_error(*errno).to_string()
            }
            Self::Refused { errno, reason, .. } => {
                format!("{} ({reason})", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Socket(e)
    }
}

/// The socket.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// One message of a datagram.
struct Frame<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Netlink {
    /// A socket in the namespace of the calling thread.
    ///
    /// # Errors
    /// What the kernel says to socket, bind or connect.
    pub fn open() -> io::Result<Self> {
        Self::of(NETLINK_ROUTE)
    }

    /// The same for the packet filter.
    ///
    /// # Errors
    /// What the kernel says to socket, bind or connect.
    pub fn filter() -> io::Result<Self> {
        Self::of(NETLINK_NETFILTER)
    }

    fn of(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        // Without them replies are longer, reasons are missing, and dump filters are ignored;
        // a kernel that lacks one of them still does what it is told.
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_netlink_get_strict_chk(true);
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends all requests at once and waits until each is acknowledged or refused.
    ///
    /// # Errors
    /// The first request that was refused, or the socket's error.
    pub fn exchange(&mut self, requests: &[Request]) -> Result<Vec<Reply>, Failure> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for request in requests {
            self.append(&mut bytes, &request.message, request.flags | NLM_F_ACK);
        }
        self.send(&bytes)?;
        self.answers(first, requests.len())
    }

    /// The replies to `count` requests from the one numbered `first` on, each of which is acknowledged.
    fn answers(&mut self, first: u32, count: usize) -> Result<Vec<Reply>, Failure> {
        let (mut replies, mut open, mut failure) = (Vec::new(), count, None);
        while open > 0 {
            self.receive()?;
            for frame in frames(&self.buffer) {
                let frame = frame?;
                let request = frame.sequence.wrapping_sub(first) as usize;
                if request >= count {
                    continue;
                }
                match frame.kind {
                    NLMSG_ERROR => {
                        open -= 1;
                        let refused = refusal(&frame)?.map(|(errno, reason)| (request, errno, reason));
                        failure = failure.or(refused);
                    }
                    NLMSG_NOOP | NLMSG_DONE => {}
                    NLMSG_OVERRUN => return Err(io::Error::other("netlink overrun").into()),
                    kind => replies.push(Reply { kind, payload: frame.payload.to_vec() }),
                }
            }
        }
        match failure {
            None => Ok(replies),
            Some((request, errno, reason)) => Err(Failure::Refused { request, errno, reason }),
        }
    }

    /// The one reply to a question, or none if the kernel refused it with one of `absent`.
    ///
    /// # Errors
    /// Any other refusal, or the socket's error.
    pub fn ask(&mut self, message: RouteNetlinkMessage, absent: &[i32]) -> Result<Option<Reply>, Failure> {
        match self.exchange(&[Request { message, flags: 0 }]) {
            Ok(replies) => Ok(replies.into_iter().next()),
            Err(Failure::Refused { errno, .. }) if absent.contains(&errno) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// All objects that a question is about, asked again if they changed meanwhile; where they
    /// never stand still, those that were seen in the end.
    ///
    /// # Errors
    /// The kernel's refusal, or the socket's error.
    pub fn dump(&mut self, message: &RouteNetlinkMessage) -> Result<Vec<Reply>, Failure> {
        let mut seen = Vec::new();
        for _ in 0..DUMPS {
            let mut bytes = Vec::new();
            self.append(&mut bytes, message, NLM_F_DUMP);
            self.send(&bytes)?;
            let consistent;
            (seen, consistent) = self.dumped()?;
            if consistent {
                break;
            }
        }
        Ok(seen)
    }

    /// The answer to a question about the packet filter: one reply, or those of a dump.
    ///
    /// # Errors
    /// The kernel's refusal, or the socket's error.
    pub fn question(&mut self, question: &Message) -> Result<Vec<Reply>, Failure> {
        let mut bytes = Vec::new();
        if question.flags & NLM_F_DUMP == 0 {
            self.append_raw(&mut bytes, question, NLM_F_ACK);
            self.send(&bytes)?;
            return self.answers(self.sequence, 1);
        }
        let mut seen = Vec::new();
        for _ in 0..DUMPS {
            bytes.clear();
            self.append_raw(&mut bytes, question, 0);
            self.send(&bytes)?;
            let consistent;
            (seen, consistent) = self.dumped()?;
            if consistent {
                break;
            }
        }
        Ok(seen)
    }

    /// Has the packet filter changed by a whole batch, or not at all.
    ///
    /// # Errors
    /// The first message that was refused, number 0 standing for the batch as such, or the socket's error.
    pub fn commit(&mut self, batch: &[Message]) -> Result<(), Failure> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for message in batch {
            self.append_raw(&mut bytes, message, 0);
        }
        self.make_room(bytes.len())?;
        self.send(&bytes)?;
        let mut failure = None;
        loop {
            self.receive()?;
            for frame in frames(&self.buffer) {
                let frame = frame?;
                let request = frame.sequence.wrapping_sub(first) as usize;
                if request >= batch.len() || frame.kind != NLMSG_ERROR {
                    continue;
                }
                let refused = refusal(&frame)?;
                let whole = request == 0 && refused.is_some();
                failure = failure.or(refused.map(|(errno, reason)| (request, errno, reason)));
                // The last but the end is the one whose answer was asked for.
                if whole || request + 2 == batch.len() {
                    return match failure {
                        None => Ok(()),
                        Some((request, errno, reason)) => Err(Failure::Refused { request, errno, reason }),
                    };
                }
            }
        }
    }

    /// The replies of the dump just asked for, and whether nothing changed meanwhile.
    fn dumped(&mut self) -> Result<(Vec<Reply>, bool), Failure> {
        let (mut replies, mut consistent) = (Vec::new(), true);
        loop {
            self.receive()?;
            for frame in frames(&self.buffer) {
                let frame = frame?;
                if frame.sequence != self.sequence {
                    continue;
                }
                consistent &= frame.flags & NLM_F_DUMP_INTR == 0;
                match frame.kind {
                    NLMSG_DONE => return Ok((replies, consistent)),
                    NLMSG_ERROR => {
                        if let Some((errno, reason)) = refusal(&frame)? {
                            return Err(Failure::Refused { request: 0, errno, reason });
                        }
                    }
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(io::Error::other("netlink overrun").into()),
                    kind => replies.push(Reply { kind, payload: frame.payload.to_vec() }),
                }
            }
        }
    }

    fn append(&mut self, bytes: &mut Vec<u8>, message: &RouteNetlinkMessage, flags: u16) {
        let length = message.buffer_len();
        self.append_header(bytes, message.message_type(), NLM_F_REQUEST | flags, length);
        let start = bytes.len();
        bytes.resize(start + length.next_multiple_of(4), 0);
        message.serialize(&mut bytes[start..start + length]);
    }

    fn append_raw(&mut self, bytes: &mut Vec<u8>, message: &Message, flags: u16) {
        self.append_header(bytes, message.kind, message.flags | flags, message.body.len());
        bytes.extend(&message.body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }

    fn append_header(&mut self, bytes: &mut Vec<u8>, kind: u16, flags: u16, body: usize) {
        self.sequence = self.sequence.wrapping_add(1);
        bytes.extend(u32::try_from(HEADER + body).unwrap_or(u32::MAX).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend([0; 4]);
    }

    /// A socket takes no more at once than its buffer holds, and a batch cannot be divided.
    fn make_room(&self, length: usize) -> io::Result<()> {
        if length <= SENDABLE {
            return Ok(());
        }
        setsockopt(&self.socket, SndBufForce, &length).map_err(io::Error::from)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(bytes, 0) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(sent) => return Err(io::Error::other(format!("{sent} of {} bytes sent", bytes.len()))),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, libc::MSG_TRUNC) {
                Ok(length) if length > self.buffer.len() => {
                    return Err(io::Error::other("netlink datagram cut"));
                }
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// The messages of a datagram.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = io::Result<Frame<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let frame = frame(bytes);
        bytes = match &frame {
            Some(frame) => {
                bytes.get((HEADER + frame.payload.len()).next_multiple_of(4)..).unwrap_or_default()
            }
            None => &[],
        };
        Some(frame.ok_or_else(|| io::Error::other("malformed netlink datagram")))
    })
}

fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let length = u32_at(bytes, 0)? as usize;
    let payload = bytes.get(HEADER..length)?;
    Some(Frame { kind: u16_at(bytes, 4)?, flags: u16_at(bytes, 6)?, sequence: u32_at(bytes, 8)?, payload })
}

/// The error number and words of an acknowledgement; none if it says success.
fn refusal(frame: &Frame<'_>) -> io::Result<Option<(i32, String)>> {
    let code =
        u32_at(frame.payload, 0).ok_or_else(|| io::Error::other("malformed netlink error"))?.cast_signed();
    if code == 0 {
        return Ok(None);
    }
    // Behind the code stands the request's header, its body being cut off (NETLINK_CAP_ACK).
    let reason = (frame.flags & NLM_F_ACK_TLVS != 0)
        .then(|| attributes(frame.payload.get(4 + HEADER..).unwrap_or_default()))
        .and_then(|mut list| list.find(|(kind, _)| *kind == ERROR_TEXT))
        .map(|(_, value)| text(value))
        .unwrap_or_default();
    Ok(Some((code.saturating_neg(), reason)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refusal_carries_number_and_words() {
        let mut payload = (-17_i32).to_ne_bytes().to_vec();
        payload.extend([0; HEADER]);
        payload.extend([8_u16.to_ne_bytes(), ERROR_TEXT.to_ne_bytes()].concat());
        payload.extend(b"no!\0");
        let frame = Frame { kind: NLMSG_ERROR, flags: NLM_F_ACK_TLVS, sequence: 1, payload: &payload };
        assert_eq!(refusal(&frame).unwrap(), Some((17, "no!".into())));
        let success = Frame { kind: NLMSG_ERROR, flags: 0, sequence: 1, payload: &[0; 20] };
        assert_eq!(refusal(&success).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic_or_run_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for frame in frames(&bytes).flatten() {
                let _ = refusal(&frame);
            }
        }
    }
}
