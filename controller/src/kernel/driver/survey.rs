//! The looks at the kernel: a dump of all that is there, and a glance at the interfaces and the next-hop objects.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use bgp::prefix::Family;

use super::super::age::Age;
use super::super::command::{KernelEvent, MAIN_TABLE};
use super::super::message::{self, InterfaceAddress, Link};
use super::super::netlink::{Netlink, Part};
use super::super::object;
use super::super::request;
use super::super::view::Sorter;
use super::Driver;

/// How long after a dump that failed the next one is tried.
const RETRY: Duration = Duration::from_secs(1);

/// After so many routes of a dump commands are looked at: a fraction of a millisecond.
const LOOK: usize = 512;

/// So many dumps in a row are given up for what is more urgent; the next one is not, whatever comes.
const MOST_GIVEN_UP: u32 = 3;

impl Driver {
    /// Dumps, resolves again, and queues what differs from what is wanted.
    pub(super) async fn refresh(&mut self) {
        let began = Instant::now();
        match self.dump() {
            Ok(true) => {
                self.trouble = None;
                let ended = Instant::now();
                self.dump_at = ended + (ended - began) * 4;
            }
            Ok(false) => {
                self.dump_at = Instant::now();
                return;
            }
            Err(error) => {
                self.dump_at = Instant::now() + RETRY;
                self.complain(format!("the kernel's tables cannot be read: {error}")).await;
                return;
            }
        }
        self.tell_addresses().await;
        if self.ledger.is_configured() && !std::mem::replace(&mut self.adopted, true) {
            // A speaker that restarts announces them before its End-of-RIB.
            self.tell_pods().await;
            self.tell(KernelEvent::Adopted(self.ledger.written())).await;
        }
    }

    /// Whether the dump came to its end; it may be given up for what is more urgent.
    fn dump(&mut self) -> io::Result<bool> {
        // What changes while the dump runs is reported, and makes the next one due.
        self.monitor.hear_routes(true)?;
        self.settles_at = None;
        let (links, addresses) = self.dump_interfaces()?;
        self.dump_objects()?;
        // From here on commands may come.
        self.age = Age::Fresh;
        let sorter = match self.dump_routes() {
            Ok(Some(sorter)) => sorter,
            other => {
                self.age = Age::Stale;
                return other.map(|_| false);
            }
        };
        let (view, own) = sorter.finish(links, &addresses);
        self.view = view;
        self.interfaces_changed = false;
        self.resolve_all();
        self.ledger.adopt(own, &self.view);
        Ok(true)
    }

    /// All routes of our tables and the main one; `None` if the dump was given up.
    fn dump_routes(&mut self) -> io::Result<Option<Sorter>> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Netlink::open()?,
        };
        let mut sorter = Sorter::new(self.ledger.ownership().clone());
        let tables: BTreeSet<u32> =
            self.ledger.ownership().tables.iter().copied().chain([MAIN_TABLE]).collect();
        for family in Family::ALL {
            for table in &tables {
                let (mut read, mut gives_up) = (0_usize, false);
                let ended = reader.try_dump(
                    |sequence| request::dump_routes(family, *table, sequence),
                    |part| {
                        let Part::Message(body) = part else {
                            sorter.forget(family, *table);
                            return Ok(());
                        };
                        read += 1;
                        gives_up = read.is_multiple_of(LOOK) && self.gives_dump_up();
                        if gives_up {
                            return Err(io::ErrorKind::Interrupted.into());
                        }
                        let route = message::route(body).filter(|route| route.table == *table);
                        route.into_iter().for_each(|route| sorter.take(route));
                        Ok(())
                    },
                );
                match ended {
                    Ok(()) => {}
                    // What is left of its answers goes with the socket.
                    Err(_) if gives_up => return Ok(None),
                    // A table that nobody has written to does not exist.
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.given_up = 0;
        self.reader = Some(reader);
        Ok(Some(sorter))
    }

    /// Takes commands in the midst of a dump; whether it is to be given up, because a way out is lost or the dump is of
    /// something else than what is wanted now.
    fn gives_dump_up(&mut self) -> bool {
        if self.given_up == MOST_GIVEN_UP {
            return false;
        }
        self.take_commands();
        let urgent = self.age == Age::Stale || self.ledger.is_losing();
        self.given_up += u32::from(urgent);
        urgent
    }

    fn dump_interfaces(&mut self) -> io::Result<(Vec<Link>, Vec<InterfaceAddress>)> {
        let links = self.netlink.dump(request::dump_links, message::link)?;
        let mut addresses = Vec::new();
        for family in Family::ALL {
            let request = |sequence| request::dump_addresses(family, sequence);
            addresses.extend(self.netlink.dump(request, message::interface_address)?);
        }
        Ok((links, addresses))
    }

    /// Looks at the next-hop objects: with an interface they go without a word.
    fn dump_objects(&mut self) -> io::Result<()> {
        match self.netlink.dump(object::message::dump, object::message::object) {
            Ok(objects) => self.ledger.adopt_objects(Some(objects)),
            // Linux before 5.3.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.ledger.adopt_objects(None);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks at the interfaces and the next-hop objects alone. Next hops that come back do so with the dump.
    pub(super) async fn glance(&mut self) {
        self.interfaces_changed = false;
        // The dump that is due tells of an error.
        let Ok((links, addresses)) = self.dump_interfaces() else { return };
        if self.dump_objects().is_err() {
            return;
        }
        self.view.replace_interfaces(links, &addresses);
        self.resolve_all();
        self.tell_addresses().await;
        self.tell_next_hops().await;
    }
}
