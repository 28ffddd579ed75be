//! Random configurations, random paths: the speaker's words are the book's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::id::PathId;
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::reason::Reason;
use bgp::view::PathSource;
use bgp::wire::nlri;
use proptest::prelude::*;

use super::book::{self, Sender};
use super::desk::{Desk, address};
use super::draw::{PODS, PREFIXES, Scene, attributes, prefix, scene};
use super::witness::{Said, Witness};
use crate::sim::chance::Chance;

/// Whether a path that has come is there: beyond a limit it is counted, and not kept.
fn is_kept(desk: &Desk, prefix: Prefix, from: IpAddr, id: Option<PathId>) -> bool {
    let paths = desk.speaker.explain(prefix).route.map_or_else(Vec::new, |route| route.paths);
    paths.iter().any(|path| {
        matches!(path.source, PathSource::Peer { address, .. } if address == from) && path.path_id == id
    })
}

/// How many prefixes of a family a caller has said: kept, beyond its limit, beside too many of their prefix.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    kept: u64,
    beyond: u64,
    crowded: u64,
}

impl Count {
    /// One more, of a prefix of which so many are kept, from a caller that may have `most`; why it is not.
    fn take(&mut self, most: u32, of_prefix: usize) -> Option<Reason> {
        if self.kept >= most.into() {
            self.beyond += 1;
            return Some(Reason::PrefixLimit);
        }
        if of_prefix >= book::MOST_PATHS {
            self.crowded += 1;
            return Some(Reason::PathLimit);
        }
        self.kept += 1;
        None
    }
}

/// A speaker to which callers speak, and what they have said.
struct Talk<'s> {
    desk: Desk,
    witness: Witness<'s>,
    said: BTreeMap<&'static str, Said>,
    counts: Vec<PerFamily<Count>>,
    malformed: BTreeSet<(Prefix, IpAddr)>,
}

impl<'s> Talk<'s> {
    fn new(scene: &'s Scene) -> Result<Self, String> {
        let Scene { config, callers, metrics, kernel } = scene;
        let desk = Desk::new(config, callers, metrics.clone(), kernel.clone());
        let witness = Witness { scene, hung_up: false, words: BTreeSet::new() };
        let counts = vec![PerFamily::default(); callers.len()];
        let mut talk = Self { desk, witness, said: BTreeMap::new(), counts, malformed: BTreeSet::new() };
        talk.settle()?;
        Ok(talk)
    }

    /// Nothing is left to do: every word is looked at.
    fn settle(&mut self) -> Result<(), String> {
        self.desk.settle();
        for text in PREFIXES {
            self.said.insert(text, self.witness.when_done(&self.desk, text)?);
        }
        Ok(())
    }

    /// Caller number `n` announces a prefix of which so many of its paths are kept; whether this one is.
    fn announce(
        &mut self,
        (text, n): (&'static str, usize),
        id: Option<PathId>,
        of_prefix: usize,
        chance: &mut Chance,
    ) -> Result<bool, String> {
        let (config, caller) = (&self.witness.scene.config.peers[n], self.witness.scene.callers[n]);
        let family = prefix(text).family();
        let attributes = attributes(chance, caller, family, config.extended_next_hop);
        let route = nlri::Route { id, prefix: prefix(text) };
        self.desk.announce(n, caller, route, &attributes);
        let refused = self.counts[n][family].take(config.receive.most, of_prefix);
        if is_kept(&self.desk, prefix(text), address(n).into(), id) != refused.is_none() {
            return Err(format!("{text} from {}: kept, and by the book {refused:?}", address(n)));
        }
        self.witness.words.extend(refused);
        Ok(refused.is_none())
    }

    /// Something of the prefix came from caller number `n`.
    fn look(&mut self, text: &'static str, n: usize, id: Option<PathId>) -> Result<(), String> {
        let came = (Some(address(n).into()), id);
        let said = self.witness.when_one_came(&self.desk, text, came, &self.said[text])?;
        self.said.insert(text, said);
        Ok(())
    }

    /// What is counted and not kept is counted under its word.
    fn counts_agree(&self) -> Result<(), String> {
        for (view, counts) in self.desk.speaker.peers().iter().zip(&self.counts) {
            for family in Family::ALL {
                let Count { beyond, crowded, .. } = counts[family];
                for (word, expected) in [(Reason::PrefixLimit, beyond), (Reason::PathLimit, crowded)] {
                    let held = view.counts[family].rejected.iter().find(|(held, _)| *held == word);
                    let held = held.map_or(0, |(_, count)| *count);
                    if held != expected {
                        return Err(format!("{}: {held} as {word}, and said were {counts:?}", view.name));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Looks at every prefix after each path, and when all is done; gives the words that were met.
fn agrees(seed: u64) -> Result<BTreeSet<Reason>, String> {
    let mut chance = Chance::new(seed);
    let scene = scene(&mut chance);
    let mut talk = Talk::new(&scene)?;
    for text in PREFIXES {
        for (n, caller) in scene.callers.iter().enumerate().filter(|_| !chance.one_in(4)).collect::<Vec<_>>()
        {
            let family = prefix(text).family();
            if !scene.config.peers[n].families[family] {
                continue;
            }
            let several = caller.several && scene.config.peers[n].add_path.receive;
            let mut of_prefix = 0;
            for id in 0..if several { 1 + chance.below(3) as u32 } else { 1 } {
                // Neighbours on the wire, and out of order.
                let id = several.then_some(PathId(id ^ 2));
                if chance.one_in(12) {
                    let attributes =
                        attributes(&mut chance, *caller, family, scene.config.peers[n].extended_next_hop);
                    let route = nlri::Route { id, prefix: prefix(text) };
                    talk.desk.announce_badly(n, *caller, route, &attributes);
                    talk.malformed.insert((prefix(text), address(n).into()));
                    // Treated as a withdrawal; of what is not kept, that is taken to be of one beyond the limit.
                    let beyond = &mut talk.counts[n][family].beyond;
                    *beyond = beyond.saturating_sub(1);
                } else {
                    of_prefix += usize::from(talk.announce((text, n), id, of_prefix, &mut chance)?);
                }
                talk.look(text, n, id)?;
                if chance.one_in(40) {
                    talk.settle()?;
                }
            }
        }
    }
    // One of them has more paths of a prefix than are kept.
    let able = |n: &usize| scene.callers[*n].several && scene.config.peers[*n].add_path.receive;
    if let Some(n) = (0..scene.callers.len()).find(able).filter(|_| chance.one_in(12)) {
        talk.settle()?;
        let paths = talk.desk.speaker.explain(prefix(PODS)).route.map_or_else(Vec::new, |route| route.paths);
        let own = paths.iter().filter(
            |path| matches!(path.source, PathSource::Peer { address: from, .. } if from == address(n)),
        );
        let mut of_prefix = own.count();
        for id in 100..100 + 60 + chance.below(8) as u32 {
            of_prefix += usize::from(talk.announce((PODS, n), Some(PathId(id)), of_prefix, &mut chance)?);
        }
    }
    talk.desk.settle();
    talk.counts_agree()?;
    for (n, _) in scene.callers.iter().enumerate().filter(|(_, caller)| caller.sender != Sender::Here) {
        talk.desk.hang_up(n);
        talk.malformed.retain(|(_, of)| *of != address(n));
    }
    talk.witness.hung_up = true;
    talk.settle()?;
    for text in PREFIXES {
        // RFC 7606 §2: as if the route had been withdrawn.
        let story = talk.desk.speaker.explain(prefix(text));
        let withdrawn: Vec<IpAddr> = story.withdrawn.iter().map(|withdrawn| withdrawn.address).collect();
        let of_prefix = talk.malformed.iter().filter(|(of, _)| *of == prefix(text)).map(|(_, from)| *from);
        if withdrawn != of_prefix.collect::<Vec<IpAddr>>() {
            return Err(format!("{text}: malformed from {:?}, withdrawn {withdrawn:?}", talk.malformed));
        }
        talk.witness.words.extend((!withdrawn.is_empty()).then_some(Reason::TreatAsWithdraw));
    }
    Ok(talk.witness.words)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_is_what_the_book_says(seed in any::<u64>()) {
        prop_assert_eq!(agrees(seed).map(|_| ()), Ok(()));
    }
}

/// Every word that the tables and the policy have is met by what is drawn.
#[test]
fn what_is_drawn_meets_every_word() {
    let mut met = BTreeSet::new();
    for seed in 0..800 {
        met.extend(agrees(seed).unwrap_or_else(|problem| panic!("seed {seed}: {problem}")));
    }
    let sessions =
        Reason::ALL.iter().position(|reason| *reason == Reason::Disabled).expect("a session's word");
    let missed: Vec<_> = Reason::ALL[..sessions].iter().filter(|reason| !met.contains(reason)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
