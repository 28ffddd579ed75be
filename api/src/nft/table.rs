//! What shall stand in the kernel: a table with its sets and chains.
//!
//! Chains are declared whole, so a rule that is missing, foreign or of another version shows. Elements of sets are
//! not part of a table: they come and go while it stands.

use super::batch::Batch;
use super::dump::SeenRule;
use super::object::{Chain, Set};
use super::rule::{Family, Rule};

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
