//! A stream through the scene, and what the failure costs it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::event::Event;
use super::scene::{HOST, POD, Scene};
use crate::stream::Stream;
use crate::wait;

/// Between two packets.
const PACE: Duration = Duration::from_millis(1);
/// Packets that arrive one after the other before the failure, and after it: then it is over.
const STEADY: u64 = 500;
/// A failure that lasts longer than this is not noticed at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many packets are lost of those of the stream, from shortly before the failure to its end.
///
/// # Errors
/// Where nothing arrives before, or nothing ever again.
pub fn losses(scene: &Scene, event: Event) -> anyhow::Result<u64> {
    let (own, host): (IpAddr, IpAddr) = (POD.parse()?, HOST.parse()?);
    let target = SocketAddr::new(host, 7000);
    let mut stream = Stream::start(&scene.pod, own, &scene.host, target, PACE).context("sockets")?;
    let until = |what: &str, number: u64| {
        wait::attempt(what, PATIENCE, || stream.is_steady(number, STEADY)).map_err(|message| anyhow!(message))
    };
    until("a stream before the failure", 0)?;
    let at = stream.sent();
    scene.strike(event)?;
    until("a stream after the failure", at)?;
    let sent = stream.end();
    // What was sent just before may be on its way when it strikes.
    Ok(stream.lost(at.saturating_sub(STEADY / 2)..sent))
}
