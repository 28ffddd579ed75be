//! Changes that the kernel makes all at once or not at all.

use super::attribute::{put, put_be32, put_nested, put_text};
use super::object::{Chain, Element, Kind, Set};
use super::rule::{Family, Rule};

// linux/netlink.h
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_ACK: u16 = 0x004;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
// linux/netfilter/nfnetlink.h
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_BATCH_GENID: u16 = 1;
// linux/netfilter/nf_tables.h
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_DELCHAIN: u16 = 5;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_DELRULE: u16 = 8;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_DELSET: u16 = 11;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_USERDATA: u16 = 7;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_DATA_VALUE: u16 = 1;
const NFT_SET_INTERVAL: u32 = 4;
const NFT_SET_MAP: u32 = 8;
const NFT_SET_ELEM_INTERVAL_END: u32 = 1;
const NF_ACCEPT: u32 = 1;

/// Attributes that tables, chains, rules, sets and lists of elements have in common: the table, and
/// the name of what is in it.
const TABLE: u16 = 1;
const NAME: u16 = 2;

/// The type of a comment in user data, as `nft` writes and shows it.
pub(super) const COMMENT: u8 = 0;

/// The type of a key's byte order in user data, as `nft` writes it; 1 is the host's.
const KEY_ORDER: u8 = 0;

/// Longest comment, bytes: user data has room for 256 with the comment's own header and a NUL.
const COMMENT_MAX: usize = 250;

/// Bytes of elements a message: one attribute holds them, and has room for 64 KiB.
const ELEMENTS: usize = 32 << 10;

/// A request without its netlink header, which the socket puts before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The type.
    pub kind: u16,
    /// `NLM_F_…`.
    pub flags: u16,
    /// `struct nfgenmsg` and attributes.
    pub body: Vec<u8>,
    /// What it does, in words.
    pub doing: String,
}

impl Message {
    /// A message of nf_tables.
    pub(super) fn new(kind: u16, flags: u16, family: u8, doing: String) -> Self {
        let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
        Self { kind, flags: NLM_F_REQUEST | flags, body: vec![family, 0, 0, 0], doing }
    }

    fn border(kind: u16) -> Self {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        Self { kind, flags: NLM_F_REQUEST, body: vec![0, 0, high, low], doing: "change the rule set".into() }
    }
}

/// The batch.
#[derive(Debug, Clone)]
pub struct Batch {
    messages: Vec<Message>,
    sets: u32,
}

impl Batch {
    /// An empty batch. With a generation the kernel makes its changes only if nobody has changed the rule
    /// set since then, and refuses it with ERESTART else.
    #[must_use]
    pub fn new(generation: Option<u32>) -> Self {
        let mut begin = Message::border(NFNL_MSG_BATCH_BEGIN);
        if let Some(generation) = generation {
            put_be32(&mut begin.body, NFNL_BATCH_GENID, generation);
        }
        Self { messages: vec![begin], sets: 0 }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.len() == 1
    }

    /// The messages, begin and end among them, to be sent in one piece. The kernel answers the last change in
    /// any case, whatever failed with its errno, and the begin where the batch as a whole failed.
    #[must_use]
    pub fn finish(mut self) -> Vec<Message> {
        if let Some(last) = self.messages.last_mut() {
            last.flags |= NLM_F_ACK;
        }
        self.messages.push(Message::border(NFNL_MSG_BATCH_END));
        self.messages
    }

    /// Makes a table unless it stands.
    pub fn table(&mut self, family: Family, name: &str) {
        let message = self.push(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, format!("make table {name}"));
        put_text(message, TABLE, name);
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, family: Family, name: &str) {
        let message = self.push(NFT_MSG_DELTABLE, 0, family, format!("delete table {name}"));
        put_text(message, TABLE, name);
    }

    /// Makes a set unless it stands.
    pub fn set(&mut self, family: Family, table: &str, set: &Set) {
        self.sets += 1;
        let id = self.sets;
        let message = self.push(NFT_MSG_NEWSET, NLM_F_CREATE, family, format!("make set {}", set.name));
        put_text(message, TABLE, table);
        put_text(message, NAME, &set.name);
        let map = if set.value.is_empty() { 0 } else { NFT_SET_MAP };
        put_be32(message, NFTA_SET_FLAGS, map | if set.intervals { NFT_SET_INTERVAL } else { 0 });
        put_be32(message, NFTA_SET_KEY_TYPE, listed(&set.key));
        put_be32(message, NFTA_SET_KEY_LEN, bytes(&set.key));
        if map != 0 {
            put_be32(message, NFTA_SET_DATA_TYPE, listed(&set.value));
            put_be32(message, NFTA_SET_DATA_LEN, bytes(&set.value));
        }
        put_be32(message, NFTA_SET_ID, id);
        if set.key.contains(&Kind::Interface) {
            // Only for `nft` to list: names are text, not numbers.
            put(message, NFTA_SET_USERDATA, &[KEY_ORDER, 4, 1, 0, 0, 0]);
        }
    }

    /// Deletes a set that no rule looks into.
    pub fn delete_set(&mut self, family: Family, table: &str, name: &str) {
        let message = self.push(NFT_MSG_DELSET, 0, family, format!("delete set {name}"));
        put_text(message, TABLE, table);
        put_text(message, NAME, name);
    }

    /// Makes a chain unless it stands; its rules come one by one.
    pub fn chain(&mut self, family: Family, table: &str, chain: &Chain) {
        let message = self.push(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, format!("make chain {}", chain.name));
        put_text(message, NFTA_CHAIN_TABLE, table);
        put_text(message, NFTA_CHAIN_NAME, &chain.name);
        if let Some(hook) = chain.hook {
            put_nested(message, NFTA_CHAIN_HOOK, |inside| {
                put_be32(inside, 1, hook.number);
                put_be32(inside, 2, hook.priority.cast_unsigned());
            });
            put_be32(message, NFTA_CHAIN_POLICY, NF_ACCEPT);
            put_text(message, NFTA_CHAIN_TYPE, hook.kind);
        }
    }

    /// Deletes a chain with its rules; one that nobody jumps to.
    pub fn delete_chain(&mut self, family: Family, table: &str, name: &str) {
        let message = self.push(NFT_MSG_DELCHAIN, 0, family, format!("delete chain {name}"));
        put_text(message, NFTA_CHAIN_TABLE, table);
        put_text(message, NFTA_CHAIN_NAME, name);
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, family: Family, table: &str, chain: &str) {
        let message = self.push(NFT_MSG_DELRULE, 0, family, format!("empty chain {chain}"));
        put_text(message, TABLE, table);
        put_text(message, NAME, chain);
    }

    /// Adds a rule behind those of its chain.
    pub fn rule(&mut self, family: Family, table: &str, chain: &str, rule: &Rule) {
        let doing = format!("add rule \"{}\" to chain {chain}", rule.comment());
        let message = self.push(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family, doing);
        put_text(message, TABLE, table);
        put_text(message, NAME, chain);
        put_nested(message, NFTA_RULE_EXPRESSIONS, |inside| inside.extend(rule.expressions()));
        put(message, NFTA_RULE_USERDATA, &comment(&rule.comment()));
    }

    /// Deletes the rule with this handle.
    pub fn delete_rule(&mut self, family: Family, table: &str, chain: &str, handle: u64) {
        let message = self.push(NFT_MSG_DELRULE, 0, family, format!("delete a rule of chain {chain}"));
        put_text(message, TABLE, table);
        put_text(message, NAME, chain);
        put(message, NFTA_RULE_HANDLE, &handle.to_be_bytes());
    }

    /// Adds elements; one whose key is there makes the batch fail with EEXIST.
    pub fn add_elements(&mut self, family: Family, table: &str, set: &str, elements: &[Element]) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, (family, table, set), elements);
    }

    /// Deletes elements; one that is not there makes the batch fail with ENOENT.
    pub fn delete_elements(&mut self, family: Family, table: &str, set: &str, elements: &[Element]) {
        self.elements(NFT_MSG_DELSETELEM, 0, (family, table, set), elements);
    }

    /// Deletes all elements.
    pub fn empty_set(&mut self, family: Family, table: &str, set: &str) {
        let message = self.push(NFT_MSG_DELSETELEM, 0, family, format!("empty set {set}"));
        put_text(message, TABLE, table);
        put_text(message, NAME, set);
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        (family, table, set): (Family, &str, &str),
        elements: &[Element],
    ) {
        let mut rest = elements.iter().map(element).peekable();
        while rest.peek().is_some() {
            let message = self.push(kind, flags, family, format!("change elements of {set}"));
            put_text(message, TABLE, table);
            put_text(message, NAME, set);
            put_nested(message, NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                while list.len() < ELEMENTS
                    && let Some(element) = rest.next()
                {
                    put_nested(list, NFTA_LIST_ELEM, |inside| inside.extend(element));
                }
            });
        }
    }

    fn push(&mut self, kind: u16, flags: u16, family: Family, doing: String) -> &mut Vec<u8> {
        let message = Message::new(kind, flags, family as u8, doing);
        let at = self.messages.len();
        self.messages.push(message);
        &mut self.messages[at].body
    }
}

/// An element's attributes.
pub(super) fn element(element: &Element) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_nested(&mut bytes, NFTA_SET_ELEM_KEY, |key| put(key, NFTA_DATA_VALUE, &element.key));
    if !element.value.is_empty() {
        put_nested(&mut bytes, NFTA_SET_ELEM_DATA, |value| put(value, NFTA_DATA_VALUE, &element.value));
    }
    if element.end {
        put_be32(&mut bytes, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    }
    if !element.comment.is_empty() {
        put(&mut bytes, NFTA_SET_ELEM_USERDATA, &comment(&element.comment));
    }
    bytes
}

/// A comment as user data; what does not fit is cut.
fn comment(text: &str) -> Vec<u8> {
    let mut text = text.to_owned();
    while text.len() > COMMENT_MAX {
        text.pop();
    }
    let mut bytes = vec![COMMENT, u8::try_from(text.len() + 1).unwrap_or(0)];
    bytes.extend(text.into_bytes());
    bytes.push(0);
    bytes
}

/// The number of a key's or value's type as `nft` computes it: six bits a part.
fn listed(parts: &[Kind]) -> u32 {
    parts.iter().fold(0, |number, part| number << 6 | *part as u32)
}

fn bytes(parts: &[Kind]) -> u32 {
    parts.iter().map(|part| part.bytes()).sum()
}
