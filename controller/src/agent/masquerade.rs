//! What is hidden behind the node, with what was learned meanwhile where that is left out.

use std::collections::BTreeSet;

use bgp::io::RouteChange;
use bgp::prefix::Prefix;
use bgp::speaker::Speaker;
use bgp::view::RouteFilter;

use crate::kernel::masquerade::{LEARNED_MAX, Masquerade};

/// Entries a page of the speaker's routes.
const PAGE: usize = 1000;

/// What shall be hidden, and whether the driver knows.
#[derive(Debug, Default)]
pub(super) struct Hiding {
    wanted: Option<Masquerade>,
    /// Whether learned prefixes are left out.
    except_learned: bool,
    /// Those that are installed, but for default routes; empty where they do not matter.
    learned: BTreeSet<Prefix>,
    /// Whether what is known differs from what the driver was told; nobody has been told before there is a
    /// configuration.
    changed: bool,
}

impl Hiding {
    /// Takes in what the configuration says. `speaker` knows what was learned before that mattered.
    pub(super) fn want(&mut self, wanted: Option<(Masquerade, bool)>, speaker: Option<&Speaker>) {
        let (wanted, except_learned) =
            wanted.map_or((None, false), |(wanted, learned)| (Some(wanted), learned));
        if except_learned && !self.except_learned {
            self.learned = speaker.map(learned).unwrap_or_default();
        } else if !except_learned {
            self.learned.clear();
        }
        (self.wanted, self.except_learned, self.changed) = (wanted, except_learned, true);
    }

    /// Takes in what becomes of routes.
    pub(super) fn routes(&mut self, changes: &[RouteChange]) {
        if !self.except_learned {
            return;
        }
        for RouteChange { prefix, set } in changes.iter().filter(|change| !change.prefix.is_default()) {
            self.changed |= match set {
                Some(_) => self.learned.insert(*prefix),
                None => self.learned.remove(prefix),
            };
        }
    }

    /// Whether anything is to be hidden.
    pub(super) fn is_on(&self) -> bool {
        self.wanted.is_some()
    }

    /// What the driver is to be told, if it was told something else. While an agent that restarts has not `settled`
    /// it has not learned what it knew before: what stands stays then, if that matters.
    pub(super) fn news(&mut self, settled: bool) -> Option<Option<Masquerade>> {
        if !self.changed || (self.except_learned && !settled) {
            return None;
        }
        self.changed = false;
        // One more than is possible tells the driver as much as all of them.
        let learned = self.learned.iter().take(LEARNED_MAX + 1).copied().collect();
        Some(self.wanted.clone().map(|wanted| Masquerade { learned, ..wanted }))
    }
}

/// The prefixes that lead somewhere, but for default routes.
fn learned(speaker: &Speaker) -> BTreeSet<Prefix> {
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = speaker.routes(RouteFilter::All, cursor, PAGE);
        let leads = |route: &&bgp::view::RouteView| !route.next_hops.is_empty() && !route.prefix.is_default();
        found.extend(page.routes.iter().filter(leads).map(|route| route.prefix));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}
