//! What the driver tells: each state once, and again when it is another.

use std::net::IpAddr;
use std::sync::Arc;

use bgp::io::RouteAck;
use bgp::prefix::Prefix;

use super::super::command::{KernelEvent, LocalAddress};
use super::Driver;

impl Driver {
    pub(super) async fn tell_addresses(&mut self) {
        if *self.passing != *self.view.passing() {
            self.passing = self.view.passing().into();
            self.tell(KernelEvent::Passing(Arc::clone(&self.passing))).await;
        }
        if self.addresses.as_deref() != Some(self.view.addresses()) {
            let addresses: Arc<[LocalAddress]> = self.view.addresses().into();
            self.addresses = Some(Arc::clone(&addresses));
            self.tell(KernelEvent::Addresses(addresses)).await;
        }
    }

    /// Tells of default gateways. Without a configuration an own default route would pass for another's.
    pub(super) async fn tell_gateways(&mut self) {
        if !self.ledger.is_configured() {
            return;
        }
        let gateways = self.view.gateways();
        if self.gateways.as_deref() != Some(gateways.as_slice()) {
            let gateways: Arc<[IpAddr]> = gateways.into();
            self.gateways = Some(Arc::clone(&gateways));
            self.tell(KernelEvent::Gateways(gateways)).await;
        }
    }

    /// Tells of what concerns pods alone. Without a configuration nobody knows which are outside of the PodCIDRs.
    pub(super) async fn tell_pods(&mut self) {
        if !self.ledger.is_configured() {
            return;
        }
        let outside = |host: &&Prefix| !self.ledger.holds_pod(**host);
        if !self.view.hosts().iter().filter(outside).eq(self.hosts.iter()) {
            self.hosts = self.view.hosts().iter().filter(outside).copied().collect();
            self.tell(KernelEvent::Hosts(Arc::clone(&self.hosts))).await;
        }
        let resolutions = self.tracked.values().filter_map(|tracked| tracked.resolution.as_ref());
        let legs = resolutions.flat_map(|resolution| resolution.legs.iter().map(|leg| leg.ifindex));
        let mtu = self.view.uplink_mtu(legs);
        if let Some(mtu) = mtu.filter(|_| mtu != self.uplink_mtu) {
            self.uplink_mtu = Some(mtu);
            self.tell(KernelEvent::UplinkMtu(mtu)).await;
        }
    }

    /// Tells what came out otherwise, and what was asked for. Without a configuration nobody knows which routes are
    /// our own, and must not resolve anything.
    pub(super) async fn tell_next_hops(&mut self) {
        if !self.ledger.is_configured() {
            return;
        }
        let mut news = Vec::new();
        for (next_hop, tracked) in &mut self.tracked {
            let metric = tracked.resolution.as_ref().map(|resolution| resolution.metric);
            if tracked.told != Some(metric) || tracked.asked {
                tracked.told = Some(metric);
                tracked.asked = false;
                news.push(KernelEvent::NextHop { next_hop: *next_hop, metric });
            }
        }
        for event in news {
            self.tell(event).await;
        }
    }

    /// Tells how routes are written. Until the first dump nobody knows.
    pub(super) async fn tell_fib(&mut self) {
        if !self.adopted {
            return;
        }
        let fib = self.ledger.fib();
        let before = self.fib.replace(fib);
        if before == Some(fib) {
            return;
        }
        if !fib.supported && before.is_none_or(|before| before.supported) && self.ledger.asks_for_objects() {
            let text = "the kernel has no next-hop objects: routes are written without".to_owned();
            self.tell(KernelEvent::Trouble(text)).await;
        }
        self.tell(KernelEvent::Fib(fib)).await;
    }

    pub(super) async fn acknowledge(&self, acks: Vec<RouteAck>) {
        if !acks.is_empty() {
            self.tell(KernelEvent::Acks(acks)).await;
        }
    }

    /// Tells of a trouble once, until it is over.
    pub(super) async fn complain(&mut self, text: String) {
        if self.trouble.as_ref() != Some(&text) {
            self.trouble = Some(text.clone());
            self.tell(KernelEvent::Trouble(text)).await;
        }
    }

    pub(super) async fn tell(&self, event: KernelEvent) {
        // A receiver that is gone ends the driver at its next turn.
        let _ = self.events.send(event).await;
    }
}
