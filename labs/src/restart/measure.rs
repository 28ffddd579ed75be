//! The streams, and what they lose.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::event::Event;
use super::scene::{HOST, POD, Scene};
use crate::interrupt;
use crate::sandbox::Sandbox;
use crate::stream::Stream;

/// Between two packets.
const PACE: Duration = Duration::from_millis(1);
/// Packets that arrive one after the other before it happens, and after it: then it is over.
const STEADY: u64 = 500;
/// What is lost for longer than this is lost for good.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many packets are lost of those from the pod, and of those to it.
///
/// # Errors
/// What could not be made, and what is not as it has to be before or after.
pub fn losses(sandbox: &Sandbox, event: Event, underlay: &Path, run: usize) -> anyhow::Result<[u64; 2]> {
    let mut scene = Scene::new(sandbox, event, underlay, run)?;
    let lost = through(&mut scene, event);
    scene.remove()?;
    lost
}

fn through(scene: &mut Scene<'_>, event: Event) -> anyhow::Result<[u64; 2]> {
    scene.until_ready(event).context("before")?;
    let (pod, host): (IpAddr, IpAddr) = (POD.parse()?, HOST.parse()?);
    let start = |from, own, to, target| {
        Stream::start(from, own, to, SocketAddr::new(target, 7000), PACE).context("sockets")
    };
    let mut streams =
        [start(&scene.pod, pod, &scene.host, host)?, start(&scene.host, host, &scene.pod, pod)?];
    let steady = |streams: &[Stream; 2], since: [u64; 2]| {
        interrupt::until("both streams", PATIENCE, || {
            streams.iter().zip(since).all(|(stream, since)| stream.is_steady(since, STEADY))
        })
    };
    steady(&streams, [0; 2]).context("before")?;
    let at = streams.each_ref().map(Stream::sent);
    scene.strike(event)?;
    scene.until_over(event).context("after")?;
    let since = streams.each_ref().map(Stream::sent);
    steady(&streams, since).context("after")?;
    // What was sent just before may be on its way when it strikes.
    let from = at.map(|at| at.saturating_sub(STEADY / 2));
    let mut lost = [0; 2];
    for ((stream, from), lost) in streams.iter_mut().zip(from).zip(&mut lost) {
        let sent = stream.end();
        *lost = stream.lost(from..sent);
    }
    Ok(lost)
}
