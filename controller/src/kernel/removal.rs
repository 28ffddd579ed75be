//! What of ours is in the kernel, whoever has left it there, and how it goes: for the end of a node, when there is no
//! agent any more and no ledger of what it wrote.
//!
//! Ours is told by what the kernel keeps with it: the protocol number of routes and next-hop objects, the name of a
//! table of the packet filter, the tag of a rule in another's, the alias of a link. Nothing else is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use api::netconf::PLUGIN_TYPE;
use api::nft::{Batch, Family as Packets, Question, dump};
use bgp::prefix::Family;

use super::filter::Filter;
use super::masquerade::rules;
use super::message;
use super::netlink::{Netlink, Outcome};
use super::object;
use super::plan::{Operation, step};
use super::request::{self, ACK, REQUEST, begin, end};
use super::view::{OwnRoutes, Ownership, View};

/// `RT_TABLE_UNSPEC`: routes of all tables.
const ALL: u32 = 0;

/// Routes of IPv6 go way by way: as often as one may have ways of different kinds, and some more.
const ROUNDS: usize = 8;

/// The tables of the packet filter: the agent's, and the plugin's.
const TABLES: [(Packets, &str); 2] = [rules::TABLE, (Packets::Inet, PLUGIN_TYPE)];

/// Where the plugin adds rules to a chain of others, each with a comment that begins with its type.
const FORWARD: (&str, &str) = ("filter", "FORWARD");

/// A link that the plugin has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLink {
    /// The interface's index.
    pub ifindex: u32,
    /// The interface's name.
    pub name: String,
}

/// The sockets.
#[derive(Debug)]
pub struct Removal {
    netlink: Netlink,
    protocols: BTreeSet<u8>,
}

impl Removal {
    /// In the network namespace of the calling thread, for routes of these protocol numbers.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn open(protocols: BTreeSet<u8>) -> io::Result<Self> {
        Ok(Self { netlink: Netlink::open()?, protocols })
    }

    fn own(&mut self) -> io::Result<OwnRoutes> {
        let mut routes = Vec::new();
        for family in Family::ALL {
            routes.extend(
                self.netlink.dump(|number| request::dump_routes(family, ALL, number), message::route)?,
            );
        }
        routes.retain(|route| self.protocols.contains(&route.protocol));
        let tables = routes.iter().map(|route| route.table).collect();
        let ownership = Ownership { tables, protocols: self.protocols.clone() };
        Ok(View::new(Vec::new(), &[], routes, &ownership).1)
    }

    /// How many routes there are by protocol number and table.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn routes(&mut self) -> io::Result<BTreeMap<(u8, u32), usize>> {
        let mut counts = BTreeMap::new();
        for (key, route) in self.own()? {
            *counts.entry((route.protocol, key.table)).or_default() += 1;
        }
        Ok(counts)
    }

    /// Deletes the routes.
    ///
    /// # Errors
    /// Those of the kernel, the first of them; the other routes are gone.
    pub fn remove_routes(&mut self) -> io::Result<()> {
        let mut first = Ok(());
        for _ in 0..ROUNDS {
            let own = self.own()?;
            if own.is_empty() {
                return Ok(());
            }
            let operation = |(key, route): (_, &_)| {
                let key: super::route::Key = key;
                Some(Operation { key, action: step(key.family(), Some(route), None)? })
            };
            let operations: Vec<Operation> =
                own.iter().filter_map(|(key, route)| operation((*key, route))).collect();
            match self.netlink.write(&operations) {
                Outcome::Known(results) => {
                    let refused =
                        results.into_iter().find(|errno| !matches!(i32::from(*errno), 0 | libc::ESRCH));
                    first =
                        refused.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(i32::from(errno))));
                }
                Outcome::Unknown(error) => first = Err(error),
            }
        }
        first
    }

    /// The numbers of the next-hop objects, groups first: what has hops goes before them. A kernel without objects has
    /// none.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn objects(&mut self) -> io::Result<Vec<u32>> {
        let found = match self.netlink.dump(object::message::dump, object::message::object) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) => Vec::new(),
            found => found?,
        };
        let ours = found.into_iter().filter(|object| self.protocols.contains(&object.protocol));
        let (hops, groups): (Vec<_>, Vec<_>) =
            ours.partition(|object| matches!(object.what, object::What::Hop(_)));
        Ok(groups.into_iter().chain(hops).map(|object| object.id).collect())
    }

    /// Deletes the next-hop objects. Of what others have put on them the routes go, too: the kernel does not ask whose
    /// they are.
    ///
    /// # Errors
    /// Those of the kernel, the first of them.
    pub fn remove_objects(&mut self) -> io::Result<()> {
        let changes: Vec<_> = self.objects()?.into_iter().map(object::Change::Delete).collect();
        let refused = self.netlink.change(&changes, 0)?.into_iter().filter_map(Result::err);
        let refused = refused.map(i32::from).find(|errno| *errno != libc::ENOENT);
        refused.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// The links that the plugin has made: the host ends of pods, and what shapes their packets.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn links(&mut self) -> io::Result<Vec<PluginLink>> {
        self.netlink.dump(request::dump_links, plugin_link)
    }

    /// Deletes a link, and with it its other end and its routes. One that is gone is fine.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn remove_link(&mut self, link: &PluginLink) -> io::Result<()> {
        let request = |sequence| {
            let mut request = Vec::with_capacity(32);
            let start = begin(&mut request, libc::RTM_DELLINK, REQUEST | ACK, sequence);
            // A `struct ifinfomsg`.
            request.extend_from_slice(&[0; 4]);
            request.extend_from_slice(&link.ifindex.to_ne_bytes());
            request.extend_from_slice(&[0; 8]);
            end(&mut request, start);
            request
        };
        match self.netlink.ask(request, |_| Some(())) {
            // An acknowledgement is an error of number 0.
            Err(error) if matches!(error.raw_os_error(), Some(0 | libc::ENODEV)) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn plugin_link(body: &[u8]) -> Option<PluginLink> {
    let link = message::link(body)?;
    let head = format!("{PLUGIN_TYPE} network=");
    let ours = message::attributes(body.get(16..)?)
        .any(|(kind, value)| kind == libc::IFLA_IFALIAS && value.starts_with(head.as_bytes()));
    ours.then_some(PluginLink { ifindex: link.ifindex, name: link.name })
}

/// What of ours is in the packet filter, in words: tables, and rules in a chain of others. Takes it away where `remove`
/// says so, all of it or nothing. A kernel without a packet filter has nothing.
///
/// # Errors
/// Those of the kernel.
pub fn filter(remove: bool) -> io::Result<Vec<String>> {
    let mut filter = match Filter::open() {
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return Ok(Vec::new()),
        filter => filter?,
    };
    let (mut found, mut batch) = (Vec::new(), Batch::new(None));
    for (family, table) in TABLES {
        if !filter.ask(Question::Table(family, table))?.is_empty() {
            found.push(format!("table inet {table}"));
            batch.delete_table(family, table);
        }
    }
    let (table, chain) = FORWARD;
    for (family, word) in [(Packets::Ip, "ip"), (Packets::Ip6, "ip6")] {
        let answers = filter.ask(Question::RulesOf(family, table, chain))?;
        let seen = answers.iter().filter_map(|answer| dump::rule(answer));
        // A kernel without this filter sends those of other chains too.
        for rule in seen.filter(|rule| {
            (rule.table.as_str(), rule.chain.as_str()) == FORWARD
                && rule.comment.strip_prefix(PLUGIN_TYPE).is_some_and(|rest| rest.starts_with(':'))
        }) {
            found.push(format!("rule {word} {table} {chain} \"{}\"", rule.comment));
            batch.delete_rule(family, table, chain, rule.handle);
        }
    }
    if remove {
        filter.commit(batch)?;
    }
    Ok(found)
}
