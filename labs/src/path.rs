//! The way that packets take through a lab, read from the kernels' routing tables and not from a test packet.
//!
//! From the sender's node on, each node is asked which route matches the destination, and each of its next hops is
//! followed. The only routes that may carry a pair are those of underlay's protocol number and, on the last node,
//! the pod's host route; a gateway itself may be reached by a connected subnet alone. Everything else (a default
//! route, somebody's static one) is an error: the lab would prove nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::lab::Lab;
use crate::pod::Pod;

/// The protocol number of underlay's routes (`fib.protocol`).
const PROTOCOL: &str = "171";
/// The kernel's own: connected subnets.
const CONNECTED: &str = "2";

/// All paths of a lab. What a node answered is kept: 112 pairs share few questions.
#[derive(Debug)]
pub struct Paths<'a> {
    lab: &'a Lab,
    /// Which node holds an address.
    holders: BTreeMap<String, String>,
    matches: BTreeMap<(String, String), Value>,
}

impl<'a> Paths<'a> {
    /// Reads which node holds which address.
    ///
    /// # Errors
    /// Where a node cannot be asked.
    pub fn new(lab: &'a Lab) -> anyhow::Result<Self> {
        let mut holders = BTreeMap::new();
        for node in lab.state().nodes.keys() {
            let links = json(&lab.run(node, &["ip", "-j", "addr"])?)?;
            let infos = links.iter().filter_map(|link| link["addr_info"].as_array()).flatten();
            for address in infos.filter_map(|info| info["local"].as_str()) {
                holders.insert(address.to_owned(), node.clone());
            }
        }
        Ok(Self { lab, holders, matches: BTreeMap::new() })
    }

    /// Follows every way from a node to a pod's address and gives the nodes that they pass.
    ///
    /// # Errors
    /// The node and the route that must not carry the packet, or a loop.
    pub fn follow(&mut self, from: &str, to: &Pod, address: &str) -> anyhow::Result<BTreeSet<String>> {
        let mut passed = BTreeSet::new();
        let mut open = vec![(from.to_owned(), 0)];
        while let Some((node, hops)) = open.pop() {
            ensure!(hops <= self.lab.state().nodes.len(), "the way from {from} to {address} loops at {node}");
            passed.insert(node.clone());
            let route = self.ask(&node, address)?.clone();
            if is_host_route(&route, address) {
                ensure!(node == to.node, "{node} has a host route to {address}, a pod of {}", to.node);
                continue;
            }
            ensure!(
                route["protocol"] == PROTOCOL,
                "{node} would send to {address} by a foreign route: {route}"
            );
            for gateway in gateways(&route).with_context(|| format!("{node}: {route}"))? {
                let link = self.ask(&node, &gateway)?;
                let connected = link["protocol"] == CONNECTED && gateways(link).is_err();
                ensure!(connected, "{node} reaches gateway {gateway} by no connected subnet: {link}");
                let Some(next) = self.holders.get(&gateway) else {
                    bail!("no node holds {gateway}, gateway of {node}")
                };
                open.push((next.clone(), hops + 1));
            }
        }
        ensure!(passed.contains(&to.node), "no way from {from} to {address} ends at {}", to.node);
        Ok(passed)
    }

    /// The route of `node` that matches `address`.
    fn ask(&mut self, node: &str, address: &str) -> anyhow::Result<&Value> {
        let key = (node.to_owned(), address.to_owned());
        if !self.matches.contains_key(&key) {
            let text = self.lab.run(node, &["ip", "-N", "-j", "route", "get", "fibmatch", address])?;
            let route = json(&text)?.into_iter().next();
            self.matches
                .insert(key.clone(), route.with_context(|| format!("{node} has no route to {address}"))?);
        }
        self.matches.get(&key).context("it was put there")
    }
}

fn json(text: &str) -> anyhow::Result<Vec<Value>> {
    serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))
}

/// A route to this address alone; `ip` prints it without a prefix length.
fn is_host_route(route: &Value, address: &str) -> bool {
    route["dst"] == address
        && route["gateway"].is_null()
        && route["dev"].is_string()
        && route["type"].is_null()
}

/// The gateways of a route, plain or multipath.
fn gateways(route: &Value) -> anyhow::Result<Vec<String>> {
    let ways = route["nexthops"].as_array().map_or(std::slice::from_ref(route), Vec::as_slice);
    let gateway = |way: &Value| way["gateway"].as_str().or(way["via"]["host"].as_str()).map(str::to_owned);
    ways.iter().map(|way| gateway(way).context("a next hop without a gateway")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{gateways, is_host_route};

    #[test]
    fn gateways_are_those_of_a_plain_or_a_multipath_route() {
        let plain = json!({"dst": "10.244.2.0/24", "gateway": "10.0.1.12", "dev": "eth1"});
        assert_eq!(gateways(&plain).unwrap(), ["10.0.1.12"]);
        let two =
            json!({"nexthops": [{"gateway": "10.0.1.1"}, {"via": {"family": "inet6", "host": "fe80::1"}}]});
        assert_eq!(gateways(&two).unwrap(), ["10.0.1.1", "fe80::1"]);
        assert!(gateways(&json!({"dst": "10.0.1.0/24", "dev": "eth1"})).is_err());
    }

    #[test]
    fn a_host_route_is_to_the_address_alone() {
        assert!(is_host_route(&json!({"dst": "10.244.1.2", "dev": "veth1"}), "10.244.1.2"));
        assert!(!is_host_route(&json!({"dst": "10.244.1.0/24", "dev": "veth1"}), "10.244.1.2"));
        assert!(!is_host_route(
            &json!({"type": "unreachable", "dst": "10.244.1.2", "dev": "lo"}),
            "10.244.1.2"
        ));
    }
}
