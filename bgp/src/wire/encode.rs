//! [`PathAttributes`] to octets: in the order of type codes, each length in as
//! few octets as hold it (RFC 4271 §5). MP_REACH_NLRI holds prefixes and is
//! written by [`pack`](super::pack).

use super::attribute::{Aggregator, NextHops, Origin, PathAttributes};
use super::code::{self, EXTENDED_LENGTH, OPTIONAL, PARTIAL, TRANSITIVE};
use super::codec::Codec;
use crate::id::Asn;
use crate::prefix::Family;

/// Appends the attributes for prefixes of a family; NEXT_HOP is among them for
/// IPv4 alone. To a peer of two-octet ASes, AS4_PATH and AS4_AGGREGATOR go
/// along where an AS does not fit (RFC 6793 §4.2.2).
pub fn attributes(attributes: &PathAttributes, codec: &Codec, family: Family, out: &mut Vec<u8>) {
    let partial = attributes.partial;
    let mut unknown = attributes.unknown.iter().peekable();
    let mut before = |code: u8, out: &mut Vec<u8>| {
        while let Some(attribute) = unknown.next_if(|attribute| attribute.code < code) {
            // RFC 4271 §5: passed on by a speaker that does not know it.
            attribute_with(attribute.flags | PARTIAL, attribute.code, out, |out| {
                out.extend_from_slice(&attribute.value);
            });
        }
    };
    before(code::ORIGIN, out);
    let origin = match attributes.origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    };
    octets(TRANSITIVE, code::ORIGIN, &[origin], out);
    attribute_with(TRANSITIVE, code::AS_PATH, out, |out| {
        attributes.as_path.encode(codec.four_octet, out);
    });
    if let (Family::Ipv4, NextHops::V4(address)) = (family, attributes.next_hop) {
        octets(TRANSITIVE, code::NEXT_HOP, &address.octets(), out);
    }
    if let Some(med) = attributes.med {
        octets(OPTIONAL, code::MULTI_EXIT_DISC, &med.to_be_bytes(), out);
    }
    if let Some(preference) = attributes.local_preference {
        octets(TRANSITIVE, code::LOCAL_PREF, &preference.to_be_bytes(), out);
    }
    if attributes.atomic_aggregate {
        octets(TRANSITIVE, code::ATOMIC_AGGREGATE, &[], out);
    }
    if let Some(aggregator) = attributes.aggregator {
        attribute_with(transitive(partial.aggregator), code::AGGREGATOR, out, |out| {
            if codec.four_octet {
                out.extend_from_slice(&aggregator.asn.0.to_be_bytes());
            } else {
                let asn = u16::try_from(aggregator.asn.0).unwrap_or(Asn::TRANS.0 as u16);
                out.extend_from_slice(&asn.to_be_bytes());
            }
            out.extend_from_slice(&aggregator.router.octets());
        });
    }
    list(
        transitive(partial.communities),
        code::COMMUNITIES,
        &attributes.communities,
        out,
        |community, out| {
            out.extend_from_slice(&community.0.to_be_bytes());
        },
    );
    if let Some(originator) = attributes.originator {
        octets(OPTIONAL, code::ORIGINATOR_ID, &originator.0.to_be_bytes(), out);
    }
    list(OPTIONAL, code::CLUSTER_LIST, &attributes.cluster_list, out, |cluster, out| {
        out.extend_from_slice(&cluster.to_be_bytes());
    });
    before(code::EXTENDED_COMMUNITIES, out);
    let extended = &attributes.extended_communities;
    list(
        transitive(partial.extended_communities),
        code::EXTENDED_COMMUNITIES,
        extended,
        out,
        |community, out| {
            out.extend_from_slice(&community.0);
        },
    );
    if !codec.four_octet {
        as4(attributes, out);
    }
    before(code::IPV6_EXTENDED_COMMUNITIES, out);
    list(
        transitive(partial.ipv6_extended_communities),
        code::IPV6_EXTENDED_COMMUNITIES,
        &attributes.ipv6_extended_communities,
        out,
        |community, out| out.extend_from_slice(&community.0),
    );
    before(code::LARGE_COMMUNITY, out);
    let large = &attributes.large_communities;
    list(transitive(partial.large_communities), code::LARGE_COMMUNITY, large, out, |community, out| {
        for part in [community.global, community.local1, community.local2] {
            out.extend_from_slice(&part.to_be_bytes());
        }
    });
    before(code::ONLY_TO_CUSTOMER, out);
    if let Some(asn) = attributes.only_to_customers {
        octets(transitive(partial.only_to_customers), code::ONLY_TO_CUSTOMER, &asn.0.to_be_bytes(), out);
    }
    before(u8::MAX, out);
    // Code 255 itself, which nothing comes before.
    for attribute in unknown {
        octets(attribute.flags | PARTIAL, attribute.code, &attribute.value, out);
    }
}

/// The flags of an optional transitive attribute.
const fn transitive(partial: bool) -> u8 {
    OPTIONAL | TRANSITIVE | if partial { PARTIAL } else { 0 }
}

/// AS4_PATH and AS4_AGGREGATOR, each where an AS does not fit in two octets.
fn as4(attributes: &PathAttributes, out: &mut Vec<u8>) {
    if attributes.as_path.needs_four_octets() {
        attribute_with(OPTIONAL | TRANSITIVE, code::AS4_PATH, out, |out| {
            attributes.as_path.encode(true, out);
        });
    }
    if let Some(Aggregator { asn, router }) = attributes.aggregator
        && !asn.is_two_octet()
    {
        attribute_with(OPTIONAL | TRANSITIVE, code::AS4_AGGREGATOR, out, |out| {
            out.extend_from_slice(&asn.0.to_be_bytes());
            out.extend_from_slice(&router.octets());
        });
    }
}

fn octets(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    attribute_with(flags, code, out, |out| out.extend_from_slice(value));
}

fn list<T>(flags: u8, code: u8, values: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    // An empty list is an attribute of length zero, which is an error (RFC 7606 §4).
    if !values.is_empty() {
        attribute_with(flags, code, out, |out| values.iter().for_each(|value| write(value, out)));
    }
}

/// Writes a value behind a length of one octet, and makes room for the second
/// one where it turns out to be needed.
fn attribute_with(flags: u8, code: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[flags & !EXTENDED_LENGTH, code, 0]);
    write(out);
    let len = out.len() - start - 3;
    if let Ok(len) = u8::try_from(len) {
        if let Some(slot) = out.get_mut(start + 2) {
            *slot = len;
        }
        return;
    }
    let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    out.insert(start + 2, high);
    if let Some([flags, _, _, slot]) = out.get_mut(start..start + 4) {
        *flags |= EXTENDED_LENGTH;
        *slot = low;
    }
}
