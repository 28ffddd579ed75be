//! One connection: it is opened, kept alive, written to and read from by threads of its own.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bgp::id::{Asn, RouterId};
use bgp::prefix::Family;
use bgp::wire::capability::Capability;
use bgp::wire::frame::{Framer, Kind, encode_keepalive};
use bgp::wire::header::MAX_LEN;
use bgp::wire::open::Open;
use socket2::{Domain, Protocol, Socket, Type};

use super::report::Clock;
use super::stream::Stream;

/// Who connects to whom.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    pub(super) local: IpAddr,
    pub(super) remote: SocketAddr,
    pub(super) asn: Asn,
    pub(super) router_id: RouterId,
    pub(super) hold_seconds: u16,
}

/// The reading end of an Established session.
#[derive(Debug)]
pub(super) struct Reading {
    stream: TcpStream,
    /// What came along with the peer's first KEEPALIVE.
    early: Vec<u8>,
}

/// An Established session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) ends: Ends,
    /// Held for as long as whole messages take: a KEEPALIVE never lands inside another. `None` once it was reset.
    writer: Mutex<Option<TcpStream>>,
    /// What ended it, if something did.
    pub(super) over: Mutex<Option<String>>,
    /// Whether KEEPALIVEs go out.
    pub(super) alive: AtomicBool,
}

impl Session {
    /// Connects and exchanges OPENs, again and again until `until`: a speaker may refuse what comes too early.
    ///
    /// The second value is for [`Session::read`].
    pub(super) fn open(ends: &Ends, until: Instant) -> anyhow::Result<(Arc<Self>, Reading)> {
        let mut pause = Duration::from_millis(5);
        loop {
            let failed = match attempt(ends, until) {
                Ok(reading) => return Self::established(ends, reading),
                Err(failed) => failed,
            };
            if Instant::now() + pause > until {
                return Err(failed.context(format!("{} to {}", ends.local, ends.remote)));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    fn established(ends: &Ends, reading: Reading) -> anyhow::Result<(Arc<Self>, Reading)> {
        reading.stream.set_read_timeout(None)?;
        let writer = Mutex::new(Some(reading.stream.try_clone()?));
        let over = Mutex::new(None);
        let session = Self { ends: ends.clone(), writer, over, alive: AtomicBool::new(true) };
        Ok((Arc::new(session), reading))
    }

    fn writer(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes messages, whole pieces at a time.
    pub(super) fn write(&self, stream: &Stream) -> anyhow::Result<()> {
        for piece in stream.pieces() {
            let mut writer = self.writer();
            let writer = writer.as_mut().context("the session was reset")?;
            writer.write_all(piece).with_context(|| format!("writing to {}", self.ends.remote))?;
        }
        Ok(())
    }

    /// Sends a KEEPALIVE unless the session is to be silent.
    pub(super) fn keep_alive(&self) {
        if !self.alive.load(Ordering::Relaxed) {
            return;
        }
        let mut message = Vec::new();
        encode_keepalive(&mut message);
        if let Some(writer) = self.writer().as_mut() {
            // The reader finds out and says so where the session is over.
            let _ = writer.write_all(&message);
        }
    }

    /// Reads until the session is over; `each` is given the octets as they come.
    pub(super) fn read(
        &self,
        reading: Reading,
        clock: &Clock,
        mut each: impl FnMut(&[u8], &Clock) -> anyhow::Result<()>,
    ) {
        let Reading { mut stream, early } = reading;
        let mut buffer = vec![0; 256 * 1024];
        let mut heard = if early.is_empty() { Ok(()) } else { each(&early, clock) };
        let over = loop {
            if let Err(error) = heard {
                break format!("{error:#}");
            }
            match stream.read(&mut buffer) {
                Ok(0) => break "the speaker closed the connection".to_owned(),
                Ok(len) => heard = each(buffer.get(..len).unwrap_or_default(), clock),
                Err(error) => break error.to_string(),
            }
        };
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = Some(over);
    }

    /// Ends the connection by a TCP reset.
    pub(super) fn reset(&self) -> anyhow::Result<()> {
        self.alive.store(false, Ordering::Relaxed);
        let Some(stream) = self.writer().take() else { return Ok(()) };
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        // With a linger time of zero the last close sends RST: this one here, or that of the reader, whom it wakes.
        stream.shutdown(Shutdown::Read)?;
        Ok(())
    }

    /// Opens the session again, once its reader has seen the end of the one before; the value is for [`Session::read`].
    pub(super) fn reopen(&self, until: Instant) -> anyhow::Result<Reading> {
        while self.ended().is_none() {
            anyhow::ensure!(Instant::now() < until, "the connection that was reset has not ended");
            std::thread::sleep(Duration::from_millis(1));
        }
        let (again, reading) = Self::open(&self.ends, until)?;
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.writer() = again.writer().take();
        self.alive.store(true, Ordering::Relaxed);
        Ok(reading)
    }

    /// What ended the session, if something did.
    pub(super) fn ended(&self) -> Option<String> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One attempt to connect and to become Established (RFC 4271 §8.2.2).
fn attempt(ends: &Ends, until: Instant) -> anyhow::Result<Reading> {
    let socket = Socket::new(Domain::for_address(ends.remote), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(ends.local, 0).into()).context("bind")?;
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    socket.connect_timeout(&ends.remote.into(), left).context("connect")?;
    socket.set_tcp_nodelay(true)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(left))?;
    let open = Open {
        asn: ends.asn,
        hold_seconds: ends.hold_seconds,
        router_id: ends.router_id,
        capabilities: vec![
            Capability::multiprotocol(Family::Ipv4),
            Capability::multiprotocol(Family::Ipv6),
            Capability::FourOctetAs(ends.asn),
        ],
    };
    let mut message = Vec::new();
    open.encode(&mut message);
    stream.write_all(&message).context("OPEN")?;
    let mut framer = Framer::new();
    let mut buffer = [0; MAX_LEN];
    while Instant::now() < until {
        let len = stream.read(&mut buffer).context("waiting for OPEN and KEEPALIVE")?;
        if len == 0 {
            bail!("the speaker closed the connection");
        }
        let mut chunk = buffer.get(..len).unwrap_or_default();
        while let Some(frame) = framer.next(&mut chunk).map_err(|error| anyhow::anyhow!("{error:?}"))? {
            match frame.kind {
                Kind::Open => {
                    message.clear();
                    encode_keepalive(&mut message);
                    stream.write_all(&message).context("KEEPALIVE")?;
                }
                Kind::Keepalive => return Ok(Reading { stream, early: chunk.to_vec() }),
                Kind::Notification => bail!("the speaker sent NOTIFICATION {:02x?}", frame.body),
                Kind::Update | Kind::RouteRefresh => {}
            }
        }
    }
    bail!("the speaker sent neither OPEN nor KEEPALIVE")
}
