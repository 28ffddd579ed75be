//! FabricPeers and the mesh as peers of one node, one for each address.
//!
//! A FabricPeer that names an address goes before the mesh: what somebody wrote
//! of a peer stands against what was derived.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::crd::FabricPeerSpec;
use api::crd::peer::Listen;
use bgp::config::{DynamicPeers, Obstacle, OwnNextHop, PeerConfig};
use bgp::id::RouterId;
use bgp::prefix::Prefix;
use bgp::rule::Rules;

use super::address;
use super::limits;
use super::listen;
use super::merge::Merged;
use super::others::Others;
use super::password::password;
use super::peer::{Target, described, reflects};
use super::rules;
use super::scalar;
use super::site::Site;
use super::target;
use super::unnumbered::{self, Neighbour};
use crate::bfd::{Watch, Watched};
use crate::cluster::object::{Place, Problem};
use crate::transport::{Neighbours, Terms};

/// What becomes of a FabricPeer or the mesh at one address.
struct Entry<'a> {
    /// The FabricPeer; `None` for the mesh.
    object: Option<(&'a str, Option<&'a Place>)>,
    config: PeerConfig,
    terms: Terms,
    bfd: Option<Watched>,
}

/// The peers of a node.
pub(super) struct Peers {
    /// Those that are known, ordered by address.
    pub(super) peers: Vec<PeerConfig>,
    /// Those that connect from prefixes, ordered by prefix.
    pub(super) dynamic: Vec<DynamicPeers>,
    /// On which terms connections with them are made.
    pub(super) neighbours: Neighbours,
    /// The links whose neighbours are peers, by index.
    pub(super) links: BTreeMap<u32, String>,
    /// Which ways BFD looks after.
    pub(super) watch: Watch,
}

/// All peers of the node.
pub(super) fn peers(
    site: &Site<'_>,
    merged: &Merged,
    others: &Others,
    warnings: &mut Vec<Problem>,
) -> Result<Peers, Vec<Problem>> {
    let mut entries: BTreeMap<IpAddr, Entry<'_>> = BTreeMap::new();
    let mut ranges: BTreeMap<Prefix, (u32, Entry<'_>)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, peer) in &site.objects.peers {
        let spec = &peer.value;
        if !spec.node_selector.matches(&site.facts.labels) {
            continue;
        }
        let object = (name.as_str(), peer.place.as_ref());
        let policy = match policy(spec) {
            Ok(policy) => policy,
            Err(text) => {
                let text = format!("FabricPeer \"{name}\": {text}");
                problems.push(Problem { place: peer.place.clone(), text });
                continue;
            }
        };
        let password = spec.password_secret_ref.as_ref().map(|wanted| password(site.objects, wanted));
        if let Some(Err(missing)) = &password {
            let text = format!("FabricPeer \"{name}\": {missing}, and its sessions stay down");
            warnings.push(Problem { place: peer.place.clone(), text });
        }
        let missing = password.as_ref().and_then(|password| password.as_ref().err().cloned());
        let missing = missing.map(Obstacle::MissingSecret);
        let (receive, send_limit) = limits::limits(spec.limits.as_ref());
        for Target { prefix, config, hops, bfd } in of_object(site, merged, others, (name, spec), warnings) {
            let config = PeerConfig {
                import: policy.0.clone(),
                export: policy.1.clone(),
                receive,
                send_limit,
                authenticated: password.is_some(),
                obstacle: missing.clone().or(config.obstacle),
                ..config
            };
            let hindered = config.obstacle.as_ref().filter(|it| it.is_of_addresses() && !config.disabled);
            if let Some(obstacle) = hindered {
                let text = format!("FabricPeer \"{name}\": {}, and its session stays down", obstacle.text());
                warnings.push(Problem { place: peer.place.clone(), text });
            }
            let terms = Terms { password: password.clone().and_then(Result::ok), hops };
            let bfd = bfd.filter(|_| !config.disabled && config.obstacle.is_none());
            let entry = Entry { object: Some(object), config, terms, bfd };
            if let Some(prefix) = prefix {
                let most = spec.listen.as_ref().and_then(|listen| listen.max).unwrap_or(listen::MOST);
                match ranges.get(&prefix) {
                    Some((_, before)) => problems.push(contradiction(object, before, &prefix, site.name)),
                    None => drop(ranges.insert(prefix, (most, entry))),
                }
                continue;
            }
            match entries.get(&entry.config.address) {
                Some(before) if alike(before, &entry) => {}
                Some(before) => {
                    let peer = unnumbered::shown(site, before.config.address);
                    problems.push(contradiction(object, before, &peer, site.name));
                }
                None => drop(entries.insert(entry.config.address, entry)),
            }
        }
    }
    if merged.mesh {
        for config in told(others.mesh(), warnings) {
            entries.entry(config.address).or_insert(Entry {
                object: None,
                config,
                terms: Terms::default(),
                bfd: None,
            });
        }
    }
    if problems.is_empty() {
        let of_ranges = ranges.iter().map(|(prefix, (_, entry))| (*prefix, entry.terms.clone()));
        let each = entries.iter().map(|(address, entry)| (Prefix::host(*address), entry.terms.clone()));
        let neighbours: Neighbours = of_ranges.chain(each).collect();
        let watch = entries.iter().filter_map(|(address, entry)| Some((*address, entry.bfd?))).collect();
        let shut_out = entries.values().filter(|entry| entry.terms.password.is_none());
        warnings.extend(shut_out.filter_map(|entry| unsigned(entry, &ranges)));
        let dynamic = ranges.into_iter().map(|(prefix, (most, entry))| DynamicPeers {
            prefix,
            most,
            peer: entry.config,
        });
        let dynamic = dynamic.collect();
        let links = unnumbered::links(site, entries.keys());
        let peers = entries.into_values().map(|entry| entry.config).collect();
        Ok(Peers { peers, dynamic, neighbours, links, watch })
    } else {
        Err(problems)
    }
}

/// Import and export rules of a FabricPeer, shared by all of its peers.
fn policy(spec: &FabricPeerSpec) -> Result<(Rules, Rules), String> {
    let named = |list: &str, (at, text): (usize, String)| format!("field `spec.{list}[{at}]`: {text}");
    let import = rules::rules(&spec.import).map_err(|flaw| named("import", flaw))?;
    let export = rules::rules(&spec.export).map_err(|flaw| named("export", flaw))?;
    Ok((import, export))
}

/// Whether two objects ask for the same session under two names.
fn alike(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    PeerConfig { name: other.config.name.clone(), ..one.config.clone() } == other.config
        && one.terms == other.terms
        && one.bfd == other.bfd
}

/// A peer without a key in a prefix whose peers have one: the kernel asks all of them for it.
fn unsigned(entry: &Entry<'_>, ranges: &BTreeMap<Prefix, (u32, Entry<'_>)>) -> Option<Problem> {
    let address = entry.config.address;
    let holding = ranges.iter().filter(|(prefix, _)| prefix.covers(address));
    let (prefix, _) = holding
        .filter(|(_, (_, range))| range.terms.password.is_some())
        .max_by_key(|(prefix, _)| prefix.len())?;
    let text = format!(
        "peer {address} has no password, but the peers in {prefix} have: it cannot connect to this node"
    );
    Some(Problem { place: entry.object.and_then(|(_, place)| place.cloned()), text })
}

fn contradiction(
    object: (&str, Option<&Place>),
    before: &Entry<'_>,
    peer: &dyn std::fmt::Display,
    node: &str,
) -> Problem {
    let other = before.object.map_or("the mesh".to_owned(), |(name, _)| format!("FabricPeer \"{name}\""));
    let text = format!(
        "FabricPeer \"{}\" and {other} contradict each other about peer {peer} of node \"{node}\"",
        object.0
    );
    Problem { place: object.1.cloned(), text }
}

/// The peers of one FabricPeer that selects this node.
fn of_object(
    site: &Site<'_>,
    merged: &Merged,
    others: &Others,
    (name, spec): (&str, &FabricPeerSpec),
    warnings: &mut Vec<Problem>,
) -> Vec<Target> {
    if let Some(listen) = &spec.listen {
        return listening(site, merged, name, spec, listen, warnings);
    }
    if let Some(address) = spec.address {
        if address::is_own(site, address) {
            return Vec::new();
        }
        return vec![described(site, merged, name, address, false, spec)];
    }
    if let Some(from) = &spec.address_from {
        let (addresses, wrong) = target::addresses(site, from, spec.families.as_deref());
        for text in wrong {
            let text = format!("FabricPeer \"{name}\": field `spec.addressFrom`: {text}");
            warnings.push(Problem { place: None, text });
        }
        let others = addresses.into_iter().filter(|address| !address::is_own(site, *address));
        return others.map(|address| described(site, merged, name, address, false, spec)).collect();
    }
    if let Some(interface) = &spec.interface {
        return on_link(site, merged, name, spec, interface, warnings).into_iter().collect();
    }
    told(others.targets(name), warnings).collect()
}

/// Those that are peers; what stands in the way of others is a warning.
fn told<'a, T: Clone + 'a>(
    found: impl Iterator<Item = &'a Result<T, Problem>>,
    warnings: &mut Vec<Problem>,
) -> impl Iterator<Item = T> {
    found.filter_map(|found| match found {
        Ok(peer) => Some(peer.clone()),
        Err(problem) => {
            warnings.push(problem.clone());
            None
        }
    })
}

/// The neighbour on a link without addresses.
fn on_link(
    site: &Site<'_>,
    merged: &Merged,
    name: &str,
    spec: &FabricPeerSpec,
    interface: &str,
    warnings: &mut Vec<Problem>,
) -> Option<Target> {
    let Some(Neighbour { address, own, obstacle }) = unnumbered::neighbour(site, interface) else {
        let text = format!("FabricPeer \"{name}\": node \"{}\" has no interface {interface}", site.name);
        warnings.push(Problem::anywhere(text));
        return None;
    };
    let target = described(site, merged, name, address, false, spec);
    let config = PeerConfig {
        obstacle: obstacle.or(target.config.obstacle),
        // What the neighbour knows of this node is on the link: no address of elsewhere is a next hop there.
        own_next_hop: OwnNextHop { ipv4: None, ipv6: own },
        ..target.config
    };
    Some(Target { config, ..target })
}

/// Those who connect from a prefix, part by part.
fn listening(
    site: &Site<'_>,
    merged: &Merged,
    name: &str,
    spec: &FabricPeerSpec,
    listen: &Listen,
    warnings: &mut Vec<Problem>,
) -> Vec<Target> {
    let prefix = scalar::prefix(listen.prefix);
    let parts = listen::parts(site, prefix).into_iter().map(|(part, sample)| {
        let target = described(site, merged, name, sample, false, spec);
        let obstacle = target.config.obstacle.filter(|it| !matches!(it, Obstacle::NoSource(_)));
        let config =
            PeerConfig { address: part.address(), passive: true, source: None, obstacle, ..target.config };
        Target { prefix: Some(part), config, ..target }
    });
    // External peers beyond the node's subnets are strangers, unless they may be there.
    let near = |target: &Target| !matches!(target.config.obstacle, Some(Obstacle::NotOnLink(_)));
    let targets: Vec<Target> = parts.filter(near).collect();
    if targets.is_empty() && !spec.disabled {
        let text = format!(
            "FabricPeer \"{name}\": {prefix} holds no subnet of this node; external peers further away need `multihop`"
        );
        warnings.push(Problem::anywhere(text));
    }
    targets
}

/// The cluster id of the site's node, where it reflects and one is set (RFC 4456 §7).
pub(super) fn cluster_id(site: &Site<'_>, merged: &Merged) -> Option<RouterId> {
    let reflectors = merged.reflectors.as_ref().filter(|_| reflects(merged, site.facts))?;
    reflectors.cluster_id.map(RouterId::from)
}
