//! What is written to the kernel reads back as what was meant, and nothing that can be read is believed too much.

use std::net::IpAddr;
use std::sync::Arc;

use bgp::prefix::{Family, Prefix};
use controller::kernel::message::{self, KernelRoute};
use controller::kernel::plan::{Action, Operation};
use controller::kernel::request;
use controller::kernel::route::{Key, Leg, Route, Target};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ipv4 => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        Family::Ipv6 => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    family.prop_flat_map(|family| {
        let any_family = prop_oneof![address(family), address(Family::Ipv6)];
        let leg = (any_family, 1..u32::MAX, any::<bool>()).prop_map(|(gateway, ifindex, onlink)| Leg {
            gateway: Some(gateway),
            ifindex,
            onlink,
        });
        let target = prop_oneof![
            8 => btree_set(leg, 1..17).prop_map(|legs| Target::Via(legs.into_iter().collect())),
            1 => Just(Target::Unreachable),
        ];
        let route = (any::<u8>(), target, proptest::option::of(address(family)))
            .prop_map(|(protocol, target, source)| Route { protocol, target, source });
        let prefix = (address(family), 0..=family.max_len())
            .prop_map(|(address, len)| Prefix::new(address, len).unwrap());
        let key = (1..u32::MAX, prefix, 1..u32::MAX).prop_map(|(table, prefix, metric)| Key {
            table,
            prefix,
            metric,
        });
        (key, route, 0..5).prop_map(|(key, route, action)| {
            let legs = match &route.target {
                Target::Via(legs) => Arc::clone(legs),
                _ => Arc::new([]),
            };
            let action = match action {
                0 => Action::Create(route),
                1 => Action::Replace(route),
                2 if !legs.is_empty() => Action::Join { way: Target::Via(legs), result: route },
                3 if !legs.is_empty() => Action::Part { way: Target::Via(legs), result: route },
                _ => Action::Delete(route),
            };
            Operation { key, action }
        })
    })
}

fn legs(route: &KernelRoute) -> Vec<Leg> {
    let onlink = |flags| flags & 4 != 0;
    let legs = route.hops.iter();
    legs.map(|hop| Leg { gateway: hop.gateway, ifindex: hop.ifindex, onlink: onlink(hop.flags) }).collect()
}

proptest! {
    #[test]
    fn operations_read_back(operations in vec(operation(), 1..20)) {
        let mut bytes = Vec::new();
        for (sequence, operation) in operations.iter().enumerate() {
            request::operation(&mut bytes, operation, sequence as u32, sequence + 1 == operations.len());
        }
        let messages: Vec<_> = message::messages(&bytes).collect();
        prop_assert_eq!(messages.len(), operations.len());
        for (at, ((header, body), Operation { key, action })) in messages.into_iter().zip(&operations).enumerate() {
            prop_assert_eq!(header.sequence as usize, at);
            let route = message::route(body).unwrap();
            prop_assert_eq!((route.prefix, route.table, route.metric, route.tos), (key.prefix, key.table, key.metric, 0));
            let flags = i32::from(header.flags);
            prop_assert_eq!(flags & libc::NLM_F_ACK != 0, at + 1 == operations.len());
            let (wanted, delete) = match action {
                Action::Create(route) => {
                    prop_assert_eq!(flags & (libc::NLM_F_CREATE | libc::NLM_F_EXCL), libc::NLM_F_CREATE | libc::NLM_F_EXCL);
                    (route, false)
                }
                Action::Replace(route) => {
                    prop_assert_eq!(flags & (libc::NLM_F_CREATE | libc::NLM_F_REPLACE), libc::NLM_F_REPLACE);
                    (route, false)
                }
                Action::Join { result, .. } => {
                    prop_assert_eq!(flags & (libc::NLM_F_EXCL | libc::NLM_F_REPLACE), 0);
                    prop_assert_eq!(flags & libc::NLM_F_APPEND, libc::NLM_F_APPEND);
                    (result, false)
                }
                Action::Part { result: route, .. } | Action::Delete(route) => (route, true),
            };
            prop_assert_eq!(header.kind == libc::RTM_DELROUTE, delete);
            prop_assert_eq!(route.protocol, wanted.protocol);
            if !delete {
                prop_assert_eq!(route.source, wanted.source);
            }
            match &wanted.target {
                Target::Via(wanted) if !delete => prop_assert_eq!(&legs(&route)[..], &wanted[..]),
                Target::Via(wanted) if key.family() == Family::Ipv6 => {
                    let gateways = |legs: &[Leg]| legs.iter().map(|leg| (leg.gateway, leg.ifindex)).collect::<Vec<_>>();
                    prop_assert_eq!(gateways(&legs(&route)), gateways(wanted));
                }
                _ => prop_assert_eq!(route.hops.len(), 0),
            }
        }
    }

    #[test]
    fn no_input_panics(bytes in vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn no_damaged_message_panics(operation in operation(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        request::operation(&mut bytes, &operation, 1, true);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read(&bytes);
        read(&bytes[..cut.index(bytes.len())]);
    }
}

/// Reads as everything; each walk ends.
fn read(bytes: &[u8]) {
    for (_, body) in message::messages(bytes).chain([(header(), bytes)]) {
        let _ = (
            message::route(body),
            message::link(body),
            message::interface_address(body),
            message::errno(body),
        );
    }
}

const fn header() -> message::Header {
    message::Header { kind: 0, flags: 0, sequence: 0, port: 0 }
}

#[test]
fn requests_for_dumps_are_as_the_kernel_wants_them() {
    let request = request::dump_routes(Family::Ipv4, 254, 7);
    let (header, body) = message::messages(&request).next().unwrap();
    assert_eq!((header.kind, header.sequence), (libc::RTM_GETROUTE, 7));
    assert_eq!(i32::from(header.flags), libc::NLM_F_REQUEST | libc::NLM_F_DUMP);
    assert_eq!(body[..12], [2, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(message::route(body).unwrap().table, 254);
    let wide = request::dump_routes(Family::Ipv6, 70_000, 8);
    let (_, body) = message::messages(&wide).next().unwrap();
    assert_eq!((body[0], body[4], message::route(body).unwrap().table), (10, 0, 70_000));
}
