//! Questions to nf_tables, and what the kernel answers. What is malformed is no answer.

use super::attribute::{attributes, be32, find, put, put_nested, put_text, text};
use super::batch::{COMMENT, Message, element};
use super::object::Element;
use super::rule::Family;

// linux/netlink.h
const NLM_F_DUMP: u16 = 0x300;
// linux/netfilter/nf_tables.h
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFT_MSG_GETGEN: u16 = 16;

/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;

/// A question; whether the answer is a dump is in the message's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'a> {
    /// The generation of the rule set: it changes with each batch of anybody.
    Generation,
    /// Whether a table stands; ENOENT if not.
    Table(Family, &'a str),
    /// Every table of every family.
    Tables,
    /// One chain of a table; ENOENT if there is none.
    Chain(Family, &'a str, &'a str),
    /// Every chain of every table of every family.
    Chains,
    /// Every rule of a table, chain by chain in order.
    Rules(Family, &'a str),
    /// Every rule of one chain of a table, in order.
    RulesOf(Family, &'a str, &'a str),
    /// Every element of a set; ENOENT if there is no such set.
    Elements(Family, &'a str, &'a str),
    /// The element of a set with this key; ENOENT if there is none.
    Element(Family, &'a str, &'a str, &'a [u8]),
}

impl Question<'_> {
    /// The request.
    #[must_use]
    pub fn message(self) -> Message {
        let new = |kind, flags, family, doing: &str| Message::new(kind, flags, family, doing.into());
        match self {
            Self::Generation => new(NFT_MSG_GETGEN, 0, 0, "ask for the generation"),
            Self::Table(family, table) => {
                let mut message = new(NFT_MSG_GETTABLE, 0, family as u8, "look for a table");
                put_text(&mut message.body, 1, table);
                message
            }
            Self::Tables => new(NFT_MSG_GETTABLE, NLM_F_DUMP, 0, "list tables"),
            Self::Chain(family, table, chain) => {
                let mut message = new(NFT_MSG_GETCHAIN, 0, family as u8, "look for a chain");
                put_text(&mut message.body, 1, table);
                put_text(&mut message.body, 3, chain);
                message
            }
            Self::Chains => new(NFT_MSG_GETCHAIN, NLM_F_DUMP, 0, "list chains"),
            Self::RulesOf(family, table, chain) => {
                let mut message = new(NFT_MSG_GETRULE, NLM_F_DUMP, family as u8, "list rules");
                put_text(&mut message.body, 1, table);
                put_text(&mut message.body, 2, chain);
                message
            }
            Self::Rules(family, table) => {
                let mut message = new(NFT_MSG_GETRULE, NLM_F_DUMP, family as u8, "list rules");
                put_text(&mut message.body, 1, table);
                message
            }
            Self::Elements(family, table, set) => {
                let mut message = new(NFT_MSG_GETSETELEM, NLM_F_DUMP, family as u8, "list elements");
                put_text(&mut message.body, 1, table);
                put_text(&mut message.body, 2, set);
                message
            }
            Self::Element(family, table, set, key) => {
                let mut message = new(NFT_MSG_GETSETELEM, 0, family as u8, "look for an element");
                put_text(&mut message.body, 1, table);
                put_text(&mut message.body, 2, set);
                let wanted =
                    Element { key: key.to_vec(), value: Vec::new(), end: false, comment: String::new() };
                put_nested(&mut message.body, 3, |list| put(list, 1 | 0x8000, &element(&wanted)));
                message
            }
        }
    }
}

/// A chain that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenChain {
    /// The family of its table, as the kernel numbers them.
    pub family: u8,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `NF_INET_…`, for one with a hook.
    pub hook: Option<u32>,
    /// What does not leave it by a rule is dropped.
    pub drops: bool,
}

/// A rule that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRule {
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its number.
    pub handle: u64,
    /// Empty for none.
    pub comment: String,
}

/// An element that stands.
pub type SeenElement = Element;

/// The generation in an answer.
#[must_use]
pub fn generation(payload: &[u8]) -> Option<u32> {
    find(payload.get(HEADER..)?, 1).and_then(be32)
}

/// The family and the name of the table in an answer, the family as the kernel numbers it.
#[must_use]
pub fn table(payload: &[u8]) -> Option<(u8, String)> {
    let name = find(payload.get(HEADER..)?, 1).map(text)?;
    Some((*payload.first()?, name))
}

/// The chain in an answer.
#[must_use]
pub fn chain(payload: &[u8]) -> Option<SeenChain> {
    let family = *payload.first()?;
    let mut seen = SeenChain { family, table: String::new(), name: String::new(), hook: None, drops: false };
    for (kind, value) in attributes(payload.get(HEADER..)?) {
        match kind {
            1 => seen.table = text(value),
            3 => seen.name = text(value),
            4 => seen.hook = find(value, 1).and_then(be32),
            5 => seen.drops = be32(value) == Some(0),
            _ => {}
        }
    }
    Some(seen)
}

/// The rule in an answer.
#[must_use]
pub fn rule(payload: &[u8]) -> Option<SeenRule> {
    let mut seen = SeenRule { table: String::new(), chain: String::new(), handle: 0, comment: String::new() };
    for (kind, value) in attributes(payload.get(HEADER..)?) {
        match kind {
            1 => seen.table = text(value),
            2 => seen.chain = text(value),
            3 => seen.handle = u64::from_be_bytes(value.try_into().ok()?),
            7 => seen.comment = comment(value),
            _ => {}
        }
    }
    Some(seen)
}

/// The elements in an answer.
#[must_use]
pub fn elements(payload: &[u8]) -> Vec<SeenElement> {
    let list = payload.get(HEADER..).and_then(|bytes| find(bytes, 3)).unwrap_or_default();
    attributes(list).map(|(_, value)| seen_element(value)).collect()
}

fn seen_element(bytes: &[u8]) -> SeenElement {
    let mut seen = Element { key: Vec::new(), value: Vec::new(), end: false, comment: String::new() };
    for (kind, value) in attributes(bytes) {
        match kind {
            1 => seen.key = find(value, 1).unwrap_or_default().to_vec(),
            2 => seen.value = find(value, 1).unwrap_or_default().to_vec(),
            3 => seen.end = be32(value).is_some_and(|flags| flags & 1 != 0),
            6 => seen.comment = comment(value),
            _ => {}
        }
    }
    seen
}

/// The comment in user data, which is a list of type, length, value in bytes.
fn comment(mut bytes: &[u8]) -> String {
    while let [kind, length, rest @ ..] = bytes {
        let (value, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        if *kind == COMMENT {
            return text(value);
        }
        bytes = behind;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nft::{Batch, Chain, Rule, Verdict};

    #[test]
    fn what_is_written_is_read() {
        let wanted = Rule::new("all").from_interfaces("ul").counter().verdict(Verdict::Accept);
        let mut batch = Batch::new(Some(7));
        batch.chain(Family::Inet, "t", &Chain { name: "c".into(), hook: None, rules: Vec::new() });
        batch.rule(Family::Inet, "t", "c", &wanted);
        let mapped =
            Element { key: vec![10, 0, 0, 1], value: vec![1, 2, 3, 4], end: true, comment: "x".repeat(300) };
        batch.add_elements(Family::Inet, "t", "m", std::slice::from_ref(&mapped));
        let messages = batch.finish();
        assert_eq!(generation(&messages[0].body), Some(7));
        assert_eq!(chain(&messages[1].body).unwrap().name, "c");
        let seen = rule(&messages[2].body).unwrap();
        assert_eq!((seen.table.as_str(), seen.chain.as_str(), seen.comment), ("t", "c", wanted.comment()));
        let seen = elements(&messages[3].body);
        assert_eq!(seen, [Element { comment: "x".repeat(250), ..mapped }]);
        assert_eq!(messages[3].flags & 4, 4, "the last change is answered");
    }

    #[test]
    fn many_elements_go_into_several_messages() {
        let element = |n: u32| Element {
            key: n.to_be_bytes().to_vec(),
            value: vec![0; 8],
            end: false,
            comment: "c".into(),
        };
        let all: Vec<Element> = (0..5_000).map(element).collect();
        let mut batch = Batch::new(None);
        batch.add_elements(Family::Inet, "t", "m", &all);
        let messages = batch.finish();
        assert!(messages.len() > 3);
        let seen: Vec<Element> = messages.iter().flat_map(|message| elements(&message.body)).collect();
        assert_eq!(seen, all);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_or_run_for_ever(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (generation(&payload), chain(&payload), rule(&payload), elements(&payload), comment(&payload));
        }
    }
}
