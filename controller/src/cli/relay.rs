//! `underlay relay`: the agent's socket by stdin and stdout. It runs in an agent's pod for who asks from elsewhere, and
//! ends with either side.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use clap::Args;

use super::client::refusal;
use super::failure::{Exit, Failure};
use super::outcome::Outcome;
use super::render::Format;
use super::target::{GREETING, SOCKET};
use crate::operator::service::socket_beside;

/// The arguments of `relay`.
#[derive(Args, Clone, Debug)]
pub struct RelayArgs {
    /// The agent's socket
    #[arg(long, env = "UNDERLAY_SOCKET", value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
    /// The operator's socket, beside it
    #[arg(long)]
    pub operator: bool,
}

pub(super) fn run(args: &RelayArgs) -> Outcome {
    let socket = if args.operator { socket_beside(&args.socket) } else { args.socket.clone() };
    match UnixStream::connect(&socket)
        .map_err(|error| refusal(&error))
        .and_then(|stream| relay(&stream).map_err(|error| error.to_string()))
    {
        Ok(()) => Outcome::default(),
        Err(why) => {
            let failure = Failure::new(Exit::Unreachable, why).at(&socket);
            Outcome { stderr: failure.line(Format::Table), exit: failure.exit, ..Outcome::default() }
        }
    }
}

/// Passes octets on until one side has no more.
fn relay(stream: &UnixStream) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(GREETING.as_bytes())?;
    stdout.flush()?;
    let (mut to, mut from) = (stream.try_clone()?, stream.try_clone()?);
    // It ends with the process: whoever asks closes stdin last.
    thread::spawn(move || {
        // Either way there is no more to pass on.
        let _ = io::copy(&mut io::stdin().lock(), &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    pass(&mut from, &mut stdout)
}

/// Passes on what comes as it comes.
fn pass(from: &mut impl io::Read, to: &mut impl Write) -> io::Result<()> {
    let mut octets = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut octets) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&octets[..read])?;
        to.flush()?;
    }
}
