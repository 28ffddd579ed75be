//! The socket to the packet filter, nf_tables: questions and batches, and the names of the sets of addresses that the
//! older `ipset` keeps beside it; blocks until the kernel has answered.

use std::io;

use api::nft::attribute::{find, put, put_be32, text};
use api::nft::{Batch, Message, Question};

use super::buffer;
use super::conversation::{Conversation, DUMP_ATTEMPTS};
use super::message::{self, HEADER};

/// Room for a batch with the addresses of some ten thousand nodes, and for its answers.
const BUFFER: usize = 8 << 20;

/// `NLM_F_ACK`, and the bits of `NLM_F_DUMP`.
const ACK: u16 = libc::NLM_F_ACK as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// `IPSET_CMD_LIST` of `NFNL_SUBSYS_IPSET`, linux/netfilter/ipset/ip_set.h.
const LIST_SETS: u16 = 6 << 8 | 7;

/// `IPSET_PROTOCOL`, and the flag that asks for names without members.
const SETS_PROTOCOL: u8 = 6;
const NAMES_ONLY: u32 = 1 << 1;

/// Length of `struct nfgenmsg`.
const FAMILY_HEADER: usize = 4;

/// `NLA_F_NET_BYTEORDER`.
const IN_NETWORK_ORDER: u16 = 1 << 14;

/// The socket.
#[derive(Debug)]
pub struct Filter {
    conversation: Conversation,
    sequence: u32,
}

impl Filter {
    /// A socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn open() -> io::Result<Self> {
        let mut conversation = Conversation::open(libc::NETLINK_NETFILTER, BUFFER)?;
        buffer::resize_sending(conversation.socket(), BUFFER)?;
        Ok(Self { conversation, sequence: 0 })
    }

    /// The port by which notifications name this socket as the author of a change.
    #[must_use]
    pub const fn port(&self) -> u32 {
        self.conversation.port()
    }

    /// The answers to a question; none where it asks for what is not there.
    ///
    /// # Errors
    /// Those of the kernel, with what was asked.
    pub fn ask(&mut self, question: Question<'_>) -> io::Result<Vec<Vec<u8>>> {
        self.ask_message(&question.message())
    }

    /// The names of all sets of addresses of `ipset`; none where the kernel has no such thing.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn ip_sets(&mut self) -> io::Result<Vec<String>> {
        let mut body = vec![0; FAMILY_HEADER];
        put(&mut body, 1, &[SETS_PROTOCOL]);
        put_be32(&mut body, 6 | IN_NETWORK_ORDER, NAMES_ONLY);
        let flags = libc::NLM_F_REQUEST as u16 | DUMP;
        let question = Message { kind: LIST_SETS, flags, body, doing: "list sets of addresses".into() };
        let answers = match self.ask_message(&question) {
            // No such subsystem.
            Err(error) if errno(&error) == Some(libc::EINVAL) => return Ok(Vec::new()),
            answers => answers?,
        };
        let name = |answer: &Vec<u8>| find(answer.get(FAMILY_HEADER..)?, 2).map(text);
        Ok(answers.iter().filter_map(name).collect())
    }

    fn ask_message(&mut self, question: &Message) -> io::Result<Vec<Vec<u8>>> {
        let mut answers = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            answers.clear();
            match self.ask_once(question, &mut answers) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Vec::new()),
                Err(error) => return Err(named(&question.doing, &error)),
            }
        }
        Ok(answers)
    }

    /// Whether no change interrupted it.
    fn ask_once(&mut self, question: &Message, answers: &mut Vec<Vec<u8>>) -> io::Result<bool> {
        let dump = question.flags & DUMP != 0;
        let sequence = self.send(std::slice::from_ref(question), if dump { 0 } else { ACK })?;
        self.conversation.answers(sequence, |body| {
            answers.push(body.to_vec());
            Ok(())
        })
    }

    /// Makes all changes or none.
    ///
    /// # Errors
    /// Those of the kernel, with what was being done.
    pub fn commit(&mut self, batch: Batch) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let messages = batch.finish();
        let first = self.send(&messages, 0)?;
        let mut refused = None;
        self.conversation.receive(|header, body| {
            let at = header.sequence.wrapping_sub(first) as usize;
            let Some(message) = messages.get(at).filter(|_| i32::from(header.kind) == libc::NLMSG_ERROR)
            else {
                return Ok(false);
            };
            let errno = message::errno(body).unwrap_or(libc::EPROTO as u16);
            if errno != 0 && refused.is_none() {
                let error = io::Error::from_raw_os_error(i32::from(errno));
                refused = Some(named(&message.doing, &error));
            }
            // The begin is answered where the batch as such failed, the last change in any case.
            Ok((at == 0 && errno != 0) || at + 2 == messages.len())
        })?;
        refused.map_or(Ok(()), Err)
    }

    /// Sends all in one piece; the sequence number of the first.
    fn send(&mut self, messages: &[Message], flags: u16) -> io::Result<u32> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let len = u32::try_from(HEADER + message.body.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&len.to_ne_bytes());
            bytes.extend_from_slice(&message.kind.to_ne_bytes());
            bytes.extend_from_slice(&(message.flags | flags).to_ne_bytes());
            bytes.extend_from_slice(&self.sequence.to_ne_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&message.body);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        self.conversation.send(&bytes)?;
        Ok(first)
    }
}

/// The error with what was being done; its number stays.
fn named(doing: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        Named { doing: doing.to_owned(), errno: error.raw_os_error(), text: error.to_string() },
    )
}

/// An error of the kernel, and at what.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {text}")]
struct Named {
    doing: String,
    errno: Option<i32>,
    text: String,
}

/// The error's number, whether it was named or not.
#[must_use]
pub fn errno(error: &io::Error) -> Option<i32> {
    let named = error.get_ref().and_then(|inner| inner.downcast_ref::<Named>());
    named.map_or_else(|| error.raw_os_error(), |named| named.errno)
}
