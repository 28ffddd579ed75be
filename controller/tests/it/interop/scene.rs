//! A pod behind a node, a host behind its router, and numbered datagrams between the two, in both families.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use labs::{Netns, Sandbox, wait};

use super::bird::rack;
use super::node::{LIMIT, Node};
use super::restart::{Stop, receive, send};

/// A pod behind the node, and a host behind the router, whose prefixes are known by BGP alone.
pub(super) const POD: [&str; 2] = ["10.244.1.2", "fd00:10:244:1::2"];
pub(super) const HOST: [&str; 2] = ["10.244.9.2", "fd00:10:244:9::2"];
pub(super) const POD_PREFIX: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];
pub(super) const HOST_PREFIX: [&str; 2] = ["10.244.9.0/24", "fd00:10:244:9::/64"];

/// The namespaces, from the pod to the host.
pub(super) struct Scene {
    pub(super) pod: Netns,
    pub(super) node: Netns,
    pub(super) router: Netns,
    pub(super) host: Netns,
}

/// Wires them; nobody routes yet.
pub(super) fn wire(sandbox: &Sandbox) -> Scene {
    let (node, router) = rack(sandbox);
    let (pod, host) = (sandbox.netns("pod"), sandbox.netns("host"));
    sandbox.link(&pod, "eth0", &node, "eth1");
    sandbox.link(&host, "eth0", &router, "eth1");
    // As the plugin does: the pod has one address, and the node a route to it.
    node.ip("addr add 169.254.1.1/32 dev eth1");
    node.ip("addr add fe80::1/64 dev eth1 nodad");
    for (address, length) in [(POD[0], 32), (POD[1], 128)] {
        pod.ip(&format!("addr add {address}/{length} dev eth0 nodad"));
        node.ip(&format!("route add {address}/{length} dev eth1"));
    }
    pod.ip("route add default via 169.254.1.1 dev eth0 onlink");
    pod.ip("-6 route add default via fe80::1 dev eth0");
    host.ip(&format!("addr add {}/24 dev eth0", HOST[0]));
    host.ip(&format!("addr add {}/64 dev eth0 nodad", HOST[1]));
    router.ip("addr add 10.244.9.1/24 dev eth1");
    router.ip("addr add fd00:10:244:9::1/64 dev eth1 nodad");
    host.ip("route add default via 10.244.9.1");
    host.ip("-6 route add default via fd00:10:244:9::1");
    Scene { pod, node, router, host }
}

/// Waits until both sides have the other's routes in their kernels.
#[track_caller]
pub(super) fn until_wired(node: &Node, router: &Netns) {
    for prefix in HOST_PREFIX {
        node.until_route(&format!("{prefix} via"), true);
    }
    for prefix in POD_PREFIX {
        node.until(&format!("the router's route to {prefix}"), || {
            let routes = format!("{}{}", router.ip("route"), router.ip("-6 route"));
            if routes.contains(&format!("{prefix} ")) { Ok(()) } else { Err(routes) }
        });
    }
}

/// A network namespace, the address there, and the one that datagrams go to.
type Stream<'a> = (&'a Netns, &'static str, &'a Netns, &'static str);

/// Runs `during` while numbered datagrams go both ways in both families; none may be lost.
pub(super) fn lossless(scene: &Scene, during: impl FnOnce()) {
    let lost = losses(scene, during);
    assert!(lost.is_empty(), "{lost:?}");
}

/// The same, with the numbers that were lost between one address and another.
pub(super) fn losses(scene: &Scene, during: impl FnOnce()) -> Vec<([&'static str; 2], Vec<u64>)> {
    let stop = AtomicBool::new(false);
    let streams: Vec<Stream<'_>> = [0, 1]
        .into_iter()
        .flat_map(|v| {
            [(&scene.pod, POD[v], &scene.host, HOST[v]), (&scene.host, HOST[v], &scene.pod, POD[v])]
        })
        .collect();
    let socket = |address: &str, port: u16| {
        if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
    };
    let sockets: Vec<UdpSocket> = streams
        .iter()
        .map(|(_, _, to, target)| to.enter(|| UdpSocket::bind(socket(target, 7000)).unwrap()))
        .collect();
    for ((from, own, _, target), receiver) in streams.iter().zip(&sockets) {
        // The neighbours on the way are resolved before the count begins.
        wait::until("a first datagram", LIMIT, || {
            from.enter(|| {
                let sender = UdpSocket::bind(socket(own, 0)).unwrap();
                sender.send_to(&u64::MAX.to_be_bytes(), socket(target, 7000)).unwrap()
            });
            receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            receiver.recv(&mut [0; 8]).is_ok()
        });
    }
    let sent: Vec<AtomicU64> = streams.iter().map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        let streaming = Stop(&stop);
        let receivers: Vec<_> = (0..streams.len())
            .map(|at| {
                let (from, own, _, target) = streams[at];
                let (own, target) = (socket(own, 0), socket(target, 7000));
                let (receiver, sent, stop) = (&sockets[at], &sent[at], &stop);
                scope.spawn(move || from.enter(|| send(&own, &target, sent, stop)));
                scope.spawn(move || receive(receiver, stop))
            })
            .collect();
        wait::until("datagrams before", LIMIT, || sent.iter().all(|sent| sent.load(Ordering::Relaxed) > 50));
        during();
        drop(streaming);
        let mut all = Vec::new();
        for ((receiver, sent), (_, own, _, target)) in receivers.into_iter().zip(&sent).zip(&streams) {
            let numbers = receiver.join().unwrap();
            let sent = sent.load(Ordering::Relaxed);
            let lost: Vec<u64> = (0..sent).filter(|number| !numbers.contains(number)).collect();
            eprintln!("{own} to {target}: sent {sent}, lost {}", lost.len());
            if !lost.is_empty() {
                all.push(([*own, *target], lost));
            }
        }
        all
    })
}

/// What the router's routes to the pods are: nothing of them may change.
pub(super) fn pods(router: &Netns) -> String {
    let routes = format!("{}{}", router.ip("route"), router.ip("-6 route"));
    routes.lines().filter(|line| POD_PREFIX.iter().any(|prefix| line.contains(prefix))).collect()
}
