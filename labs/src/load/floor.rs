//! What the machine and this program take by themselves: the table's octets from a sender straight to a receiver,
//! over a TCP connection within one network namespace. No speaker can be faster.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use bgp::id::Asn;
use bgp::wire::attribute::NextHops;
use serde_json::json;

use super::counter::{Counter, Figures, Places};
use super::report::{Clock, seconds};
use super::stream::Stream;
use super::table::Table;

/// Sends the table once, and says when the last prefix was counted.
pub(super) fn run(table: &Table, places: &Places, asn: Asn, clock: &Clock) -> anyhow::Result<()> {
    let next_hop = match table.family {
        bgp::prefix::Family::Ipv4 => NextHops::V4(Ipv4Addr::LOCALHOST),
        bgp::prefix::Family::Ipv6 => NextHops::V6 { global: "fd09::2".parse()?, link_local: None },
    };
    let stream = Stream::announce(table, 100, asn, next_hop)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the loopback interface")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let figures = Arc::new(Figures::default());
    let mut counter = Counter::new(Arc::clone(places), Arc::clone(&figures));
    let start = clock.nanos();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || stream.pieces().try_for_each(|piece| sender.write_all(piece)));
        let mut buffer = vec![0; 256 * 1024];
        while figures.have.load(Ordering::Relaxed) < table.len() {
            let len = receiver.read(&mut buffer)?;
            anyhow::ensure!(len > 0, "the octets end before the table does");
            counter.read(buffer.get(..len).unwrap_or_default(), clock)?;
        }
        sending.join().map_err(|_| anyhow::anyhow!("the thread that writes panicked"))??;
        Ok(())
    })?;
    let took = figures.last.load(Ordering::Relaxed).saturating_sub(start);
    clock.say("floor", json!({"seconds": seconds(took), "prefixes": table.len()}))
}
