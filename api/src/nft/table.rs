//! What shall stand in the kernel: a table with its sets and chains.
//!
//! Chains are declared whole, so a rule that is missing, foreign or of another version shows. Elements of sets are
//! not part of a table: they come and go while it stands.

use super::batch::Batch;
use super::dump::SeenRule;
use super::rule::{Family, Rule};

/// What a set's keys or a map's values are made of; the number is `nft`'s for listing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// An IPv4 address.
    Address4 = 7,
    /// An IPv6 address.
    Address6 = 8,
    /// The protocol above IP.
    Protocol = 12,
    /// A port.
    Port = 13,
    /// The name of an interface.
    Interface = 41,
}

impl Kind {
    /// Bytes in a key of several parts, where each fills whole words.
    pub(super) const fn bytes(self) -> u32 {
        match self {
            Self::Address4 | Self::Protocol | Self::Port => 4,
            Self::Address6 | Self::Interface => 16,
        }
    }
}

/// A set, or a map where it has values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name in its table.
    pub name: String,
    /// The parts of a key.
    pub key: Vec<Kind>,
    /// The parts of a value; none for a set.
    pub value: Vec<Kind>,
    /// Its elements are the ends of intervals.
    pub intervals: bool,
}

/// An element of a set or map; parts of several fill whole words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The value's bytes; empty in a set.
    pub value: Vec<u8>,
    /// It ends an interval and is not part of it.
    pub end: bool,
    /// Whose it is; empty for none.
    pub comment: String,
}

/// Where packets enter a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// `NF_INET_…`.
    pub number: u32,
    /// Lower ones come first.
    pub priority: i32,
}

impl Hook {
    /// Before routing.
    pub const PREROUTING: u32 = 0;
    /// Between two interfaces.
    pub const FORWARD: u32 = 2;
    /// What this host sends.
    pub const OUTPUT: u32 = 3;
    /// After routing.
    pub const POSTROUTING: u32 = 4;
}

/// A chain with its rules; without a hook it is one that others jump to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name in its table.
    pub name: String,
    /// Where packets enter.
    pub hook: Option<Hook>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Whose packets it sees.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// Sets and maps, before the rules that look into them.
    pub sets: Vec<Set>,
    /// Chains, those that others jump to among them.
    pub chains: Vec<Chain>,
}

impl Table {
    /// Makes it stand, whatever of it stands already; elements stay.
    ///
    /// Until the batch is done packets meet the old rules, from then on the new ones.
    pub fn put(&self, batch: &mut Batch) {
        batch.table(self.family, &self.name);
        for set in &self.sets {
            batch.set(self.family, &self.name, set);
        }
        for chain in &self.chains {
            batch.chain(self.family, &self.name, chain);
        }
        for chain in &self.chains {
            batch.flush_chain(self.family, &self.name, &chain.name);
            for rule in &chain.rules {
                batch.rule(self.family, &self.name, &chain.name, rule);
            }
        }
    }

    /// The first chain whose rules are not those of `seen`, all rules that the kernel has in this table.
    #[must_use]
    pub fn damage(&self, seen: &[SeenRule]) -> Option<&str> {
        let damaged = |chain: &&Chain| {
            let there = seen.iter().filter(|rule| rule.chain == chain.name).map(|rule| rule.comment.as_str());
            !there.eq(chain.rules.iter().map(Rule::comment))
        };
        self.chains.iter().find(damaged).map(|chain| chain.name.as_str())
    }
}
