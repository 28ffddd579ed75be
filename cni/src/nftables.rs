//! The packet filter of our namespace, by a socket of its own: questions, batches, and the
//! protocol's two answers that are no failures, "there is none" and "it has changed meanwhile".

use api::nft::{Batch, Family, Message, Question, SeenElement, dump};

use crate::error::{Code, Error, Result};
use crate::netlink::{Failure, Netlink};

/// `ERESTART`: the rule set is not that of the generation that the batch was made for.
const CHANGED: i32 = 85;

/// The socket.
#[derive(Debug)]
pub struct Nftables {
    socket: Netlink,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was done.
    Done,
    /// Nothing: somebody else changed the rule set since it was looked at.
    Changed,
    /// Nothing: what it names is not there, or is there already.
    Clash(Error),
}

impl Nftables {
    /// The packet filter of the calling thread's namespace.
    ///
    /// # Errors
    /// Code 5 if the kernel gives no socket.
    pub fn open() -> Result<Self> {
        let socket = Netlink::filter().map_err(|e| Error::io("open a socket to the packet filter", &e))?;
        Ok(Self { socket })
    }

    /// The answer to a question; none where it asks for what is not there.
    ///
    /// # Errors
    /// Any other refusal, or the socket's error.
    pub fn ask(&mut self, question: Question<'_>) -> std::result::Result<Vec<Vec<u8>>, Failure> {
        self.ask_raw(&question.message())
    }

    /// The answer to a question to another part of the packet filter.
    ///
    /// # Errors
    /// Any refusal but "there is none", or the socket's error.
    pub fn ask_raw(&mut self, question: &Message) -> std::result::Result<Vec<Vec<u8>>, Failure> {
        match self.socket.question(question) {
            Ok(replies) => Ok(replies.into_iter().map(|reply| reply.payload).collect()),
            Err(failure) if failure.errno() == Some(libc::ENOENT) => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    /// The generation of the rule set.
    ///
    /// # Errors
    /// Code 5 if the kernel does not tell.
    pub fn generation(&mut self) -> Result<Option<u32>> {
        let replies =
            self.ask(Question::Generation).map_err(|failure| wrong("look at the rule set", &failure))?;
        Ok(replies.first().and_then(|reply| dump::generation(reply)))
    }

    /// Elements of a set; none if there is no such set.
    ///
    /// # Errors
    /// Code 5 if the kernel does not tell.
    pub fn elements(&mut self, (family, table): (Family, &str), set: &str) -> Result<Vec<SeenElement>> {
        let replies = self
            .ask(Question::Elements(family, table, set))
            .map_err(|failure| wrong(&format!("list elements of {set}"), &failure))?;
        Ok(replies.iter().flat_map(|reply| dump::elements(reply)).collect())
    }

    /// Makes all changes or none.
    ///
    /// # Errors
    /// Code 5 for a refusal that is no [`Outcome`].
    pub fn commit(&mut self, batch: Batch) -> Result<Outcome> {
        if batch.is_empty() {
            return Ok(Outcome::Done);
        }
        let messages = batch.finish();
        match self.socket.commit(&messages) {
            Ok(()) => Ok(Outcome::Done),
            Err(Failure::Refused { errno: CHANGED, .. }) => Ok(Outcome::Changed),
            Err(failure) => {
                let doing = match &failure {
                    Failure::Refused { request, .. } => {
                        messages.get(*request).map(|message| message.doing.as_str())
                    }
                    Failure::Socket(_) => None,
                };
                let error = wrong(doing.unwrap_or("change the rule set"), &failure);
                let clash = [libc::ENOENT, libc::EEXIST, libc::EBUSY];
                if failure.errno().is_some_and(|errno| clash.contains(&errno)) {
                    return Ok(Outcome::Clash(error));
                }
                Err(error)
            }
        }
    }
}

/// An error of the packet filter, with what was being done.
pub fn wrong(doing: &str, failure: &Failure) -> Error {
    let missing = [libc::EPROTONOSUPPORT, libc::EOPNOTSUPP, libc::EAFNOSUPPORT];
    let hint = match failure.errno() {
        Some(errno) if missing.contains(&errno) => " (is nf_tables in this kernel?)",
        _ => "",
    };
    Error::new(Code::Io, format!("cannot {doing} in the packet filter"))
        .with_details(format!("{}{hint}", failure.text()))
}
