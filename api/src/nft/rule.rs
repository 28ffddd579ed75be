//! One rule as the expressions of `linux/netfilter/nf_tables.h`, in the order of evaluation.
//!
//! A rule reads like a sentence: what must hold, then what is done. An expression that does not hold ends the rule.

use super::attribute::{put, put_be32, put_nested, put_text};

// linux/netfilter/nf_tables.h
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFT_META_IIFNAME: u32 = 6;
const NFT_META_OIFNAME: u32 = 7;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;
const NFT_CMP_EQ: u32 = 0;
const NFT_CMP_NEQ: u32 = 1;
const NFT_PAYLOAD_NETWORK: u32 = 1;
const NFT_PAYLOAD_TRANSPORT: u32 = 2;
const NFT_FIB_RESULT_OIF: u32 = 1;
const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
const NFT_FIB_SADDR: u32 = 1;
const NFT_FIB_DADDR: u32 = 2;
const NFT_FIB_IIF: u32 = 8;
const NFT_NAT_SNAT: u32 = 0;
const NFT_NAT_DNAT: u32 = 1;
const NFT_CT_STATUS: u32 = 2;
/// `IPS_DST_NAT` of `nf_conntrack_common.h`.
const IPS_DST_NAT: u32 = 32;
/// `RTN_LOCAL` of `linux/rtnetlink.h`.
const RTN_LOCAL: u32 = 2;
/// `IFNAMSIZ`.
const NAME: usize = 16;

/// The verdict's register, and the first of those for data; data registers count in words of four bytes.
const VERDICT: u32 = 0;
const WORD_0: u32 = 8;

/// A protocol family: of a table, or of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Tables for packets of both families.
    Inet = 1,
    /// IPv4.
    Ip = 2,
    /// IPv6.
    Ip6 = 10,
}

/// Which of a packet's two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// Its source.
    Source,
    /// Its destination.
    Destination,
}

/// Where a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The packet passes this hook.
    Accept,
    /// The packet is gone.
    Drop,
    /// Back to the chain that jumped here.
    Return,
    /// To another chain, and back if it has no verdict.
    Jump(&'a str),
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    expressions: Vec<u8>,
    text: String,
}

impl Rule {
    /// A rule without expressions; `text` tells people what it is for.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { expressions: Vec::new(), text: text.into() }
    }

    /// The list of expressions, encoded.
    #[must_use]
    pub fn expressions(&self) -> &[u8] {
        &self.expressions
    }

    /// Its comment: the text and a digest of the expressions.
    #[must_use]
    pub fn comment(&self) -> String {
        // FNV-1a: told apart are versions of ours, not adversaries.
        let digest = self
            .expressions
            .iter()
            .fold(0x811c_9dc5_u32, |digest, byte| (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        format!("{} #{digest:08x}", self.text)
    }

    /// The packet is of one family.
    #[must_use]
    pub fn family(self, family: Family) -> Self {
        self.meta(NFT_META_NFPROTO, WORD_0).compare(NFT_CMP_EQ, WORD_0, &[family as u8])
    }

    /// The name of the interface that it came by starts so.
    #[must_use]
    pub fn from_interfaces(self, prefix: &str) -> Self {
        self.meta(NFT_META_IIFNAME, WORD_0).compare(NFT_CMP_EQ, WORD_0, prefix.as_bytes())
    }

    /// The name of the interface that it leaves by starts so.
    #[must_use]
    pub fn to_interfaces(self, prefix: &str) -> Self {
        self.meta(NFT_META_OIFNAME, WORD_0).compare(NFT_CMP_EQ, WORD_0, prefix.as_bytes())
    }

    /// The interface that it leaves by has another name.
    #[must_use]
    pub fn not_to_interface(self, name: &str) -> Self {
        self.meta(NFT_META_OIFNAME, WORD_0).compare(NFT_CMP_NEQ, WORD_0, &interface(name))
    }

    /// The interface that it came by is in a set of names.
    #[must_use]
    pub fn from_interface_in(self, set: &str) -> Self {
        self.meta(NFT_META_IIFNAME, WORD_0).lookup(set, WORD_0, None, false)
    }

    /// The interface that it leaves by is in a set of names.
    #[must_use]
    pub fn to_interface_in(self, set: &str) -> Self {
        self.meta(NFT_META_OIFNAME, WORD_0).lookup(set, WORD_0, None, false)
    }

    /// The first bytes of an address are these.
    #[must_use]
    pub fn address_starts(self, family: Family, which: Address, bytes: &[u8]) -> Self {
        self.network(family, which, bytes.len()).compare(NFT_CMP_EQ, WORD_0, bytes)
    }

    /// The first bits of an address are those of `network`.
    #[must_use]
    pub fn address_within(self, family: Family, which: Address, network: &[u8], bits: u8) -> Self {
        let mask: Vec<u8> = (0..network.len())
            .map(|at| {
                let of_byte = usize::from(bits).saturating_sub(at * 8).min(8);
                u8::try_from(0xff00_u32 >> of_byte & 0xff).unwrap_or(0)
            })
            .collect();
        self.network(family, which, network.len())
            .expression("bitwise", |data| {
                put_be32(data, 1, WORD_0);
                put_be32(data, 2, WORD_0);
                put_be32(data, 3, u32::try_from(mask.len()).unwrap_or(0));
                put_nested(data, 4, |value| put(value, NFTA_DATA_VALUE, &mask));
                put_nested(data, 5, |value| put(value, NFTA_DATA_VALUE, &vec![0; mask.len()]));
            })
            .compare(NFT_CMP_EQ, WORD_0, network)
    }

    /// An address is in a set, or in none of its elements.
    #[must_use]
    pub fn address_in(self, family: Family, which: Address, set: &str, inside: bool) -> Self {
        self.network(family, which, length(family)).lookup(set, WORD_0, None, !inside)
    }

    /// Source and destination together are in a set.
    #[must_use]
    pub fn addresses_in(self, family: Family, set: &str) -> Self {
        let (source, destination) = addresses(family);
        let words = u32::try_from(length(family) / 4).unwrap_or(1);
        self.payload(NFT_PAYLOAD_NETWORK, source, length(family), WORD_0)
            .payload(NFT_PAYLOAD_NETWORK, destination, length(family), WORD_0 + words)
            .lookup(set, WORD_0, None, false)
    }

    /// The destination is one of this host's addresses.
    #[must_use]
    pub fn to_this_host(self) -> Self {
        self.fib(NFT_FIB_RESULT_ADDRTYPE, NFT_FIB_DADDR).compare(NFT_CMP_EQ, WORD_0, &RTN_LOCAL.to_ne_bytes())
    }

    /// No route to the source leads back by the interface that the packet came by.
    #[must_use]
    pub fn from_where_no_route_leads(self) -> Self {
        self.fib(NFT_FIB_RESULT_OIF, NFT_FIB_SADDR | NFT_FIB_IIF).compare(NFT_CMP_EQ, WORD_0, &[0; 4])
    }

    /// The destination of the packet's connection was changed on its way here.
    #[must_use]
    pub fn of_changed_destination(self) -> Self {
        self.expression("ct", |data| {
            put_be32(data, 1, WORD_0);
            put_be32(data, 2, NFT_CT_STATUS);
        })
        .expression("bitwise", |data| {
            put_be32(data, 1, WORD_0);
            put_be32(data, 2, WORD_0);
            put_be32(data, 3, 4);
            put_nested(data, 4, |value| put(value, NFTA_DATA_VALUE, &IPS_DST_NAT.to_ne_bytes()));
            put_nested(data, 5, |value| put(value, NFTA_DATA_VALUE, &[0; 4]));
        })
        .compare(NFT_CMP_NEQ, WORD_0, &[0; 4])
    }

    /// Destination and port become what `map` has for the packet's protocol and port, with its
    /// destination before them where the map's key has one.
    #[must_use]
    pub fn redirect(self, family: Family, map: &str, with_destination: bool) -> Self {
        let words = u32::try_from(length(family) / 4).unwrap_or(1);
        let (_, destination) = addresses(family);
        let (this, key) = if with_destination {
            let rule = self.payload(NFT_PAYLOAD_NETWORK, destination, length(family), WORD_0);
            (rule, WORD_0 + words)
        } else {
            (self, WORD_0)
        };
        // TCP, UDP and SCTP have the destination port in the same place.
        this.meta(NFT_META_L4PROTO, key)
            .payload(NFT_PAYLOAD_TRANSPORT, 2, 2, key + 1)
            .lookup(map, WORD_0, Some(WORD_0), false)
            .expression("nat", |data| {
                put_be32(data, 1, NFT_NAT_DNAT);
                put_be32(data, 2, u32::from(family as u8));
                put_be32(data, 3, WORD_0);
                put_be32(data, 5, WORD_0 + words);
            })
    }

    /// The source becomes `address`, which is as long as the family's addresses are.
    #[must_use]
    pub fn source_becomes(self, family: Family, address: &[u8]) -> Self {
        self.expression("immediate", |data| {
            put_be32(data, 1, WORD_0);
            put_nested(data, 2, |value| put(value, NFTA_DATA_VALUE, address));
        })
        .expression("nat", |data| {
            put_be32(data, 1, NFT_NAT_SNAT);
            put_be32(data, 2, u32::from(family as u8));
            put_be32(data, 3, WORD_0);
        })
    }

    /// The source becomes an address of the interface that the packet leaves by.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.expression("masq", |_| {})
    }

    /// The rule's packets and bytes are counted.
    #[must_use]
    pub fn counter(self) -> Self {
        self.expression("counter", |_| {})
    }

    /// The rule's end.
    #[must_use]
    pub fn verdict(self, verdict: Verdict<'_>) -> Self {
        let (code, chain) = match verdict {
            Verdict::Drop => (0_i32, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain)),
            Verdict::Return => (-5, None),
        };
        self.expression("immediate", |data| {
            put_be32(data, 1, VERDICT);
            put_nested(data, 2, |value| {
                put_nested(value, NFTA_DATA_VERDICT, |inside| {
                    put_be32(inside, NFTA_VERDICT_CODE, code.cast_unsigned());
                    if let Some(chain) = chain {
                        put_text(inside, NFTA_VERDICT_CHAIN, chain);
                    }
                });
            });
        })
    }

    fn expression(mut self, name: &str, data: impl FnOnce(&mut Vec<u8>)) -> Self {
        put_nested(&mut self.expressions, NFTA_LIST_ELEM, |expression| {
            put_text(expression, NFTA_EXPR_NAME, name);
            put_nested(expression, NFTA_EXPR_DATA, data);
        });
        self
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.expression("meta", |data| {
            put_be32(data, 1, register);
            put_be32(data, 2, key);
        })
    }

    fn compare(self, operator: u32, register: u32, value: &[u8]) -> Self {
        self.expression("cmp", |data| {
            put_be32(data, 1, register);
            put_be32(data, 2, operator);
            put_nested(data, 3, |inside| put(inside, NFTA_DATA_VALUE, value));
        })
    }

    fn network(self, family: Family, which: Address, bytes: usize) -> Self {
        let (source, destination) = addresses(family);
        let at = if which == Address::Source { source } else { destination };
        self.payload(NFT_PAYLOAD_NETWORK, at, bytes, WORD_0)
    }

    fn payload(self, base: u32, offset: u32, bytes: usize, register: u32) -> Self {
        self.expression("payload", |data| {
            put_be32(data, 1, register);
            put_be32(data, 2, base);
            put_be32(data, 3, offset);
            put_be32(data, 4, u32::try_from(bytes).unwrap_or(u32::MAX));
        })
    }

    fn fib(self, result: u32, flags: u32) -> Self {
        self.expression("fib", |data| {
            put_be32(data, 1, WORD_0);
            put_be32(data, 2, result);
            put_be32(data, 3, flags);
        })
    }

    fn lookup(self, set: &str, source: u32, destination: Option<u32>, inverted: bool) -> Self {
        self.expression("lookup", |data| {
            put_text(data, 1, set);
            put_be32(data, 2, source);
            if let Some(register) = destination {
                put_be32(data, 3, register);
            }
            if inverted {
                put_be32(data, 5, 1);
            }
        })
    }
}

/// An interface's name as sets of names have it.
#[must_use]
pub fn interface(name: &str) -> [u8; NAME] {
    let mut bytes = [0; NAME];
    for (byte, of_name) in bytes.iter_mut().zip(name.bytes().take(NAME - 1)) {
        *byte = of_name;
    }
    bytes
}

/// Bytes of an address.
const fn length(family: Family) -> usize {
    if matches!(family, Family::Ip6) { 16 } else { 4 }
}

/// Where source and destination stand in the header.
const fn addresses(family: Family) -> (u32, u32) {
    if matches!(family, Family::Ip6) { (8, 24) } else { (12, 16) }
}
