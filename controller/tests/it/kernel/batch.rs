//! A batch of which answers were lost is unknown: a dump tells what became of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgp::io::{RouteChange, SetChange, SetId};
use bgp::prefix::{Family, Prefix};
use controller::kernel::command::MAIN_TABLE;
use controller::kernel::ledger::Ledger;
use controller::kernel::netlink::{Netlink, Outcome};
use controller::kernel::route::Leg;
use controller::kernel::view::View;
use controller::kernel::{KernelConfig, message, request};

use super::{hop, node};

/// Room for the answers to some dozens of failures, not to hundreds.
const ROOM: usize = 32 << 10;

fn dump(netlink: &mut Netlink, ledger: &mut Ledger) {
    let routes =
        netlink.dump(|sequence| request::dump_routes(Family::Ipv4, MAIN_TABLE, sequence), message::route);
    let (view, own) = View::new(Vec::new(), &[], routes.unwrap(), ledger.ownership());
    ledger.adopt(own, &view);
}

#[test]
fn lost_answers_lose_no_errno() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let (acks, unknown) = node.enter(|| {
            let mut netlink = Netlink::with_buffer(ROOM).unwrap();
            let links = netlink.dump(request::dump_links, message::link).unwrap();
            let ifindex = links.iter().find(|link| link.name == "eth1").unwrap().ifindex;
            let mut ledger = Ledger::default();
            ledger.configure(KernelConfig::default());
            let (good, bad) = (hop("10.0.1.2"), hop("203.0.113.1"));
            let set = |id, member| SetChange { id: SetId(id), members: vec![member] };
            ledger.change_sets(vec![set(1, good), set(2, bad)]);
            ledger.resolve(true, |next_hop| {
                let gateway = Some(next_hop.address);
                Some(Arc::new([Leg { gateway, ifindex, onlink: false }]))
            });
            // Every other route has a gateway that the kernel refuses.
            let changes = (0..1000_u32).map(|number| {
                let address = IpAddr::V4(Ipv4Addr::from_bits(0x1400_0000 + (number << 8)));
                RouteChange { prefix: Prefix::new(address, 24).unwrap(), set: Some(SetId(1 + number % 2)) }
            });
            ledger.change_routes(&changes.collect::<Vec<_>>());
            dump(&mut netlink, &mut ledger);
            let (mut acks, mut unknown) = (BTreeMap::new(), 0);
            while ledger.backlog() > 0 {
                assert_eq!(ledger.object_batch(), [], "no next-hop objects for so few routes");
                let (operations, mut news) = ledger.batch(netlink.limit());
                match netlink.write(&operations) {
                    Outcome::Known(results) => news.extend(ledger.settle(operations, &results)),
                    Outcome::Unknown(error) => {
                        assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS));
                        unknown += 1;
                        ledger.doubt(&operations);
                        dump(&mut netlink, &mut ledger);
                    }
                }
                acks.extend(news.into_iter().map(|ack| (ack.prefix, ack)));
            }
            (acks, unknown)
        });
        assert!(unknown > 0, "the receive buffer was large enough");
        assert_eq!(acks.len(), 1000);
        for ack in acks.values() {
            let expected = if ack.set == Some(SetId(1)) { 0 } else { libc::ENETUNREACH };
            assert_eq!(i32::from(ack.errno), expected, "{ack:?}");
        }
        assert_eq!(node.ip("route show proto 171").lines().count(), 500);
    });
}
